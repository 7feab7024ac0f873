import { defineStep, type Step } from "../step.ts";
import { add, matvec, relu, tanh } from "../trace/ops.ts";
import { type CellSize, checkCellSize } from "./size.ts";

/**
 * A simple recurrent network: `h' = φ(W_ih x + W_hh h + b)` with φ tanh (default) or relu.
 *
 * Parameters `weight_ih (H, I)`, `weight_hh (H, H)`, `bias (H)`; from PyTorch's `RNN` by `fromTorchElman`. State `[H]`.
 * Cost of a step: H² multiplications.
 *
 * Throws a `RangeError` for sizes below 1 or another activation. Elman 1990, doi 10.1207/s15516709cog1402_1.
 *
 * @example
 * ```ts
 * import { elman, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = elman({ input: 1, hidden: 4, activation: "relu" });
 * const xs = { data: new Float32Array(100).fill(0.1), shape: [100, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: "jacobi" });
 * console.log(solution.result);
 * ```
 */
export function elman(size: CellSize & { readonly activation?: "tanh" | "relu" }): Step {
  checkCellSize("elman", size);
  const { input, hidden, activation = "tanh" } = size;
  if (activation !== "tanh" && activation !== "relu") {
    throw new RangeError(`Cannot make elman(): activation must be "tanh" or "relu", got "${String(activation)}"`);
  }
  return defineStep({
    name: "elman",
    state: hidden,
    input,
    params: { weight_ih: [hidden, input], weight_hh: [hidden, hidden], bias: [hidden] },
    units: hidden,
    step: ({ h, x, p }) => {
      const sum = add(add(matvec(p.weight_ih, x), p.bias), matvec(p.weight_hh, h));
      return activation === "tanh" ? tanh(sum) : relu(sum);
    },
  });
}
