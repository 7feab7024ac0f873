import { add, matvec, mul, sigmoid, slice, tanh } from "../trace/ops.ts";
import { checkChoice, checkLayer, checkNumber, type LayerSize } from "./gates.ts";
import { gilrGates } from "./gilr.ts";
import { defineLinearLayer, type LinearLayer } from "./linear_layer.ts";

/** Sizes and settings of {@linkcode gilrLstm}. */
export interface GilrLstmOptions extends LayerSize {
  /** Which states of the surrogate the gates at t read: `previous` (default), h̃[t-1], as in the paper; `current`, h̃[t]. */
  surrogate?: "previous" | "current";
  /** What b_f starts from; default 5. */
  forgetBias?: number;
}

/**
 * An LSTM whose gates read a linear surrogate h̃ of its state, a GILR layer, so that two scans compute it,
 *
 *     g = σ(V_g x + b_g),  h̃[t] = g ∘ h̃[t-1] + (1 - g) ∘ tanh(V_j x + b_j)
 *     f, i, o = σ(U h̃[t-1] + V x + b),  z = tanh(U_z h̃[t-1] + V_z x + b_z)
 *     c[t] = f ∘ c[t-1] + i ∘ z,  y = o ∘ c[t]
 *
 * Parameters `surrogate: { weight_ih (2H, I), bias (2H) }`, gates g j, and `weight_ih (4H, I)`, `weight_hh (4H, H)`, `bias
 * (4H)`, gates in the order f i o z: 2 H (I + 1) more than an LSTM has. State `[h̃, c]`, D = 2H. Its cell's Jacobian is
 * triangular, which counts as dense; `quasi-deer` solves it exactly in two sweeps, one for each half, as `deer` does at D times
 * the cost, and a third finds that nothing changes. Cost of a step: 6 H I + 4 H²
 * multiplications. Memory at once, beside xs but with the answer: 5 H words per (b, t), on WebGPU 12 H where both matrices
 * of the gates have 4096 elements and more.
 *
 * Initial weights are uniform in ±0.05, biases 0 but b_f 5, which remembers for hundreds of steps, as in the authors' code;
 * that code reads h̃[t] where the paper has h̃[t-1]. Throws a `RangeError` for sizes below 1 or an unknown `surrogate`. Martin &
 * Cundy 2018, arXiv 1709.04057.
 *
 * @example
 * ```ts
 * import { gilrLstm, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = gilrLstm({ input: 2, hidden: 16 });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using ys = layer.apply(layer.init(device), xs);
 * console.log(ys.shape); // [1000, 16]
 * ```
 */
export function gilrLstm(options: GilrLstmOptions): LinearLayer {
  checkLayer("gilrLstm", options, ["surrogate", "forgetBias"]);
  const { input, hidden, surrogate = "previous", forgetBias = 5, reverse = false } = options;
  checkChoice("gilrLstm", "surrogate", surrogate, ["previous", "current"]);
  checkNumber("gilrLstm", "forgetBias", forgetBias);
  const weight = { uniform: 0.05 };
  return defineLinearLayer({
    name: "gilrLstm",
    input,
    hidden,
    reverse,
    params: {
      surrogate: { weight_ih: [2 * hidden, input], bias: [2 * hidden] },
      weight_ih: [4 * hidden, input],
      weight_hh: [4 * hidden, hidden],
      bias: [4 * hidden],
    },
    init: {
      surrogate: { weight_ih: weight, bias: 0 },
      weight_ih: weight,
      weight_hh: weight,
      bias: [forgetBias, 0, 0, 0],
    },
    recurrences: [{
      name: "surrogate",
      state: hidden,
      gates: ({ x, p }) => gilrGates(p.surrogate.weight_ih, p.surrogate.bias, x, hidden, "tanh"),
    }, {
      name: "c",
      state: hidden,
      gates: ({ x, p, states }) => {
        const { now, before } = states.surrogate;
        const seen = surrogate === "current" ? now : before;
        const all = add(add(matvec(p.weight_ih, x), matvec(p.weight_hh, seen)), p.bias);
        const gate = (k: number): typeof all => slice(all, k * hidden, (k + 1) * hidden);
        return { a: sigmoid(gate(0)), b: mul(sigmoid(gate(1)), tanh(gate(3))), o: sigmoid(gate(2)) };
      },
    }],
    output: ({ states, kept }) => mul(kept.o!, states.c.now),
  });
}
