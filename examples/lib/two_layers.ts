/** Two layers of GILR-LSTM, twice: as a stack of layers, which scans evaluate, and as one step written from the paper. */

import { defineStep, gilrLstm, type SequenceLayer, type ShapeTree, stack, type Step, type Sym } from "@cervid/cervid";
import { add, concat, matvec, mul, sigmoid, slice, sub, tanh } from "@cervid/cervid/ops";

/** A network in both forms, which have the same parameters. */
export interface TwoLayers {
  readonly layer: SequenceLayer;
  /** State `[h̃, c, h̃, c, y]`: of the first layer, of the second, and the output. */
  readonly step: Step;
}

/** p numbers a step to H outputs; of the first layer and of the second. */
export function defineTwoLayers(input: number, hidden: number, forgetBias: number): TwoLayers {
  const layer = stack([
    gilrLstm({ input, hidden, forgetBias }),
    gilrLstm({ input: hidden, hidden, forgetBias }),
  ]);
  const shapes = (inputs: number) => ({
    surrogate: { weight_ih: [2 * hidden, inputs], bias: [2 * hidden] },
    weight_ih: [4 * hidden, inputs],
    weight_hh: [4 * hidden, hidden],
    bias: [4 * hidden],
  } as const satisfies ShapeTree);
  const gate = (all: Sym, k: number): Sym => slice(all, k * hidden, (k + 1) * hidden);
  const step = defineStep({
    name: "two layers of GILR-LSTM",
    state: 5 * hidden,
    input,
    params: { layer0: shapes(input), layer1: shapes(hidden) },
    step: ({ h, x, p }) => {
      const states: Sym[] = [];
      let y = x;
      for (const [k, { surrogate, weight_ih, weight_hh, bias }] of [p.layer0, p.layer1].entries()) {
        const [before, c] = [gate(h, 2 * k), gate(h, 2 * k + 1)];
        const gj = add(matvec(surrogate.weight_ih, y), surrogate.bias);
        const [g, j] = [sigmoid(gate(gj, 0)), tanh(gate(gj, 1))];
        const all = add(add(matvec(weight_ih, y), matvec(weight_hh, before)), bias);
        const [forget, input, output] = [0, 1, 2].map((n) => sigmoid(gate(all, n))) as [Sym, Sym, Sym];
        const next = add(mul(forget, c), mul(input, tanh(gate(all, 3))));
        states.push(add(mul(g, before), mul(sub(1, g), j)), next);
        y = mul(output, next);
      }
      return concat(...states, y);
    },
  });
  return { layer, step };
}
