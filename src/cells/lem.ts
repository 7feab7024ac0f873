import { defineStep, type Step } from "../step.ts";
import { add, concat, matvec, mul, sigmoid, slice, sub, tanh } from "../trace/ops.ts";
import { type CellSize, checkCellSize } from "./size.ts";

/**
 * A long expressive memory: two states with time steps of their own, learned per unit,
 *
 *     Δ1 = dt σ(W_i1 x + W_h1 y + b_1),  Δ2 = dt σ(W_i2 x + W_h2 y + b_2)
 *     z' = (1 - Δ2) ∘ z + Δ2 ∘ tanh(W_iy x + W_hy y + b_y)
 *     y' = (1 - Δ1) ∘ y + Δ1 ∘ tanh(W_z z' + W_iz x + b_z)
 *
 * Parameters `weight_ih (4H, I)` and `bias (4H)` in the order 1 2 z y, `weight_hh (3H, H)` in the order 1 2 y, `weight_z
 * (H, H)`; the biases of the original's three layers are folded into one. State `[y, z]`, `[2H]`. Its two products in a
 * row make the exact diagonal cost 2H Jacobian-vector products a step: prefer `deer`, or `quasiDeer` with probes. Cost of
 * a step: 4 H² multiplications.
 *
 * Throws a `RangeError` for sizes below 1 or a `dt` that is not positive. Rusch, Mishra, Erichson & Mahoney, ICLR 2022,
 * arXiv 2110.04744.
 *
 * @example
 * ```ts
 * import { lem, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = lem({ input: 1, hidden: 4, dt: 0.5 });
 * const xs = { data: new Float32Array(100).fill(0.1), shape: [100, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: "deer" });
 * console.log(solution.ys.shape); // [100, 8]
 * ```
 */
export function lem(size: CellSize & { readonly dt?: number }): Step {
  checkCellSize("lem", size);
  const { input, hidden, dt = 1 } = size;
  if (!(dt > 0 && dt < Infinity)) throw new RangeError(`Cannot make lem(): dt must be positive, got ${String(dt)}`);
  return defineStep({
    name: "lem",
    state: 2 * hidden,
    input,
    params: {
      weight_ih: [4 * hidden, input],
      weight_hh: [3 * hidden, hidden],
      weight_z: [hidden, hidden],
      bias: [4 * hidden],
    },
    units: hidden,
    step: ({ h, x, p }) => {
      const [y, z] = [slice(h, 0, hidden), slice(h, hidden, 2 * hidden)];
      const projected = add(matvec(p.weight_ih, x), p.bias);
      const recurrent = matvec(p.weight_hh, y);
      const part = (v: typeof projected, k: number): typeof projected => slice(v, k * hidden, (k + 1) * hidden);
      const step1 = mul(dt, sigmoid(add(part(projected, 0), part(recurrent, 0))));
      const step2 = mul(dt, sigmoid(add(part(projected, 1), part(recurrent, 1))));
      const nextZ = add(mul(sub(1, step2), z), mul(step2, tanh(add(part(projected, 3), part(recurrent, 2)))));
      const nextY = add(mul(sub(1, step1), y), mul(step1, tanh(add(matvec(p.weight_z, nextZ), part(projected, 2)))));
      return concat(nextY, nextZ);
    },
  });
}
