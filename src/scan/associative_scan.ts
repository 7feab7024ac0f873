import { checkKeys, describe } from "../core/describe.ts";
import { sizeOf } from "../core/shape.ts";
import { flattenTree } from "../core/tree.ts";
import type { Shape, ShapeTree, Tree } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import { findDevice, place } from "../place.ts";
import { placeParams } from "../place_params.ts";
import { record } from "../tape.ts";
import { memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import { isShape } from "../trace/parameters.ts";
import { type LeavesOf, type Operator, operatorProgram } from "./define_operator.ts";
import { elementArrays, leadingAxes, treeOf } from "./elements.ts";
import { pullBackScan } from "./operator_pullback.ts";

/** How {@linkcode associativeScan} goes. */
export interface AssociativeScanOptions<P extends ShapeTree = ShapeTree> {
  /** From the last element to the first: "earlier" is what has the larger t. Default false. */
  reverse?: boolean;
  /** Parameters in the tree that the operator declares; absent where it has none. */
  params?: LeavesOf<P, TensorLike>;
  /** Needed only where no argument is a device tensor. */
  device?: Device;
}

/**
 * All prefixes under an associative operator: `out[t] = e[0] ∘ e[1] ∘ ... ∘ e[t]`, inclusive, where `earlier ∘ later` is the
 * operator's `combine(earlier, later)`, called in this order always. With `reverse` all suffixes, read from the end,
 * `out[t] = e[T-1] ∘ e[T-2] ∘ ... ∘ e[t]`: the arrays are reversed in time, scanned, and reversed again.
 *
 * Elements are trees of arrays `(B, T, ...shape)`, or `(T, ...shape)` for one sequence, in the tree of shapes that the
 * operator declares; the answer is a tree of new tensors of the same shapes, freed by `dispose()` or {@linkcode tidy}.
 *
 * The law `(a ∘ b) ∘ c = a ∘ (b ∘ c)` is what makes it parallel: brackets may stand anywhere, so the elements are cut into
 * chunks, folded side by side, the results are scanned in the same way, and each chunk is folded again from the prefix before
 * it. An operator that breaks the law gets an answer that depends on the machine; {@linkcode checkAssociativity} looks for
 * such operators. In floating-point arithmetic the brackets show in the last digits: the same device, shapes and operator give
 * the same bits. What is not finite goes where the operator's arithmetic takes it.
 *
 * Cost: work O(T), about 2 combinations an element on WebGPU and 1 on the CPU, where it is a fold; depth O(log T) levels of
 * chunks of 32 or more. Traffic: elements are read twice and written once. On WebGPU an invocation keeps an element: best for
 * a few words, at most about 1000. With more than three arrays elements are copied together first. For `a x + b` with
 * matrices or diagonals {@linkcode linearRecurrence} is faster.
 *
 * Differentiable, with respect to elements and parameters: the way back is the adjoint of `out[t] = out[t-1] ∘ e[t]`, one
 * linear recurrence in reversed time with the traced Jacobian of the operator, so it is that of the fold also where the law
 * holds for some elements only. It takes about 12 words of memory for each word of the elements.
 *
 * Throws a `TypeError` for arrays that do not fit the operator, a {@linkcode DeviceError} for elements that are too large.
 *
 * Blelloch, "Prefix sums and their applications" (1990); in the spirit of JAX's `associative_scan`.
 *
 * @example The largest value so far, and where it was first
 * ```ts
 * import { associativeScan, defineOperator, openDevice, toHost } from "@cervid/cervid";
 * import { greater, where } from "@cervid/cervid/ops";
 *
 * const largest = defineOperator({
 *   name: "largest",
 *   element: { value: [], at: [] },
 *   combine: (earlier, later) => {
 *     const newer = greater(later.value, earlier.value);
 *     return { value: where(newer, later.value, earlier.value), at: where(newer, later.at, earlier.at) };
 *   },
 * });
 * await using device = await openDevice({ backend: "cpu" });
 * const value = { data: new Float32Array([3, 1, 4, 1, 5, 9, 2, 6]), shape: [8] };
 * const at = { data: Float32Array.from({ length: 8 }, (_, t) => t), shape: [8] };
 * const best = associativeScan(largest, { value, at }, { device });
 * console.log((await toHost(best.at)).data); // 0, 0, 2, 2, 4, 5, 5, 5
 * ```
 *
 * @example A linear recurrence: maps x → a x + b, applied one after the other
 * ```ts
 * import { associativeScan, defineOperator, openDevice, toHost } from "@cervid/cervid";
 * import { add, mul } from "@cervid/cervid/ops";
 *
 * const affine = defineOperator({
 *   name: "affine",
 *   element: { a: [], b: [2] },
 *   combine: (earlier, later) => ({
 *     a: mul(later.a, earlier.a),
 *     b: add(mul(later.a, earlier.b), later.b),
 *   }),
 * });
 * await using device = await openDevice({ backend: "cpu" });
 * const a = { data: new Float32Array(100).fill(0.5), shape: [100] };
 * const b = { data: new Float32Array(200).fill(1), shape: [100, 2] };
 * const maps = associativeScan(affine, { a, b }, { device });
 * // Started at 0, b is the state: y[t] = 0.5 y[t-1] + 1.
 * console.log((await toHost(maps.b)).data.slice(0, 6)); // 1, 1, 1.5, 1.5, 1.75, 1.75
 * ```
 *
 * @example Rotations of the plane: products of matrices, which in general do not commute
 * ```ts
 * import { associativeScan, defineOperator, openDevice, toHost } from "@cervid/cervid";
 * import { matmul } from "@cervid/cervid/ops";
 *
 * const product = defineOperator({
 *   name: "product",
 *   element: { m: [2, 2] },
 *   combine: (earlier, later) => ({ m: matmul(later.m, earlier.m) }),
 * });
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const turns = Array.from({ length: 6 }, () => Math.PI / 6).map((angle) => [Math.cos(angle), Math.sin(angle)]);
 * const data = Float64Array.from(turns.flatMap(([c, s]) => [c!, -s!, s!, c!]));
 * const { m } = associativeScan(product, { m: { data, shape: [6, 2, 2] } }, { device });
 * console.log((await toHost(m)).data.slice(20)); // half a turn: -1, 0, 0, -1
 * ```
 */
export function associativeScan<E extends ShapeTree, P extends ShapeTree>(
  operator: Operator<E, P>,
  elements: LeavesOf<E, TensorLike>,
  options: AssociativeScanOptions<P> = {},
): LeavesOf<E, Tensor> {
  const program = operatorProgram(operator);
  const context = `Cannot scan with "${program.name}"`;
  checkKeys(context, "options", options, ["reverse", "params", "device"]);
  const { reverse = false, params: given = {} } = options;
  if (typeof reverse !== "boolean") {
    throw new TypeError(`${context}: reverse must be true or false, got ${describe(reverse)}`);
  }
  const leaves = flattenTree<Shape>(operator.element, isShape);
  const arrays = elementArrays(context, leaves, elements);
  const leading = leadingAxes(context, leaves, arrays);
  const device = findDevice(context, options.device, [given as Tree<TensorLike>, ...arrays]);
  const engine = engineOf(device);
  const temporary: Tensor[] = [];
  const outputs: Tensor[] = [];
  try {
    const params = placeParams(context, program.params, given as Tree<TensorLike>, device, temporary);
    const inputs = leaves.map(([path], k) => place(context, `elements.${path}`, arrays[k]!, device, temporary));
    for (const [path, own] of leaves) {
      const shape = [...leading, ...own];
      const label = `${path} of a scan with "${program.name}"`;
      outputs.push(wrapMemory(device, shape, engine.allocate(engine.dtype, sizeOf(shape), label), label));
    }
    const [batch, time] = leading.length === 2 ? leading as [number, number] : [1, leading[0]!];
    const memories = {
      params: params.map(memoryOf),
      inputs: inputs.map(memoryOf),
      outputs: outputs.map(memoryOf),
    };
    const job = { program, ...memories, batch, time, reverse };
    engine.scanWith(job);
    record({
      name: "associativeScan",
      inputs: [...params, ...inputs],
      outputs,
      holds: [...params, ...inputs, ...outputs],
      pullback: (cotangents, wanted) => pullBackScan({ device, ...job }, cotangents, wanted),
    });
    return treeOf(leaves, outputs) as LeavesOf<E, Tensor>;
  } catch (error) {
    for (const output of outputs) output.dispose();
    throw error;
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}
