import { defineOperator, type Operator } from "../scan/define_operator.ts";
import type { Shape } from "../core/types.ts";
import type { Sym } from "../trace/graph.ts";
import {
  add,
  concat,
  constant,
  linearSolve,
  matmul,
  matvec,
  matvecTransposed,
  mul,
  reshape,
  slice,
  sub,
  transpose,
  where,
} from "../trace/ops.ts";
import {
  affine,
  between,
  gainOf,
  type Gaussian,
  identity,
  type LinearGaussian,
  type Measurement,
  settle,
  symmetrize,
} from "./gaussian.ts";

// The associative elements of Särkkä & García-Fernández, "Temporal parallelization of Bayesian smoothers", IEEE Transactions
// on Automatic Control 66 (2021), arXiv 1905.13002, each with its combination as one traced operator for every engine.

/**
 * What a stretch of steps does to the state x before it: given x, the state after it is `N(A x + b, C)`, and its measurements
 * have a likelihood in x proportional to `exp(ηᵀ x - ½ xᵀ J x)`.
 */
export interface FilterElement {
  /** A `[D, D]` */
  readonly matrix: Sym;
  /** b `[D]`: of all steps so far the filtered mean */
  readonly mean: Sym;
  /** C `[D, D]`: of all steps so far the filtered covariance */
  readonly covariance: Sym;
  /** η `[D]` */
  readonly potential: Sym;
  /** J `[D, D]` */
  readonly information: Sym;
}

/** What of an element depends on the model alone. */
interface FilterGain {
  readonly matrix: Sym;
  readonly gain: Sym;
  readonly covariance: Sym;
  /** `S⁻¹ H F` */
  readonly sight: Sym;
  readonly information: Sym;
}

function filterGain({ matrix: f, covariance }: LinearGaussian, emission: LinearGaussian): FilterGain {
  const { innovation, gain, rest, covariance: updated } = gainOf(emission, covariance);
  const seen = matmul(emission.matrix, f);
  const sight = linearSolve(innovation, seen);
  const information = symmetrize(matmul(transpose(seen), sight));
  return { matrix: matmul(rest, f), gain, covariance: updated, sight, information };
}

/** `where` on every field. */
function choose<T extends Readonly<Record<string, Sym>>>(condition: Sym, a: T, b: T): T {
  return Object.fromEntries(Object.entries(a).map(([key, value]) => [key, where(condition, value, b[key]!)])) as T;
}

/** The element of a step by its gains; where the measurement is missing it only moves. */
function elementOf(
  { matrix, bias, covariance }: LinearGaussian,
  emission: LinearGaussian,
  { seen, value }: Measurement,
  gains: FilterGain,
): FilterElement {
  const moved = bias ?? constant(new Float64Array(matrix.shape[0]!));
  const surprise = sub(value, affine(emission, moved));
  return {
    matrix: where(seen, gains.matrix, matrix),
    mean: where(seen, add(moved, matvec(gains.gain, surprise)), moved),
    covariance: where(seen, gains.covariance, covariance),
    potential: where(seen, matvecTransposed(gains.sight, surprise), 0),
    information: where(seen, gains.information, 0),
  };
}

/** The element of a step, whose state before it is not known. */
export function stepElement(
  dynamics: LinearGaussian,
  emission: LinearGaussian,
  measurement: Measurement,
): FilterElement {
  return elementOf(dynamics, emission, measurement, filterGain(dynamics, emission));
}

/**
 * The element of one step of all. The first one knows its state before it is measured, `start`: a step that forgets what was
 * before it, A = 0 with the bias m and the noise P. With `fixed` nothing but the measurement changes from step to step, and
 * the gains are found once.
 */
export function filterElement(
  dynamics: LinearGaussian,
  emission: LinearGaussian,
  measurement: Measurement,
  { first, start, fixed }: { readonly first: Sym; readonly start: Gaussian; readonly fixed: boolean },
): FilterElement {
  const forgets: LinearGaussian = {
    matrix: mul(0, identity(dynamics.matrix.shape[0]!)),
    bias: start.mean,
    covariance: start.covariance,
  };
  const moves: LinearGaussian = {
    matrix: where(first, 0, dynamics.matrix),
    bias: where(first, start.mean, dynamics.bias ?? 0),
    covariance: where(first, start.covariance, dynamics.covariance),
  };
  const gains = fixed
    ? choose(first, { ...filterGain(forgets, emission) }, { ...filterGain(dynamics, emission) })
    : filterGain(moves, emission);
  return elementOf(moves, emission, measurement, gains);
}

/** What the measurements of a stretch of steps say of the state x before it: `exp(ηᵀ x - ½ xᵀ J x)`. */
export type Future = Pick<FilterElement, "potential" | "information">;

/** `I + C₁ J₂` */
function meet({ covariance }: FilterElement, { information }: Future): Sym {
  return add(identity(covariance.shape[0]!), matmul(covariance, information));
}

/** η and J of `earlier ∘ later`, given `M⁻¹ A₁`. */
function lookThrough(moved: Sym, earlier: FilterElement, later: Future): Future {
  const surprise = sub(later.potential, matvec(later.information, earlier.mean));
  return {
    potential: add(matvecTransposed(moved, surprise), earlier.potential),
    information: symmetrize(
      add(matmul(transpose(moved), matmul(later.information, earlier.matrix)), earlier.information),
    ),
  };
}

/** What `later` says of the state before `earlier`, with what `earlier` says: η and J of `earlier ∘ later`. */
export function lookAhead(earlier: FilterElement, later: Future): Future {
  return lookThrough(linearSolve(meet(earlier, later), earlier.matrix), earlier, later);
}

/**
 * `earlier ∘ later`, one system of D equations for 2 D + 1 right sides and six products. With M = I + C₁ J₂:
 *
 *     A = A₂ M⁻¹ A₁    b = A₂ M⁻¹ (b₁ + C₁ η₂) + b₂    C = A₂ M⁻¹ C₁ A₂ᵀ + C₂
 *     η = (M⁻¹ A₁)ᵀ (η₂ - J₂ b₁) + η₁    J = (M⁻¹ A₁)ᵀ J₂ A₁ + J₁
 */
export function combineFilter(earlier: FilterElement, later: FilterElement): FilterElement {
  const m = meet(earlier, later);
  const mean = linearSolve(m, add(earlier.mean, matvec(earlier.covariance, later.potential)));
  const covariance = linearSolve(m, earlier.covariance);
  const moved = linearSolve(m, earlier.matrix);
  return {
    matrix: matmul(later.matrix, moved),
    mean: add(matvec(later.matrix, mean), later.mean),
    covariance: settle(add(between(later.matrix, covariance), later.covariance)),
    ...lookThrough(moved, earlier, later),
  };
}

/** A filtering element as arrays: mean and covariance are answers, A, J and η are one array, so that kernels can bind all. */
const FILTER_LEAVES = (
  n: number,
): { readonly mean: Shape; readonly covariance: Shape; readonly rest: Shape } => ({
  mean: [n],
  covariance: [n, n],
  rest: [2 * n * n + n],
});

/** The arrays of an element. */
export function packFilter({ mean, covariance, matrix, information, potential }: FilterElement): {
  readonly mean: Sym;
  readonly covariance: Sym;
  readonly rest: Sym;
} {
  const size = matrix.shape[0]! ** 2;
  return { mean, covariance, rest: concat(reshape(matrix, [size]), reshape(information, [size]), potential) };
}

function unpackFilter(
  { mean, covariance, rest }: { readonly mean: Sym; readonly covariance: Sym; readonly rest: Sym },
): FilterElement {
  const n = mean.shape[0]!;
  const matrixAt = (k: number): Sym => reshape(slice(rest, k * n * n, (k + 1) * n * n), [n, n]);
  const potential = slice(rest, 2 * n * n, 2 * n * n + n);
  return { mean, covariance, matrix: matrixAt(0), information: matrixAt(1), potential };
}

const filters = new Map<number, Operator>();
const smoothers = new Map<number, Operator>();

function keep(known: Map<number, Operator>, n: number, make: () => Operator): Operator {
  let operator = known.get(n);
  if (operator === undefined) known.set(n, operator = make());
  return operator;
}

/** The operator of filtering elements of n states. */
export function filterOperator(n: number): Operator {
  return keep(filters, n, () =>
    defineOperator({
      name: `Kalman filter of ${n} states`,
      element: FILTER_LEAVES(n),
      combine: (earlier, later) => packFilter(combineFilter(unpackFilter(earlier), unpackFilter(later))),
    }) as unknown as Operator);
}

/**
 * The operator of the smoother: the same elements from the last one back, so that what comes first in the scan is later in
 * time.
 */
export function smootherOperator(n: number): Operator {
  return keep(smoothers, n, () =>
    defineOperator({
      name: `Kalman smoother of ${n} states`,
      element: FILTER_LEAVES(n),
      combine: (later, earlier) => packFilter(combineFilter(unpackFilter(earlier), unpackFilter(later))),
    }) as unknown as Operator);
}
