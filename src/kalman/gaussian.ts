import type { Sym } from "../trace/graph.ts";
import {
  add,
  constant,
  dot,
  equal,
  isNaN,
  linearSolve,
  logDet,
  matmul,
  matvec,
  max,
  mul,
  stopGradient,
  sub,
  sum,
  transpose,
  where,
} from "../trace/ops.ts";

// The algebra of linear Gaussian models, traced: what the serial recursion and the elements of the parallel one are made of.

/** A normal distribution. */
export interface Gaussian {
  /** `[n]` */
  readonly mean: Sym;
  /** `[n, n]`, symmetric */
  readonly covariance: Sym;
}

/** `x[t] = matrix x[t-1] + bias + N(0, covariance)`, or what is measured of it; no bias is zero. */
export interface LinearGaussian {
  readonly matrix: Sym;
  readonly bias: Sym | null;
  readonly covariance: Sym;
}

/** A measurement of one step. */
export interface Measurement {
  /** 1, or 0 where it is missing. */
  readonly seen: Sym;
  /** `[E]`, 0 where it is missing. */
  readonly value: Sym;
}

/** A row of ys: missing as a whole where one of its elements is NaN, which is replaced: derivatives multiply by it. */
export function measure(y: Sym): Measurement {
  const missing = isNaN(y);
  return { seen: equal(sum(missing), 0), value: where(missing, 0, y) };
}

/** The identity `[n, n]`. */
export function identity(n: number): Sym {
  return constant(Float64Array.from({ length: n * n }, (_, e) => e % (n + 1) === 0 ? 1 : 0), [n, n]);
}

/** `(a + aᵀ) / 2` */
export function symmetrize(a: Sym): Sym {
  return mul(0.5, add(a, transpose(a)));
}

/** Below all numbers of f32 that a covariance may have. */
const LEAST = -3e38;

/** A covariance as rounding left it: symmetric, and no variance below 0. Derivatives are those before rounding. */
export function settle(a: Sym): Sym {
  const n = a.shape[0]!;
  const even = symmetrize(a);
  const floor = Float64Array.from({ length: n * n }, (_, e) => e % (n + 1) === 0 ? 0 : LEAST);
  return add(even, stopGradient(sub(max(even, constant(floor, [n, n])), even)));
}

/** `m a mᵀ` */
export function between(m: Sym, a: Sym): Sym {
  return matmul(matmul(m, a), transpose(m));
}

/** `matrix v + bias` */
export function affine({ matrix, bias }: Pick<LinearGaussian, "matrix" | "bias">, v: Sym): Sym {
  const product = matvec(matrix, v);
  return bias === null ? product : add(product, bias);
}

/** What is expected of `model` where its argument is normal. */
export function propagate(model: LinearGaussian, { mean, covariance }: Gaussian): Gaussian {
  return {
    mean: affine(model, mean),
    covariance: settle(add(between(model.matrix, covariance), model.covariance)),
  };
}

/** What a measurement does to a state of this covariance P, whatever is measured. */
export interface Gain {
  /** `S = H P Hᵀ + R` */
  readonly innovation: Sym;
  /** `K = P Hᵀ S⁻¹` */
  readonly gain: Sym;
  /** `I - K H` */
  readonly rest: Sym;
  /** `(I - K H) P (I - K H)ᵀ + K R Kᵀ`: Joseph's form, a sum of two that are not negative, of `(I - K H) P`. */
  readonly covariance: Sym;
}

/** The gain of a measurement. */
export function gainOf({ matrix, covariance: noise }: LinearGaussian, covariance: Sym): Gain {
  const measured = matmul(matrix, covariance);
  const innovation = symmetrize(add(matmul(measured, transpose(matrix)), noise));
  const gain = transpose(linearSolve(innovation, measured));
  const rest = sub(identity(covariance.shape[0]!), matmul(gain, matrix));
  return {
    innovation,
    gain,
    rest,
    covariance: settle(add(between(rest, covariance), between(gain, noise))),
  };
}

/** The state after a measurement; as it was where that is missing. */
export function update(
  emission: LinearGaussian,
  { mean, covariance }: Gaussian,
  { innovation, gain, covariance: updated }: Gain,
  { seen, value }: Measurement,
): Gaussian & { readonly logLik: Sym } {
  const surprise = sub(value, affine(emission, mean));
  return {
    mean: where(seen, add(mean, matvec(gain, surprise)), mean),
    covariance: where(seen, updated, covariance),
    logLik: where(seen, logDensity(surprise, innovation), 0),
  };
}

/** `log N(v; 0, S)` */
function logDensity(v: Sym, covariance: Sym): Sym {
  const size = v.shape[0]!;
  return mul(-0.5, add(add(size * Math.log(2 * Math.PI), logDet(covariance)), dot(v, linearSolve(covariance, v))));
}

/** `log N(y; H m + d, H P Hᵀ + R)`, 0 where y is missing. */
export function logLikelihood(emission: LinearGaussian, state: Gaussian, { seen, value }: Measurement): Sym {
  const { covariance } = propagate(emission, state);
  return where(seen, logDensity(sub(value, affine(emission, state.mean)), covariance), 0);
}
