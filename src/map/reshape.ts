import { describe } from "../core/describe.ts";
import { isCount } from "../core/host.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import { engineOf } from "../device.ts";
import { record } from "../tape.ts";
import { isTensor, type Tensor, viewAs } from "../tensor.ts";
import { copyOf } from "./flat.ts";

/**
 * The same elements, row-major, in another shape of as many; one axis may be -1, which stands for what is left. No copy: both
 * tensors share their memory, which stays until both are disposed. Differentiable; the pullback copies.
 *
 * Throws a `TypeError` where the sizes differ.
 *
 * @example All steps of all sequences as rows
 * ```ts
 * import { openDevice, reshape, tensor } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const x = tensor(device, { data: new Float32Array(24), shape: [2, 3, 4] });
 * console.log(reshape(x, [-1, 4]).shape); // [6, 4]
 * ```
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (!isTensor(x)) throw new TypeError(`Cannot reshape: expected a tensor on a device, got ${describe(x)}`);
  const wanted = resolveShape(x.shape, shape);
  const { device } = x;
  const view = viewAs(x, wanted);
  record({
    name: "reshape",
    inputs: [x],
    outputs: [view],
    holds: [],
    pullback: ([cotangent]) => [copyOf(engineOf(device), cotangent!)],
  });
  return view;
}

function resolveShape(from: Shape, shape: Shape): Shape {
  const given = Array.isArray(shape) ? shape as Shape : undefined;
  if (given === undefined || !given.every((axis) => isCount(axis) || axis === -1)) {
    const got = given === undefined ? describe(shape) : formatShape(given);
    throw new TypeError(`Cannot reshape: the shape must be a list of whole numbers of at least 0, or -1, got ${got}`);
  }
  const open = given.filter((axis) => axis === -1).length;
  const rest = sizeOf(given.filter((axis) => axis !== -1));
  const resolved = open === 1 && rest > 0 ? given.map((axis) => axis === -1 ? sizeOf(from) / rest : axis) : given;
  if (!resolved.every(isCount) || sizeOf(resolved) !== sizeOf(from)) {
    throw new TypeError(
      `Cannot reshape: expected a shape of ${sizeOf(from)} elements, as ${formatShape(from)} has, got ${
        formatShape(given)
      }`,
    );
  }
  return [...resolved];
}
