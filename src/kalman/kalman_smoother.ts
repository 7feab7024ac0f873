import type { TensorLike } from "../tensor.ts";
import { KalmanJob, type KalmanOptions } from "./job.ts";
import { runFilter } from "./kalman_filter.ts";
import type { LinearGaussianModel } from "./model.ts";
import { smoothParallel } from "./parallel.ts";
import { makePosterior, type SmootherPosterior } from "./posterior.ts";
import { smoothSerial } from "./serial.ts";

/**
 * The Kalman smoother: {@linkcode kalmanFilter}, and of each state the distribution given all measurements, `x[t] | y ~ N(m,
 * P)`, by the recursion of Rauch, Tung and Striebel, or with `parallel: true` as a second scan, backward, over elements of
 * 2 D² + D numbers.
 *
 * It inverts predicted covariances `F P Fᵀ + Q`. Where states have no noise of their own those may be singular: diagonals are
 * raised by the factor 1 + 4 ε, ε the rounding of the device's dtype, and a step of iterative refinement takes back what that
 * changes. Singular noise that is measured without any noise, R = 0, still loses digits. Covariances are symmetric, and sums
 * of two that are not negative.
 *
 * Cost beside that of the filter, for each (b, t), in operations: elements about 21 D³, a combination 6 D³, two of them on
 * WebGPU and one elsewhere; the recursion about 25 D³. In words of memory beside the answer: the scan 3 D² + D, the recursion
 * 2 D² + 2 D. Throws what the filter throws.
 *
 * Rauch, Tung & Striebel, "Maximum likelihood estimates of linear dynamic systems", AIAA Journal 3 (1965). Särkkä &
 * García-Fernández, IEEE TAC 66 (2021), arXiv 1905.13002. Names as in dynamax.
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
    const smoothed = job.parallel ? smoothParallel(job, filtered) : smoothSerial(job, filtered);
    return makePosterior(job, "kalmanSmoother", filtered, smoothed) as SmootherPosterior;
  } finally {
    job.end();
  }
}
