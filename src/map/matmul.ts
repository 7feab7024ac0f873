import { checkKeys } from "../core/describe.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { findDevice, place } from "../place.ts";
import { record } from "../tape.ts";
import { memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";

/**
 * The product of matrices `out[..., n] = Σ_k a[..., k] b[k, n]`: a `(..., K)`, of which all axes but the last are rows, and b
 * `(K, N)` to `(..., N)`. Differentiable.
 *
 * Cost: rows · K · N multiplications, each gradient as many. Within a traced function of rows write `ops.matvec(p.w, x)`:
 * what follows it is then computed in the same pass. Throws a `TypeError` for shapes that do not fit.
 *
 * @example A projection of all steps
 * ```ts
 * import { matmul, openDevice, tensor } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const x = tensor(device, { data: new Float32Array(2 * 5 * 3), shape: [2, 5, 3] });
 * const w = tensor(device, { data: new Float32Array(3 * 4), shape: [3, 4] });
 * console.log(matmul(x, w).shape); // [2, 5, 4]
 * ```
 */
export function matmul(a: TensorLike, b: TensorLike, options: { device?: Device } = {}): Tensor {
  const context = "Cannot multiply matrices";
  checkKeys(context, "options", options, ["device"]);
  const device = findDevice(context, options.device, [a, b]);
  const engine = engineOf(device);
  const temporary: Tensor[] = [];
  try {
    const left = place(context, "a", a, device, temporary);
    const right = place(context, "b", b, device, temporary);
    const inner = left.shape.at(-1);
    if (inner === undefined || right.shape.length !== 2 || right.shape[0] !== inner) {
      throw new TypeError(
        `${context}: a and b must have shapes (..., K) and (K, N), got ${formatShape(left.shape)} and ${
          formatShape(right.shape)
        }`,
      );
    }
    const columns = right.shape[1]!;
    const rows = sizeOf(left.shape.slice(0, -1));
    const [am, bm] = [memoryOf(left), memoryOf(right)];
    const multiply = (
      form: "ab" | "abt" | "atb",
      x: Memory,
      y: Memory,
      [m, k, n]: readonly [rows: number, inner: number, columns: number],
    ): Memory => {
      const out = engine.allocate(engine.dtype, m * n, "a product of matrices");
      engine.matmul({ a: x, b: y, out, rows: m, inner: k, columns: n, form });
      return out;
    };
    const out = multiply("ab", am, bm, [rows, inner, columns]);
    const product = wrapMemory(device, [...left.shape.slice(0, -1), columns], out, "a product of matrices");
    record({
      name: "matmul",
      inputs: [left, right],
      outputs: [product],
      holds: [left, right],
      pullback: ([cotangent], [wantsLeft, wantsRight]) => [
        wantsLeft ? multiply("abt", cotangent!, bm, [rows, columns, inner]) : null,
        wantsRight ? multiply("atb", am, cotangent!, [inner, rows, columns]) : null,
      ],
    });
    return product;
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}
