import { describe } from "./core/describe.ts";
import { formatShape, sameShape } from "./core/shape.ts";
import { flattenTree } from "./core/tree.ts";
import type { Tree } from "./core/types.ts";
import type { Device } from "./device.ts";
import { place } from "./place.ts";
import { isTensorLike, type Tensor, type TensorLike } from "./tensor.ts";
import type { ParameterLeaf } from "./trace/parameters.ts";

/** Parameters in the order of their leaves, on `device`, names and shapes checked; what is copied is added to `temporary`. */
export function placeParams(
  context: string,
  leaves: readonly ParameterLeaf[],
  tree: Tree<TensorLike>,
  device: Device,
  temporary: Tensor[],
): Tensor[] {
  if (typeof tree !== "object" || tree === null) {
    throw new TypeError(`${context}: params must be a record of arrays, got ${describe(tree)}`);
  }
  const given = new Map(flattenTree<TensorLike>(tree, isTensorLike));
  const names = leaves.map(({ path }) => path);
  const missing = names.filter((path) => !given.has(path));
  const unknown = [...given.keys()].filter((path) => !names.includes(path));
  if (missing.length > 0 || unknown.length > 0) {
    const parts = [
      missing.length > 0 ? `${missing.join(", ")} missing` : "",
      unknown.length > 0 ? `${unknown.join(", ")} unknown` : "",
    ];
    const problems = parts.filter((part) => part !== "").join(", ");
    throw new TypeError(`${context}: params must be { ${names.join(", ")} }, but ${problems}`);
  }
  return leaves.map(({ path, shape }) => {
    const value = place(context, `params.${path}`, given.get(path)!, device, temporary);
    if (!sameShape(value.shape, shape)) {
      throw new TypeError(
        `${context}: params.${path} must have shape ${formatShape(shape)}, got ${formatShape(value.shape)}`,
      );
    }
    return value;
  });
}
