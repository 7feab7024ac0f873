import { defineStep, type Step } from "../step.ts";
import { add, matvec, mul, sigmoid, slice, sub, tanh } from "../trace/ops.ts";
import { type CellSize, checkCellSize } from "./size.ts";

/**
 * A gated recurrent unit in PyTorch's form, biases folded:
 *
 *     r = σ(W_ir x + W_hr h + b_r),  z = σ(W_iz x + W_hz h + b_z)
 *     n = tanh(W_in x + b_n + r ∘ (W_hn h + bias_n)),  h' = (1 - z) ∘ n + z ∘ h
 *
 * Parameters `weight_ih (3H, I)`, `weight_hh (3H, H)`, `bias (3H)`, `bias_n (H)`, gates in the order r z n; from PyTorch
 * by `fromTorchGru`. State `[H]`. Its Jacobian is dense, its diagonal costs O(H). Cost of a step: 3 H² multiplications.
 *
 * Throws a `RangeError` for sizes below 1. Cho et al. 2014, arXiv 1406.1078.
 *
 * @example
 * ```ts
 * import { gru, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = gru({ input: 2, hidden: 16 });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using solution = await solve(cell, { params: cell.init(device, { seed: 0 }), xs }, { method: "deer" });
 * console.log(solution.stats.sweeps);
 * ```
 */
export function gru(size: CellSize): Step {
  checkCellSize("gru", size);
  const { input, hidden } = size;
  return defineStep({
    name: "gru",
    state: hidden,
    input,
    params: { weight_ih: [3 * hidden, input], weight_hh: [3 * hidden, hidden], bias: [3 * hidden], bias_n: [hidden] },
    units: hidden,
    step: ({ h, x, p }) => {
      const projected = add(matvec(p.weight_ih, x), p.bias);
      const recurrent = matvec(p.weight_hh, h);
      const gate = (i: number): [typeof projected, typeof recurrent] => [
        slice(projected, i * hidden, (i + 1) * hidden),
        slice(recurrent, i * hidden, (i + 1) * hidden),
      ];
      const r = sigmoid(add(...gate(0)));
      const z = sigmoid(add(...gate(1)));
      const [xn, hn] = gate(2);
      const n = tanh(add(xn, mul(r, add(hn, p.bias_n))));
      return add(n, mul(z, sub(h, n)));
    },
  });
}
