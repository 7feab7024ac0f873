import { mapTree } from "./core/tree.ts";
import type { Tree } from "./core/types.ts";
import type { Device } from "./device.ts";
import { isTensor, isTensorLike, type Tensor, tensor, type TensorLike } from "./tensor.ts";

/** A tensor, or a record of such; nothing else. */
export type TensorBranch<V> = V extends Tensor ? V
  : V extends readonly unknown[] | ((...args: never) => unknown) ? never
  : V extends object ? { readonly [K in keyof V]: TensorBranch<V[K]> }
  : never;

/**
 * What parameters must be: a tree of tensors, be its type a `type` or an `interface`, which has no index signature and so is no
 * {@linkcode Tree}. To be used as `P extends TensorTree<P>`.
 */
export type TensorTree<P> = Tree<Tensor> | { readonly [K in keyof P]: TensorBranch<P[K]> };

/** Parameters for those who walk through them. */
export function treeOf(params: object): Tree<Tensor> {
  return params as Tree<Tensor>;
}

/**
 * A tree of arrays on a device, such as parameters from `fromTorchGru`: host arrays are copied as {@linkcode tensor} does,
 * tensors stay what they are. Copy parameters once where many solves use them.
 *
 * @example
 * ```ts
 * import { openDevice, toDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = toDevice(device, { rate: { data: new Float32Array([0.5]), shape: [] } });
 * console.log(params.rate);
 * ```
 */
export function toDevice(device: Device, tree: Tree<TensorLike>): Tree<Tensor> {
  return mapTree<TensorLike, Tensor>(
    tree,
    isTensorLike,
    (value, path) => isTensor(value) ? value : tensor(device, value, path),
  );
}

/** Whether a tree holds any device tensor; if so the device of the first. */
export function deviceIn(tree: Tree<TensorLike> | TensorLike | undefined): Device | undefined {
  if (tree === undefined || tree === null || typeof tree !== "object") return undefined;
  if (isTensor(tree)) return tree.device;
  if (isTensorLike(tree)) return undefined;
  for (const value of Object.values(tree as Tree<TensorLike>)) {
    const found = deviceIn(value);
    if (found !== undefined) return found;
  }
  return undefined;
}
