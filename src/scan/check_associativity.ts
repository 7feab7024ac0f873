import { checkKeys, describe } from "../core/describe.ts";
import { createRandom } from "../core/random.ts";
import { checkCount, sizeOf } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { HostTensor, Shape, ShapeTree, Tree } from "../core/types.ts";
import { type Device, engineOf, openDevice } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { place } from "../place.ts";
import { placeParams } from "../place_params.ts";
import { isTensor, isTensorLike, memoryOf, type Tensor, type TensorLike, toHost } from "../tensor.ts";
import { isShape } from "../trace/parameters.ts";
import type { RowProgram } from "../trace/rows.ts";
import { type LeavesOf, type Operator, operatorProgram } from "./define_operator.ts";
import { elementArrays, type ElementLeaf, leadingAxes, treeOf } from "./elements.ts";

/** Elements drawn at random, every number standard normal. */
export interface RandomElements {
  /** How many triples are compared; default 100. */
  count?: number;
  /** Default 0: the same seed gives the same elements. */
  seed?: number;
}

/** How {@linkcode checkAssociativity} compares. */
export interface AssociativityOptions<P extends ShapeTree = ShapeTree> {
  /** Allowed difference, relative to the largest number of the array that it is in; default 1e-9. */
  rtol?: number;
  /** Parameters in the tree that the operator declares; absent where it has none. */
  params?: LeavesOf<P, TensorLike>;
}

/** Three elements for which the brackets matter. */
export interface AssociativityBreach {
  /** The index of a among the samples; b and c follow it. */
  readonly index: number;
  /** The first of the three. */
  readonly a: Tree<HostTensor>;
  /** The second. */
  readonly b: Tree<HostTensor>;
  /** The third. */
  readonly c: Tree<HostTensor>;
  /** The first array of an element that differs. */
  readonly path: string;
  /** That array of `(a ∘ b) ∘ c`. */
  readonly left: HostTensor;
  /** That array of `a ∘ (b ∘ c)`. */
  readonly right: HostTensor;
}

/** What {@linkcode checkAssociativity} found. */
export interface AssociativityReport {
  /** Whether no triple breaks the law: evidence, not a proof. */
  readonly associative: boolean;
  /** The largest difference of any array of any triple, relative to its largest number. */
  readonly worst: number;
  /** The first triple that breaks the law, or null. */
  readonly where: AssociativityBreach | null;
}

/** Arrays of `count` elements, one for each leaf. */
type Elements = readonly Float64Array[];

function drawElements(context: string, leaves: readonly ElementLeaf[], given: RandomElements): [Elements, number] {
  checkKeys(context, "random elements", given, ["count", "seed"]);
  const { count = 100, seed = 0 } = given;
  checkCount(context, "count", count, 1);
  const { normal } = createRandom(seed);
  return [leaves.map(([, shape]) => Float64Array.from({ length: (count + 2) * sizeOf(shape) }, normal)), count];
}

async function readElements(
  context: string,
  leaves: readonly ElementLeaf[],
  given: unknown,
): Promise<[Elements, number]> {
  const arrays = elementArrays(context, leaves, given);
  const [count] = leadingAxes(context, leaves, arrays, ["N"]) as [number];
  if (count < 3) throw new TypeError(`${context}: at least 3 elements are expected, got ${count}`);
  const values = await Promise.all(arrays.map(hostOf));
  return [values.map(({ data }) => Float64Array.from(data)), count - 2];
}

async function hostOf(value: TensorLike): Promise<HostTensor> {
  return isTensor(value) ? await toHost(value) : value;
}

/** The largest difference of rows `r` of two arrays, relative to the largest number in them; of what is not finite 0 or infinite. */
function difference(left: Float64Array, right: Float64Array): number {
  let [worst, size] = [0, 0];
  for (const [i, x] of left.entries()) {
    const y = right[i]!;
    if (x === y || Object.is(x, y)) {
      if (Number.isFinite(x)) size = Math.max(size, Math.abs(x));
      continue;
    }
    const gap = Math.abs(x - y);
    if (!Number.isFinite(gap)) return Infinity;
    worst = Math.max(worst, gap);
    size = Math.max(size, Math.abs(x), Math.abs(y));
  }
  return worst === 0 ? 0 : worst / size;
}

/** `earlier ∘ later` for rows of elements, in double precision. */
function combineRows(
  device: Device,
  program: RowProgram,
  params: readonly Memory[],
  earlier: readonly Memory[],
  later: readonly Memory[],
  time: number,
): Memory[] {
  const engine = engineOf(device);
  const outputs = program.outputs.map(({ node }) => engine.allocate("f64", time * node.size, "elements"));
  const inputs = [...earlier, ...later].map((memory) => ({ memory, start: null }));
  engine.map({ program, params, inputs, outputs, batch: 1, time });
  return outputs;
}

/**
 * Looks for elements that break the law `(a ∘ b) ∘ c = a ∘ (b ∘ c)`: evaluates both sides in double precision on the CPU, for
 * every three samples in a row. `samples` are elements `(N, ...shape)`, N at least 3, or how to draw them at random; give
 * some of your own where not every tree of numbers is an element (covariances, probabilities).
 *
 * A helper for tests and for debugging: it finds a wrong formula at once, but proves nothing. It waits for device tensors
 * among the samples. Cost: 4 combinations a triple.
 *
 * @example Subtraction is not associative
 * ```ts
 * import { checkAssociativity, defineOperator } from "@cervid/cervid";
 * import { sub } from "@cervid/cervid/ops";
 *
 * const minus = defineOperator({
 *   name: "minus",
 *   element: { x: [] },
 *   combine: (earlier, later) => ({ x: sub(earlier.x, later.x) }),
 * });
 * const samples = { x: { data: new Float64Array([1, 2, 3]), shape: [3] } };
 * const { associative, where } = await checkAssociativity(minus, samples);
 * console.log(associative, where?.left.data, where?.right.data); // false, (1 - 2) - 3 = -4, 1 - (2 - 3) = 2
 * ```
 */
export async function checkAssociativity<E extends ShapeTree, P extends ShapeTree>(
  operator: Operator<E, P>,
  samples: LeavesOf<E, TensorLike> | RandomElements = {} as RandomElements,
  options: AssociativityOptions<P> = {},
): Promise<AssociativityReport> {
  const program = operatorProgram(operator);
  const context = `Cannot check "${program.name}"`;
  checkKeys(context, "options", options, ["rtol", "params"]);
  const { rtol = 1e-9, params = {} } = options;
  if (typeof rtol !== "number" || !(rtol >= 0)) {
    throw new RangeError(`${context}: rtol must be a number of at least 0, got ${describe(rtol)}`);
  }
  const leaves = flattenTree<Shape>(operator.element, isShape);
  const [elements, count] = isRandom(samples)
    ? drawElements(context, leaves, samples)
    : await readElements(context, leaves, samples);
  const given = await hostTree(params as Tree<TensorLike>);
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const own: Tensor[] = [];
  const p = placeParams(context, program.params, given, device, own).map(memoryOf);
  const sizes = leaves.map(([, shape]) => sizeOf(shape));
  const rows = (data: Float64Array, k: number, from: number, length: number): Float64Array =>
    data.subarray(from * sizes[k]!, (from + length) * sizes[k]!);
  const [a, b, c] = [0, 1, 2].map((shift) =>
    elements.map((data, k) => {
      const part = rows(data, k, shift, count);
      return memoryOf(place(context, leaves[k]![0], { data: part, shape: [part.length] }, device, own));
    })
  ) as [Memory[], Memory[], Memory[]];
  const combine = (x: readonly Memory[], y: readonly Memory[]) => combineRows(device, program, p, x, y, count);
  const read = async (list: readonly Memory[]): Promise<Elements> =>
    await Promise.all(list.map((memory) => engineOf(device).read(memory) as Promise<Float64Array>));
  const [lefts, rights] = [await read(combine(combine(a, b), c)), await read(combine(a, combine(b, c)))];
  let [worst, where]: [number, AssociativityBreach | null] = [0, null];
  for (let index = 0; index < count; index++) {
    for (const [k, [path, shape]] of leaves.entries()) {
      const [left, right] = [rows(lefts[k]!, k, index, 1), rows(rights[k]!, k, index, 1)];
      const gap = difference(left, right);
      worst = Math.max(worst, gap);
      if (gap <= rtol || where !== null) continue;
      const element = (r: number): Tree<HostTensor> =>
        treeOf(leaves, leaves.map(([, shape], k) => ({ data: rows(elements[k]!, k, r, 1).slice(), shape })));
      const [x, y, z] = [element(index), element(index + 1), element(index + 2)];
      const host = (data: Float64Array): HostTensor => ({ data: data.slice(), shape });
      where = { index, a: x, b: y, c: z, path, left: host(left), right: host(right) };
    }
  }
  return { associative: where === null, worst, where };
}

function isRandom(samples: unknown): samples is RandomElements {
  if (typeof samples !== "object" || samples === null) return false;
  return Object.values(samples).every((value) => typeof value !== "object");
}

/** A tree of arrays in host memory, where every device finds them. */
async function hostTree(tree: Tree<TensorLike>): Promise<Tree<TensorLike>> {
  const found = new Map<string, HostTensor>();
  for (const [path, value] of flattenTree<TensorLike>(tree, isTensorLike)) found.set(path, await hostOf(value));
  return mapTree<TensorLike, TensorLike>(tree, isTensorLike, (_, path) => found.get(path)!);
}
