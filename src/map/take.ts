import { checkKeys } from "../core/describe.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import { findDevice, place } from "../place.ts";
import { record } from "../tape.ts";
import { isTensorLike, memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import { type IndicesLike, placeIndices } from "./indices.ts";

/**
 * Rows of a table by their numbers, `out[i, ...] = x[indices[i], ...]`: an embedding. x `(R, ...row)`, indices `(...)` of
 * u32 or i32, on the device or in host memory (a flat list too), to `(...indices, ...row)`. Differentiable in x: the
 * gradient of a row is the sum over all that took it.
 *
 * Indices in host memory that are no row are a `RangeError`; one on a device, which cannot be seen without waiting, gives a
 * row of NaN, and no gradient. Throws a `TypeError` for other shapes and dtypes.
 *
 * Cost: one pass over the answer. On WebGPU the gradient sorts the indices, ⌈log₂(R + 1) / 8⌉ passes of about 20 bytes an
 * index, and sums the rows of equal ones as a tree, 4 bytes an element: whether many take one row or each its own makes no
 * difference, and the same call gives the same bits.
 *
 * @example Symbols as vectors
 * ```ts
 * import { openDevice, take, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const table = tensor(device, { data: new Float32Array([0, 1, 10, 11, 20, 21]), shape: [3, 2] });
 * const rows = take(table, [2, 0, 2, 2]);
 * console.log(rows.shape, (await toHost(rows)).data); // [4, 2] [20, 21, 0, 1, 20, 21, 20, 21]
 * ```
 */
export function take(x: TensorLike, indices: IndicesLike, options: { device?: Device } = {}): Tensor {
  const context = "Cannot take rows";
  checkKeys(context, "options", options, ["device"]);
  const device = findDevice(context, options.device, [x, isTensorLike(indices) ? indices : undefined]);
  const engine = engineOf(device);
  const temporary: Tensor[] = [];
  try {
    const table = place(context, "x", x, device, temporary);
    const [rows, ...row] = table.shape;
    if (rows === undefined) {
      throw new TypeError(`${context}: x must have shape (R, ...), got ${formatShape(table.shape)}`);
    }
    const which = placeIndices(context, "indices", indices, { least: 0, end: rows }, device, temporary);
    const [width, count] = [sizeOf(row), sizeOf(which.shape)];
    const numbers = memoryOf(which);
    const out = engine.allocate(engine.dtype, count * width, "rows of a table");
    engine.gather({ table: memoryOf(table), indices: numbers, out, rows, width, count });
    const taken = wrapMemory(device, [...which.shape, ...row], out, "rows of a table");
    record({
      name: "take",
      inputs: [table],
      outputs: [taken],
      holds: [which],
      pullback([cotangent]) {
        const sums = engine.allocate(engine.dtype, rows * width, "the cotangent of a table");
        engine.scatterAdd({ from: cotangent!, indices: numbers, out: sums, rows, width, count });
        return [sums];
      },
    });
    return taken;
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}
