import { describe } from "../core/describe.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { Tree } from "../core/types.ts";
import { engineOf } from "../device.ts";
import { Tape } from "../tape.ts";
import { isTensor, type Tensor, viewAs, wrapMemory } from "../tensor.ts";

/**
 * The value of a scalar function and its gradient with respect to a tree of parameters, by reverse mode over cervid's
 * differentiable functions (`map`, `linearRecurrence`, layers, `sum`, `mean`, ...).
 *
 * `fn` gets the parameters and the further arguments as they are, and returns a tensor of shape `()`. What it makes from the
 * parameters is freed when the gradient is there, but for the value; on WebGPU nothing waits for the device. There is no
 * global tape: calls may overlap in time.
 *
 * Cost: about three times that of `fn`; memory for what the pullbacks read, mostly the inputs of each function. Throws
 * (rejects with) a `TypeError` where parameters are no float tensors of one device, or the value is no scalar tensor.
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
export function valueAndGrad<P extends Tree<Tensor>, A extends unknown[]>(
  fn: (params: P, ...args: A) => Tensor | Promise<Tensor>,
): (params: P, ...args: A) => Promise<{ value: Tensor; grads: P }> {
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot differentiate: expected a function of parameters, got ${describe(fn)}`);
  }
  return async (params, ...args) => {
    const leaves = leavesOf(params);
    const { device } = leaves[0]!;
    const tape = new Tape(device);
    let value: Tensor | undefined;
    try {
      const watched = new Map(leaves.map((leaf) => [leaf, tape.watch(leaf)]));
      value = await fn(mapTree<Tensor, Tensor>(params, isTensor, (leaf) => watched.get(leaf)!) as P, ...args);
      checkValue(value);
      const engine = engineOf(device);
      const one = engine.upload(new Float32Array([1]), "the cotangent of the value");
      const wrt = [...watched.values()];
      const gradients = new Map(tape.backward(value, one, wrt).map((memory, k) => [leaves[k]!, memory]));
      engine.free(one);
      const made = new Map<Tensor, Tensor>();
      const grads = mapTree<Tensor, Tensor>(params, isTensor, (leaf, path) => {
        // A tensor under two names has one gradient.
        const known = made.get(leaf);
        if (known !== undefined) return viewAs(known, known.shape);
        const size = sizeOf(leaf.shape);
        const memory = gradients.get(leaf) ?? engine.upload(new Float32Array(size), `the gradient of ${path}`);
        const gradient = wrapMemory(device, [...leaf.shape], memory, `the gradient of ${path}`);
        made.set(leaf, gradient);
        return gradient;
      });
      return { value, grads: grads as P };
    } catch (error) {
      value?.dispose?.();
      throw error;
    } finally {
      tape.end(value);
    }
  };
}

function leavesOf(params: Tree<Tensor>): Tensor[] {
  const context = "Cannot differentiate";
  if (typeof params !== "object" || params === null) {
    throw new TypeError(`${context}: params must be a record of tensors, got ${describe(params)}`);
  }
  const entries = flattenTree<Tensor>(params, isTensor);
  if (entries.length === 0) throw new TypeError(`${context}: params must have at least one tensor, got none`);
  const { device } = entries[0]![1];
  for (const [path, leaf] of entries) {
    if (leaf.device !== device) throw new TypeError(`${context}: params.${path} lives on another device than the rest`);
    if (leaf.dtype !== device.dtype) {
      throw new TypeError(`${context}: params.${path} must have dtype ${device.dtype}, got ${leaf.dtype}`);
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
