import { describe } from "../core/describe.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { Tree } from "../core/types.ts";
import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { isTracked, Tape } from "../tape.ts";
import { collect } from "../scope.ts";
import type { TensorTree } from "../tensor_tree.ts";
import { isTensor, isTensorLike, type Tensor, type TensorLike, viewAs, wrapMemory } from "../tensor.ts";

/** What a differentiated function may return: its value, and what is to be kept of the rest. */
export interface ValueWithAux<X> {
  /** `()` */
  readonly value: Tensor;
  /**
   * Tensors, alone or in arrays and plain records, that outlive the call: states for the next piece of a sequence, predictions.
   * One in a Map or in a private field of a class is not seen, and is disposed.
   */
  readonly aux: X;
}

/** What {@linkcode valueAndGrad} answers. */
export interface ValueAndGrad<P> {
  /** `()` */
  readonly value: Tensor;
  /** In the tree of the parameters. */
  readonly grads: P;
}

/**
 * The value of a scalar function and its gradient with respect to a tree of parameters, by reverse mode. `P`, the type of the
 * parameters, may be a `type` or an `interface`.
 *
 * Differentiable are `map`, `matmul`, `sum`, `mean`, `meanPool`, `concat`, `reshape`, `take`, `last`, `softmaxCrossEntropy`,
 * `squaredError`, `linearRecurrence`, `associativeScan`, `solve`, `enqueueSolve` and `solveVjp(...).solution` (`ys` and `yT`),
 * all layers, `kalmanFilter`, `applyUpdates`. The rest has values alone: the iterates of a solve, tangents of `solveJvp`, gradients
 * by the pullback of `solveVjp`, smoothed states, updates of optimizers; where a gradient would flow through these, that is a
 * `TypeError`. What went to host memory, and a guess, is a constant.
 *
 * `fn` gets the parameters and the further arguments as they are, and returns a tensor of shape `()`. What it makes from the
 * parameters is freed when the gradient is there, but for the value, and for what it returns beside it as `{ value, aux }`;
 * solves whose verdict is not asked keep nothing. On WebGPU nothing waits for the device. There is no global tape: calls may
 * overlap in time, but not nest.
 *
 * Cost: three to five times that of `fn` (measured on layers); memory for what the pullbacks read, mostly the inputs of each function. Throws
 * (rejects with) a `TypeError` where parameters are no float tensors of one device, the value is no scalar tensor, or depends on
 * the parameters through what is not differentiable.
 *
 * @example The gradient of a mean square
 * ```ts
 * import { defineMap, map, mean, openDevice, tensor, toHost, valueAndGrad } from "@cervid/cervid";
 * import { mul, sub } from "@cervid/cervid/ops";
 *
 * const square = defineMap({
 *   name: "square",
 *   inputs: { x: [] },
 *   params: { center: [] },
 *   map: ({ x, p }) => mul(sub(x, p.center), sub(x, p.center)),
 * });
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const x = tensor(device, { data: new Float64Array([1, 2, 3]), shape: [3] });
 * const params = { center: tensor(device, { data: new Float64Array([0]), shape: [] }) };
 * const loss = valueAndGrad((params: typeof params0) => mean(map(square, { inputs: { x }, params })));
 * const params0 = params;
 * const { value, grads } = await loss(params);
 * console.log((await toHost(value)).data, (await toHost(grads.center)).data); // [4.666...] [-4]
 * ```
 */
export function valueAndGrad<P extends TensorTree<P>, A extends unknown[]>(
  fn: (params: P, ...args: A) => Tensor | Promise<Tensor>,
): (params: P, ...args: A) => Promise<ValueAndGrad<P>>;
/** The same for a function that also returns what is to be kept beside its value. */
export function valueAndGrad<P extends TensorTree<P>, A extends unknown[], X>(
  fn: (params: P, ...args: A) => ValueWithAux<X> | Promise<ValueWithAux<X>>,
): (params: P, ...args: A) => Promise<ValueAndGrad<P> & { aux: X }>;
export function valueAndGrad<P extends TensorTree<P>, A extends unknown[]>(
  fn: (params: P, ...args: A) => Tensor | ValueWithAux<unknown> | Promise<Tensor | ValueWithAux<unknown>>,
): (params: P, ...args: A) => Promise<ValueAndGrad<P> & { aux?: unknown }> {
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot differentiate: expected a function of parameters, got ${describe(fn)}`);
  }
  return (params, ...args) => differentiate(fn, params, args, (make) => make());
}

/** The same for one call, of which all that makes tensors runs within `scope`: the function, and then what makes the gradients. */
export async function differentiate<P extends Tree<Tensor>, A extends unknown[]>(
  fn: (params: P, ...args: A) => Tensor | ValueWithAux<unknown> | Promise<Tensor | ValueWithAux<unknown>>,
  params: P,
  args: A,
  scope: <R>(make: () => R) => R,
): Promise<ValueAndGrad<P> & { aux?: unknown }> {
  const leaves = leavesOf(params);
  const { device } = leaves[0]!;
  const tape = new Tape(device);
  const keep = new Set<unknown>();
  let value: Tensor | undefined;
  try {
    const watched = new Map(leaves.map((leaf) => [leaf, tape.watch(leaf)]));
    const tracked = mapTree<Tensor, Tensor>(params, isTensor, (leaf) => watched.get(leaf)!) as P;
    const result = await scope(() => fn(tracked, ...args));
    const withAux = hasAux(result);
    const found = value = withAux ? result.value : result as Tensor;
    checkValue(found);
    const grads = scope(() => gradientsOf(tape, found, params, watched));
    collect(result, keep);
    return { value: found, grads, ...(withAux ? { aux: result.aux } : {}) };
  } catch (error) {
    value?.dispose?.();
    throw error;
  } finally {
    tape.end(keep);
  }
}

const hasAux = (result: unknown): result is ValueWithAux<unknown> =>
  typeof result === "object" && result !== null && !isTensor(result) && "aux" in result && "value" in result;

/** The gradients of a value in the tree of the parameters. */
function gradientsOf<P extends Tree<Tensor>>(
  tape: Tape,
  value: Tensor,
  params: P,
  watched: ReadonlyMap<Tensor, Tensor>,
): P {
  const { device } = tape;
  const engine = engineOf(device);
  const one = engine.upload(new Float32Array([1]), "the cotangent of the value");
  let memories: readonly (Memory | null)[] = [];
  try {
    memories = tape.backward(value, one, [...watched.values()]);
  } finally {
    // A function that returns a parameter hands its cotangent on.
    if (!memories.includes(one)) engine.free(one);
  }
  const gradients = new Map([...watched.keys()].map((leaf, k) => [leaf, memories[k]]));
  const made = new Map<Tensor, Tensor>();
  return mapTree<Tensor, Tensor>(params, isTensor, (leaf, path) => {
    // A tensor under two names has one gradient.
    const known = made.get(leaf);
    if (known !== undefined) return viewAs(known, known.shape);
    const size = sizeOf(leaf.shape);
    const memory = gradients.get(leaf) ?? engine.upload(new Float32Array(size), `the gradient of ${path}`);
    const gradient = wrapMemory(device, [...leaf.shape], memory, `the gradient of ${path}`);
    made.set(leaf, gradient);
    return gradient;
  }) as P;
}

function leavesOf(params: Tree<Tensor>): Tensor[] {
  const context = "Cannot differentiate";
  if (typeof params !== "object" || params === null || isTensor(params)) {
    const came = isTensor(params) ? "one tensor; write { x: tensor }" : describe(params);
    throw new TypeError(`${context}: params must be a record of tensors, got ${came}`);
  }
  const entries = flattenTree<TensorLike>(params, isTensorLike) as [string, Tensor][];
  if (entries.length === 0) throw new TypeError(`${context}: params must have at least one tensor, got none`);
  const { device } = entries[0]![1];
  for (const [path, leaf] of entries) {
    if (!isTensor(leaf)) {
      throw new TypeError(`${context}: params.${path} must be a tensor on a device, got host data; use toDevice()`);
    }
    if (leaf.device !== device) throw new TypeError(`${context}: params.${path} lives on another device than the rest`);
    if (leaf.dtype !== device.dtype) {
      throw new TypeError(`${context}: params.${path} must have dtype ${device.dtype}, got ${leaf.dtype}`);
    }
    if (isTracked(leaf)) {
      throw new TypeError(
        `${context}: params.${path} is being differentiated by another call already; there are no derivatives of derivatives`,
      );
    }
  }
  return [...new Set(entries.map(([, leaf]) => leaf))];
}

/** Throws unless a function returned one number on a device. */
export function checkValue(value: unknown): asserts value is Tensor {
  const wanted = "Cannot differentiate: the function must return a tensor of shape ()";
  if (!isTensor(value)) throw new TypeError(`${wanted}, got ${describe(value)}; reduce with mean() or sum()`);
  if (value.shape.length > 0) {
    throw new TypeError(`${wanted}, got ${formatShape(value.shape)}; reduce with mean() or sum()`);
  }
}
