import { checkKeys } from "../core/describe.ts";
import type { Tree } from "../core/types.ts";
import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { copyOf } from "../map/flat.ts";
import { record } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import { type TensorTree, treeOf } from "../tensor_tree.ts";
import { add } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { leavesOf, mapLeaf, matchLeaves, treeLike } from "./leaves.ts";
import { checkOptimizer, type Optimizer, type OptimizerState, tensorsIn } from "./optimizer.ts";

let addition: RowProgram | undefined;

/**
 * New parameters `params + updates`, as optax's `apply_updates`. Old parameters and updates stay, and are the caller's to
 * dispose. Cost: one pass over both. Differentiable in both: steps of a descent inside of a loss. Throws a `TypeError` where the trees differ.
 *
 * @example
 * ```ts
 * import { applyUpdates, openDevice, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = { w: tensor(device, { data: new Float32Array([1, 2]), shape: [2] }) };
 * const updates = { w: tensor(device, { data: new Float32Array([-1, 1]), shape: [2] }) };
 * console.log((await toHost(applyUpdates(params, updates).w)).data); // [0, 3]
 * ```
 */
export function applyUpdates<P extends TensorTree<P>>(params: P, updates: P | Tree<Tensor>): P {
  const leaves = leavesOf("Cannot apply updates", treeOf(params));
  const changes = matchLeaves(leaves, "updates", updates);
  addition ??= traceRows({
    name: "applyUpdates",
    inputs: { param: [], update: [] },
    params: {},
    fn: ({ param, update }) => ({ param: add(param, update) }),
  });
  const program = addition;
  const sums = leaves.tensors.map((param, k) => {
    const inputs = [param, changes[k]!];
    const [sum] = mapLeaf(leaves, k, program, inputs, null);
    const pullback = ([bar]: readonly (Memory | null)[], wanted: readonly boolean[]): (Memory | null)[] =>
      wanted.map((isWanted) => isWanted ? copyOf(engineOf(leaves.device), bar!) : null);
    record({ name: "applyUpdates", inputs, outputs: [sum!], holds: [], pullback });
    return sum!;
  });
  return treeLike(leaves, sums) as unknown as P;
}

/** Parameters and the state that belongs to them. */
export interface TrainState<P extends TensorTree<P> = Tree<Tensor>, S extends OptimizerState = OptimizerState> {
  /** The parameters. */
  readonly params: P;
  /** What the optimizer remembers. */
  readonly state: S;
}

/**
 * One step of an optimizer: `update`, then `applyUpdates`, and then what they were given is disposed: parameters, gradients
 * and state are used up. A loop of such steps holds no more memory than one. Nothing waits for the device.
 *
 * @example Least squares
 * ```ts
 * import { adam, applyGradients, matmul, openDevice, squaredError, tensor, toHost, valueAndGrad } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const x = tensor(device, { data: new Float32Array([1, 2, 3, 4]), shape: [4, 1] });
 * const y = tensor(device, { data: new Float32Array([2, 4, 6, 8]), shape: [4, 1] });
 * const optimizer = adam(0.1);
 * let params = { w: tensor(device, { data: new Float32Array([0]), shape: [1, 1] }) };
 * let state = optimizer.init(params);
 * const loss = valueAndGrad((p: typeof params) => squaredError(matmul(x, p.w), y));
 * for (let step = 0; step < 200; step++) {
 *   const { value, grads } = await loss(params);
 *   value.dispose();
 *   ({ params, state } = applyGradients(optimizer, { params, grads, state }));
 * }
 * console.log((await toHost(params.w)).data); // about [2]
 * ```
 */
export function applyGradients<P extends TensorTree<P>, S extends OptimizerState>(
  optimizer: Optimizer<S>,
  given: TrainState<P, S> & { readonly grads: P | Tree<Tensor> },
): TrainState<P, S> {
  const context = "Cannot apply gradients";
  checkOptimizer(context, optimizer);
  checkKeys(context, "the second argument", given, ["params", "grads", "state"]);
  return advance(optimizer, given, new Set());
}

/** The same without checks; what is `kept` is not disposed. */
export function advance<P extends TensorTree<P>, S extends OptimizerState>(
  optimizer: Optimizer<S>,
  { params, grads, state }: TrainState<P, S> & { readonly grads: P | Tree<Tensor> },
  kept: ReadonlySet<Tensor>,
): TrainState<P, S> {
  const { updates, state: next } = optimizer.update(treeOf(grads), state, treeOf(params));
  const answer = { params: applyUpdates<P>(params, updates), state: next };
  const used = tensorsIn(answer as unknown as Tree<unknown>);
  for (const tree of [treeOf(params), treeOf(grads), state, updates]) {
    for (const tensor of tensorsIn(tree)) if (!used.has(tensor) && !kept.has(tensor)) tensor.dispose();
  }
  return answer;
}
