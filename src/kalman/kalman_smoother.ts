import type { TensorLike } from "../tensor.ts";
import { KalmanJob, type KalmanOptions } from "./job.ts";
import { runFilter } from "./kalman_filter.ts";
import type { LinearGaussianModel } from "./model.ts";
import { shareOf, smoothParallel } from "./parallel.ts";
import { makePosterior, type SmootherPosterior } from "./posterior.ts";
import { smoothSerial } from "./serial.ts";

/**
 * The Kalman smoother: {@linkcode kalmanFilter}, and of each state the distribution given all measurements, `x[t] | y ~ N(m,
 * P)`: the filtered one, and what later measurements say of the state, found step after step from the last one back, or with
 * `parallel: true` by a second scan over the same kind of elements.
 *
 * No covariance is inverted, so states without noise of their own may decay, stay, or grow, and noise may be singular. Let
 * `x[t] = x̃ + N(0, δ P)`, P the filtered covariance; later measurements are proportional to `exp(ηᵀ x̃ - ½ x̃ᵀ N x̃)`, and with
 * `W = (I + (1 - δ) P N)⁻¹ (1 - δ) P`
 *
 *     covariance = (I - δ P N) W (I - δ P N)ᵀ + δ P - δ P N δ P
 *
 * δ = 0 would be the smoother of two filters, δ = 1 that of Bryson & Frazier. The first loses what the future knows almost
 * exactly, the second what a large prior hides: an error of eps ‖P‖ where the answer is small. δ = 2⁻²⁰ in double precision
 * and 2⁻¹⁰ in f32 keeps most of both: growth without noise comes out to 1e-11 and 5e-6, a level and a slope from a prior of
 * 1e6 to 1e-11 and 2e-3 (δ = 1: 3e-10 and 0.1). What {@linkcode kalmanFilter} says of priors and dtypes holds here. Where
 * covariances have variances and correlations that 7 digits cannot tell from singular, as constants seen to 1e-3 beside others
 * that are not seen, f32 is wrong without a sign. Variances below 0 become 0.
 *
 * Cost beside that of the filter, for each (b, t), in operations: 10 D³ + 10 E D² + 8 E² D + E³ for an element, 11 D³ for the
 * state; between them the scan 17 D³ a combination, two of them on WebGPU and one elsewhere, the recursion 9 D³. In words of
 * memory beside the answer: the scan 6 D² + 4 D, the recursion 3 D² + D and a row of the measurements and of all that changes,
 * on WebGPU also its elements. Throws what the filter throws; gradients through smoothed states are
 * refused, through the filtered ones and the likelihood they are the filter's.
 *
 * Fraser & Potter, "The optimum linear smoother as a combination of two optimum linear filters", IEEE TAC 14 (1969). Bryson &
 * Frazier, "Smoothing for linear and nonlinear dynamic systems" (1963). Särkkä & García-Fernández, IEEE TAC 66 (2021), arXiv
 * 1905.13002. Names as in dynamax.
 *
 * @example A straight line found in noise: the same line at all steps, as nothing disturbs it
 * ```ts
 * import { kalmanSmoother, openDevice, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const host = (data: number[], ...shape: number[]) => ({ data: Float64Array.from(data), shape });
 * const model = {
 *   initialMean: host([0, 0], 2),
 *   initialCovariance: host([1e4, 0, 0, 1e4], 2, 2),
 *   dynamics: host([1, 1, 0, 1], 2, 2),
 *   dynamicsCovariance: host([0, 0, 0, 0], 2, 2),
 *   emission: host([1, 0], 1, 2),
 *   emissionCovariance: host([1], 1, 1),
 * };
 * using posterior = await kalmanSmoother(model, host([1.1, 1.9, 3.2, 3.8], 4, 1), { device });
 * const { data } = await toHost(posterior.smoothedMeans);
 * console.log(data[0], data[1], data[7]); // by least squares the line starts at 1.09 and rises by 0.94, here and at the end
 * ```
 */
// deno-lint-ignore require-await
export async function kalmanSmoother(
  model: LinearGaussianModel,
  ys: TensorLike,
  options: KalmanOptions = {},
): Promise<SmootherPosterior> {
  const job = new KalmanJob("Cannot smooth", model, ys, options);
  try {
    const filtered = runFilter(job);
    const smoothed = (job.parallel ? smoothParallel : smoothSerial)(job, filtered, shareOf(job.engine));
    return makePosterior(job, "kalmanSmoother", filtered, smoothed) as SmootherPosterior;
  } finally {
    job.end();
  }
}
