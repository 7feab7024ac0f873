import { defineOperator, type Operator } from "../scan/define_operator.ts";
import type { Shape } from "../core/types.ts";
import type { Sym } from "../trace/graph.ts";
import {
  add,
  concat,
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
  type Backward,
  gainOf,
  type Gaussian,
  identity,
  type LinearGaussian,
  type Measurement,
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

/**
 * The element of one step. The first one knows its state before it is measured, `start`: a step that forgets what was before
 * it, A = 0 with the bias m and the noise P. With `fixed` nothing but the measurement changes from step to step, and the
 * gains are found once.
 */
export function filterElement(
  dynamics: LinearGaussian,
  emission: LinearGaussian,
  { seen, value }: Measurement,
  { first, start, fixed }: { readonly first: Sym; readonly start: Gaussian; readonly fixed: boolean },
): FilterElement {
  const { matrix: f, covariance: q } = dynamics;
  const forgets: LinearGaussian = {
    matrix: mul(0, identity(f.shape[0]!)),
    bias: start.mean,
    covariance: start.covariance,
  };
  const noise = where(first, start.covariance, q);
  const moves = where(first, 0, f);
  const gains = fixed
    ? choose(first, { ...filterGain(forgets, emission) }, { ...filterGain(dynamics, emission) })
    : filterGain({ matrix: moves, bias: null, covariance: noise }, emission);
  const bias = where(first, start.mean, dynamics.bias ?? 0);
  const surprise = sub(value, affine(emission, bias));
  return {
    matrix: where(seen, gains.matrix, moves),
    mean: where(seen, add(bias, matvec(gains.gain, surprise)), bias),
    covariance: where(seen, gains.covariance, noise),
    potential: where(seen, matvecTransposed(gains.sight, surprise), 0),
    information: where(seen, gains.information, 0),
  };
}

/**
 * `earlier ∘ later`, one system of D equations for 2 D + 1 right sides and six products. With M = I + C₁ J₂:
 *
 *     A = A₂ M⁻¹ A₁    b = A₂ M⁻¹ (b₁ + C₁ η₂) + b₂    C = A₂ M⁻¹ C₁ A₂ᵀ + C₂
 *     η = (M⁻¹ A₁)ᵀ (η₂ - J₂ b₁) + η₁    J = (M⁻¹ A₁)ᵀ J₂ A₁ + J₁
 */
export function combineFilter(earlier: FilterElement, later: FilterElement): FilterElement {
  const m = add(identity(earlier.matrix.shape[0]!), matmul(earlier.covariance, later.information));
  const moved = linearSolve(m, earlier.matrix);
  const mean = linearSolve(m, add(earlier.mean, matvec(earlier.covariance, later.potential)));
  const covariance = linearSolve(m, earlier.covariance);
  const surprise = sub(later.potential, matvec(later.information, earlier.mean));
  return {
    matrix: matmul(later.matrix, moved),
    mean: add(matvec(later.matrix, mean), later.mean),
    covariance: symmetrize(
      add(matmul(matmul(later.matrix, covariance), transpose(later.matrix)), later.covariance),
    ),
    potential: add(matvecTransposed(moved, surprise), earlier.potential),
    information: symmetrize(
      add(matmul(transpose(moved), matmul(later.information, earlier.matrix)), earlier.information),
    ),
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

/** Given the state after it, the state of a step is `N(E x + g, L)`; given all that follows, `N(g, L)`. */
export interface SmootherElement {
  /** g `[D]`: from the last step back to this one the smoothed mean */
  readonly mean: Sym;
  /** L `[D, D]`: from the last step back the smoothed covariance */
  readonly covariance: Sym;
  /** E `[D, D]`, 0 of the last step */
  readonly matrix: Sym;
}

/** The element of a step that is not the last, from its filtered state. */
export function smootherElement({ mean }: Gaussian, { gain, predicted, covariance }: Backward): SmootherElement {
  return { matrix: gain, mean: sub(mean, matvec(gain, predicted)), covariance };
}

/** `earlier ∘ later` where time runs backward: E = E₂ E₁, g = E₂ g₁ + g₂, L = E₂ L₁ E₂ᵀ + L₂. Three products. */
export function combineSmoother(earlier: SmootherElement, later: SmootherElement): SmootherElement {
  const { matrix } = later;
  return {
    matrix: matmul(matrix, earlier.matrix),
    mean: add(matvec(matrix, earlier.mean), later.mean),
    covariance: symmetrize(add(matmul(matmul(matrix, earlier.covariance), transpose(matrix)), later.covariance)),
  };
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

/** The operator of smoothing elements of n states; time runs backward. */
export function smootherOperator(n: number): Operator {
  return keep(smoothers, n, () =>
    defineOperator({
      name: `Kalman smoother of ${n} states`,
      element: { mean: [n], covariance: [n, n], matrix: [n, n] },
      combine: (earlier, later) => ({ ...combineSmoother(earlier, later) }),
    }) as unknown as Operator);
}
