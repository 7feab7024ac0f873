import { describe } from "../core/describe.ts";
import { mapTree } from "../core/tree.ts";
import type { Tree } from "../core/types.ts";
import { isTensor, type Tensor } from "../tensor.ts";

/** What an optimizer remembers between steps: a plain tree of tensors and counts, to be saved as it is. */
export type OptimizerState = Tree<Tensor | number>;

/** The answer of {@linkcode Optimizer.update}. */
export interface OptimizerUpdate<S extends OptimizerState = OptimizerState> {
  /** What is to be added to the parameters, see `applyUpdates`. */
  readonly updates: Tree<Tensor>;
  /** What to give to the next update. */
  readonly state: S;
}

/**
 * Two pure functions, in the manner of optax: `init` makes the state that belongs to parameters, `update` turns gradients
 * into what is to be added to the parameters, and the state into the next one.
 *
 * Neither changes or frees what it is given, and all that it returns is new: old gradients, parameters and states are the
 * caller's to dispose, or use `applyGradients`, which does. Nothing is compiled twice or waited for; the learning rate and
 * corrections that change with every step are a few numbers copied to the device. Parameters whose type is an `interface` are
 * given as `{ ...params }`, as that has no index signature; `train` and `applyGradients` take them as they are.
 */
export interface Optimizer<S extends OptimizerState = OptimizerState> {
  /** The state before the first update. */
  init(params: Tree<Tensor>): S;
  /** Updates from gradients in the tree of the parameters. */
  update(grads: Tree<Tensor>, state: S, params: Tree<Tensor>): OptimizerUpdate<S>;
}

/** Throws unless `value` is an optimizer. */
export function checkOptimizer(context: string, value: unknown): asserts value is Optimizer {
  const { init, update } = (value ?? {}) as Partial<Optimizer>;
  if (typeof init !== "function" || typeof update !== "function") {
    throw new TypeError(`${context}: expected an optimizer, such as adam(1e-3), got ${describe(value)}`);
  }
}

/** The tensors of a tree, each once; numbers are passed over. */
export function tensorsIn(tree: Tree<unknown>): Set<Tensor> {
  const found = new Set<Tensor>();
  mapTree<unknown, void>(tree, (value): value is unknown => isTensor(value) || typeof value === "number", (leaf) => {
    if (isTensor(leaf)) found.add(leaf);
  });
  return found;
}

/**
 * Disposes all tensors of trees: parameters, gradients, updates, states of optimizers, whose counts are passed over. Throws a
 * `TypeError` where there is something else.
 *
 * @example
 * ```ts
 * import { adam, disposeTree, openDevice, tensor } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = { w: tensor(device, { data: new Float32Array(3), shape: [3] }) };
 * const state = adam(1e-3).init(params);
 * disposeTree(params, state);
 * ```
 */
export function disposeTree(...trees: readonly (Tree<Tensor | number> | object)[]): void {
  for (const tree of trees) for (const tensor of tensorsIn(tree as Tree<unknown>)) tensor.dispose();
}
