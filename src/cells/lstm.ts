import { defineStep, type Step } from "../step.ts";
import { add, concat, matvec, mul, sigmoid, slice, tanh } from "../trace/ops.ts";
import { type CellSize, checkCellSize } from "./size.ts";

/**
 * A long short-term memory in PyTorch's form, biases folded:
 *
 *     (i, f, o) = σ(W_i· x + W_h· h + b·),  g = tanh(W_ig x + W_hg h + b_g)
 *     c' = f ∘ c + i ∘ g,  h' = o ∘ tanh(c')
 *
 * Parameters `weight_ih (4H, I)`, `weight_hh (4H, H)`, `bias (4H)`, gates in the order i f g o; from PyTorch by
 * `fromTorchLstm`. State `[h, c]`, `[2H]`; `blockDeer` takes the 2 × 2 block (h, c) of each unit. Cost of a step: 4 H²
 * multiplications.
 *
 * Throws a `RangeError` for sizes below 1. Hochreiter & Schmidhuber 1997, doi 10.1162/neco.1997.9.8.1735.
 *
 * @example
 * ```ts
 * import { lstm, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = lstm({ input: 2, hidden: 8 });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using solution = await solve(cell, { params: cell.init(device, { seed: 0 }), xs }, { method: "block-deer" });
 * console.log(solution.ys.shape); // [1000, 16]
 * ```
 */
export function lstm(size: CellSize): Step {
  checkCellSize("lstm", size);
  const { input, hidden } = size;
  return defineStep({
    name: "lstm",
    state: 2 * hidden,
    input,
    params: { weight_ih: [4 * hidden, input], weight_hh: [4 * hidden, hidden], bias: [4 * hidden] },
    units: hidden,
    step: ({ h: state, x, p }) => {
      const [h, c] = [slice(state, 0, hidden), slice(state, hidden, 2 * hidden)];
      const gates = add(add(matvec(p.weight_ih, x), p.bias), matvec(p.weight_hh, h));
      const gate = (k: number): typeof gates => slice(gates, k * hidden, (k + 1) * hidden);
      const next = add(mul(sigmoid(gate(1)), c), mul(sigmoid(gate(0)), tanh(gate(2))));
      return concat(mul(sigmoid(gate(3)), tanh(next)), next);
    },
  });
}
