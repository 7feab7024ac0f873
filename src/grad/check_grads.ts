import { checkKeys, describe } from "../core/describe.ts";
import { createRandom, type Random } from "../core/random.ts";
import { checkCount, sizeOf } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { Device } from "../device.ts";
import { Tape } from "../tape.ts";
import { isTensor, type Tensor, tensor, toHost } from "../tensor.ts";
import { type TensorTree, treeOf } from "../tensor_tree.ts";
import { checkValue, valueAndGrad } from "./value_and_grad.ts";

/** Settings of {@linkcode checkGrads}. */
export interface CheckGradsOptions<A extends readonly unknown[] = readonly unknown[]> {
  /** What `fn` gets after the parameters. */
  args?: A;
  /** Random directions in each parameter. Default 2. */
  directions?: number;
  /** Of the directions. Default 0. */
  seed?: number;
  /** How far to go along a direction of length 1. Default 7e-4 in f64, 0.04 in f32. */
  step?: number;
  /** What the slopes may differ by, in units of the larger. Default 1e-6 in f64, 1e-2 in f32. */
  rtol?: number;
  /** What they may differ by beside that, in units of the value of `fn` or 1. Default 1e-8 in f64, 1e-4 in f32. */
  atol?: number;
  /** `throw` (default): a gradient that is wrong is a `RangeError`. `return`: the report says so. */
  onFailure?: "throw" | "return";
}

/** What was found along one direction in one parameter. */
export interface DirectionReport {
  /** The slope by reverse mode: the gradient times the direction. */
  readonly gradient: number;
  /** The slope by differences. */
  readonly differences: number;
  /** What the two may differ by. */
  readonly tolerance: number;
}

/** What was found for one parameter. */
export interface LeafReport {
  /** Its name ("layer.weight"). */
  readonly path: string;
  /** Whether all slopes agree. */
  readonly passed: boolean;
  /** Along each direction. */
  readonly directions: readonly DirectionReport[];
}

/** The answer of {@linkcode checkGrads}. */
export interface GradientReport {
  /** Whether all slopes of all parameters agree. */
  readonly passed: boolean;
  /** The value of the function. */
  readonly value: number;
  /** One for each parameter, in the order of their names. */
  readonly leaves: readonly LeafReport[];
}

/** Steps are ε^(1/5): there what differences of fourth order leave out is as large as what rounding adds, ε^(4/5). */
const DEFAULTS = {
  f64: { step: 7e-4, rtol: 1e-6, atol: 1e-8 },
  f32: { step: 0.04, rtol: 1e-2, atol: 1e-4 },
} as const;

/**
 * Compares the gradient of `fn`, as `valueAndGrad` takes it, with central differences of fourth order,
 * `(8 (f(p + s v) - f(p - s v)) - (f(p + 2 s v) - f(p - 2 s v))) / (12 s)`, along a few random directions v of length 1 in
 * each parameter. In the manner of JAX's `check_grads`.
 *
 * Use a device of f64 (`openDevice({ dtype: "f64" })`): there a gradient is confirmed to six digits; in f32, where rounding
 * alone is about 2e-5 of the value, to two at best, and small gradients beside a large value not at all. `fn` must be smooth
 * on the scale of the step: at a kink, such as that of relu, the two differ with right.
 *
 * Cost: a gradient, and four values of `fn` for each parameter and direction; waits for each. Throws (rejects with) a
 * `RangeError` that names the parameter where the two differ, and what `valueAndGrad` throws.
 *
 * @example
 * ```ts
 * import { checkGrads, matmul, openDevice, squaredError, tensor } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const x = tensor(device, { data: new Float64Array([1, 2, 3, 4]), shape: [2, 2] });
 * const y = tensor(device, { data: new Float64Array([1, 2]), shape: [2, 1] });
 * const params = { w: tensor(device, { data: new Float64Array([0.5, -0.5]), shape: [2, 1] }) };
 * const report = await checkGrads((p: typeof params) => squaredError(matmul(x, p.w), y), params);
 * console.log(report.passed, report.leaves[0]?.directions);
 * ```
 */
export async function checkGrads<P extends TensorTree<P>, A extends unknown[]>(
  fn: (params: P, ...args: A) => Tensor | Promise<Tensor>,
  params: P,
  options: CheckGradsOptions<A> = {},
): Promise<GradientReport> {
  const context = "Cannot check gradients";
  checkKeys(context, "options", options, ["args", "directions", "seed", "step", "rtol", "atol", "onFailure"]);
  const { args = [] as unknown as A, directions = 2, seed = 0, onFailure = "throw" } = options;
  checkCount(context, "directions", directions, 1);
  if (!Array.isArray(args)) throw new TypeError(`${context}: args must be a list, got ${describe(args)}`);
  if (onFailure !== "throw" && onFailure !== "return") {
    throw new RangeError(`${context}: onFailure must be "throw" or "return", got ${describe(onFailure)}`);
  }
  const random = createRandom(seed);
  const answer = await valueAndGrad(fn)(params, ...args);
  const gradients = new Map(flattenTree<Tensor>(treeOf(answer.grads), isTensor));
  // A tensor under two names is one parameter.
  const leaves = new Map(
    flattenTree<Tensor>(treeOf(params), isTensor).toReversed().map(([path, leaf]) => [leaf, path]),
  );
  const { device } = answer.value;
  const { step, rtol, atol } = { ...DEFAULTS[device.dtype], ...withoutAbsent(options) };
  for (const [name, number] of Object.entries({ step, rtol, atol })) {
    if (!(typeof number === "number" && number >= (name === "step" ? Number.MIN_VALUE : 0) && number < Infinity)) {
      throw new RangeError(`${context}: ${name} must be a number above 0, got ${describe(number)}`);
    }
  }
  const value = await readNumber(answer.value);
  const reports: LeafReport[] = [];
  for (const [leaf, path] of [...leaves].toReversed()) {
    const gradient = await toHost(gradients.get(path)!);
    const { data, shape } = await toHost(leaf);
    const found: DirectionReport[] = [];
    for (let k = 0; k < directions && sizeOf(shape) > 0; k++) {
      const direction = unitVector(random, data.length);
      const at = async (distance: number): Promise<number> => {
        const moved = Float64Array.from(data, (number, i) => number + distance * direction[i]!);
        using changed = tensor(device, { data: moved, shape }, path);
        const tree = mapTree<Tensor, Tensor>(treeOf(params), isTensor, (other) => other === leaf ? changed : other);
        return await evaluate(device, fn, tree as unknown as P, args);
      };
      const slope = (8 * (await at(step) - await at(-step)) - (await at(2 * step) - await at(-2 * step))) / (12 * step);
      const product = direction.reduce((total, number, i) => total + number * gradient.data[i]!, 0);
      const tolerance = rtol * Math.max(Math.abs(slope), Math.abs(product)) + atol * Math.max(1, Math.abs(value));
      found.push({ gradient: product, differences: slope, tolerance });
    }
    reports.push({ path, passed: found.every(agrees), directions: found });
  }
  for (const gradient of gradients.values()) gradient.dispose();
  const wrong = reports.find(({ passed }) => !passed);
  if (wrong !== undefined && onFailure === "throw") {
    const { gradient, differences, tolerance } = wrong.directions.find((direction) => !agrees(direction))!;
    throw new RangeError(
      `Cannot confirm the gradient of params.${wrong.path}: along a random direction differences give ${differences}, ` +
        `got ${gradient}, which may differ by ${tolerance}; look at the pullbacks it comes through, or for a kink`,
    );
  }
  return { passed: wrong === undefined, value, leaves: reports };
}

/** NaN agrees with nothing. */
function agrees({ gradient, differences, tolerance }: DirectionReport): boolean {
  return Math.abs(gradient - differences) <= tolerance;
}

function withoutAbsent({ step, rtol, atol }: CheckGradsOptions): { step?: number; rtol?: number; atol?: number } {
  return Object.fromEntries(Object.entries({ step, rtol, atol }).filter(([, number]) => number !== undefined));
}

function unitVector(random: Random, length: number): Float64Array {
  const direction = Float64Array.from({ length }, () => random.normal());
  const norm = Math.sqrt(direction.reduce((total, number) => total + number * number, 0));
  return direction.map((number) => number / norm);
}

async function readNumber(value: Tensor): Promise<number> {
  const { data } = await toHost(value);
  value.dispose();
  return data[0]!;
}

/** The value of a function, with what it makes on the way freed as by `valueAndGrad`. */
async function evaluate<P extends TensorTree<P>, A extends unknown[]>(
  device: Device,
  fn: (params: P, ...args: A) => Tensor | Promise<Tensor>,
  params: P,
  args: A,
): Promise<number> {
  const tape = new Tape(device);
  let value: Tensor | undefined;
  try {
    value = await fn(
      mapTree<Tensor, Tensor>(treeOf(params), isTensor, (leaf) => tape.watch(leaf)) as unknown as P,
      ...args,
    );
    checkValue(value);
    return await readNumber(value);
  } finally {
    tape.end(new Set([value]));
  }
}
