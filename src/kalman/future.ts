import type { Sym } from "../trace/graph.ts";
import { add, linearSolve, matmul, matvec, mul, sub } from "../trace/ops.ts";
import { type FilterElement, type Future, stepElement } from "./elements.ts";
import {
  between,
  type Gaussian,
  identity,
  type LinearGaussian,
  type Measurement,
  settle,
  symmetrize,
} from "./gaussian.ts";

// Smoothing by what later measurements say of a state. With P[t] the filtered covariance and a share 0 ≤ δ ≤ 1 let
//
//     x[t] = x̃ + N(0, δ P[t]),   p(y[t+1], y[t+2], ... | x̃) ∝ exp(ηᵀ x̃ - ½ x̃ᵀ N x̃)
//
// δ = 0 is the smoother of two filters (Fraser & Potter 1969), N the information of the future alone: what is known almost
// exactly from there makes N so large that nothing else is left of it. δ = 1 is that of Bryson & Frazier (1963), N at most
// P⁻¹: it ends in the difference P - P N P, of which nothing is left where P is large and the answer is not, as after a diffuse
// prior. In between both lose little: eps / δ of the answer at worst, and eps δ P. No covariance is inverted, so states
// without noise that decay, of which P keeps nothing, need no care.

/** What a share is lent of: P[t], and P[t-1] of the step before. */
export interface Lent {
  readonly covariance: Sym;
  readonly before: Sym;
  readonly share: number;
}

/**
 * The step to t and its measurement as an element from x̃ of t - 1 to x̃ of t: noise `Q + δ F P[t-1] Fᵀ` is added before the
 * measurement, and `δ P[t]` of what is left after it, which is at least that, is lent to the steps that follow.
 */
export function futureElement(
  dynamics: LinearGaussian,
  emission: LinearGaussian,
  measurement: Measurement,
  { covariance, before, share }: Lent,
): FilterElement {
  const noise = symmetrize(add(dynamics.covariance, mul(share, between(dynamics.matrix, before))));
  const element = stepElement({ ...dynamics, covariance: noise }, emission, measurement);
  return { ...element, covariance: settle(sub(element.covariance, mul(share, covariance))) };
}

/**
 * The smoothed state, from the filtered one and its future. With P' = (1 - δ) P, the covariance of x̃,
 *
 *     W = (I + P' N)⁻¹ P'    z = (I + P' N)⁻¹ P' (η - N m)
 *     mean = m + z + δ P (η - N (m + z))    covariance = (I - δ P N) W (I - δ P N)ᵀ + δ P - δ P N δ P
 */
export function smoothState(
  { mean, covariance: p }: Gaussian,
  { potential, information }: Future,
  share: number,
): Gaussian {
  const n = p.shape[0]!;
  const rest = mul(1 - share, p);
  const lent = mul(share, p);
  const product = matmul(p, information);
  const matrix = add(identity(n), mul(1 - share, product));
  const sight = mul(share, product);
  const surprise = sub(potential, matvec(information, mean));
  const moved = linearSolve(matrix, matvec(rest, surprise));
  const known = symmetrize(linearSolve(matrix, rest));
  const still = sub(surprise, matvec(information, moved));
  return {
    mean: add(mean, add(moved, matvec(lent, still))),
    covariance: settle(
      add(between(sub(identity(n), sight), known), sub(lent, matmul(sight, lent))),
    ),
  };
}
