import type { TensorLike } from "../tensor.ts";
import { KalmanJob, type KalmanOptions } from "./job.ts";
import type { LinearGaussianModel } from "./model.ts";
import { type Filtered, filterParallel } from "./parallel.ts";
import { type FilterPosterior, makePosterior } from "./posterior.ts";
import { filterSerial } from "./serial.ts";

/** The filtered states of a job. */
export function runFilter(job: KalmanJob): Filtered {
  return job.parallel ? filterParallel(job) : filterSerial(job);
}

/**
 * The Kalman filter: of each state the distribution given the measurements so far, `x[t] | y[0..t] ~ N(m[t], P[t])`, and the
 * log-likelihood of all of them. `ys` is `(B, T, E)`, or `(T, E)` for one sequence; the {@linkcode LinearGaussianModel} is
 * that of all sequences. A row of `ys` with a NaN in it is missing as a whole: its state is only predicted, and it counts
 * for nothing in the log-likelihood (statsmodels uses the other numbers of such a row). Nothing is read back, so the promise
 * is kept at once; what is not finite, or no covariance, shows in the answer.
 *
 * `parallel: true` scans the elements of Särkkä & García-Fernández, of 3 D² + 2 D numbers each; `parallel: false` is
 * Kalman's recursion, step after step. They agree but for rounding, whatever T: on 900 random models of up to 6 states, 8
 * measurements and 20 steps, with noise of full rank, of less, and none, both are within 3e-11 of the largest number that
 * conditioning one normal distribution gives, in f32 within 5e-5 (4e-4 on WebGPU), half of them within 2e-15 and 1e-7
 * (3e-7). The scan also needs `H Q Hᵀ + R` to be invertible, the recursion only `H P Hᵀ + R` of predicted covariances P;
 * and on WebGPU its products over hundreds of steps overflow, to NaN, where states grow without noise. Covariances are
 * symmetric, and updated in Joseph's form; what rounding leaves of a variance below 0 becomes 0.
 *
 * Which dtype: a prior that says nothing costs digits, as measurements take away all but a little of it. In f32 variances
 * of 1e4 times what is left in the end are enough for a level and a slope (an error of 6e-5), 1e6 leave 3 digits, with
 * seasons none; for statsmodels' priors take f64, that is `openDevice({ backend: "cpu", dtype: "f64" })`. There 1e8 leaves
 * 10 digits of a level and a slope, 8 with three seasons; with eleven the scan keeps 3 of filtered means, the recursion 8.
 * States that grow cost digits of the log-likelihood, as predictions are subtracted from measurements: in f32 none is left
 * at 1e8.
 *
 * Cost for each (b, t), in operations: the recursion about 8 D³ + 6 E D² + 6 E² D + E³; the scan 17 D³ a combination, two of
 * them on WebGPU and one on the CPU, 6 D³ + 8 E D² + 6 E² D + E³ for the element and 4 D³ for the log-likelihood. Gains of a
 * model that is the same at all steps are computed once. In words of memory beside the answer: the scan 5 D² + 3 D, the
 * recursion D² + D + 1; a model with rows for each step is copied for every sequence. On WebGPU the recursion has nothing in
 * parallel but B and D.
 *
 * Throws (the promise rejects with) a `TypeError` for shapes, dtypes or names that do not fit, a `RangeError` for host
 * arrays that are no covariances (not finite, not symmetric, indefinite), a {@linkcode DeviceError} for `parallel: true` on
 * WebGPU with more than 12 states.
 *
 * Differentiable with respect to the model and `ys`, whichever way it runs: the way back is the adjoint of the recursion, one
 * reversed recurrence of D² + D + 1 states. Of a covariance only the symmetric part of the gradient has a meaning; keep it
 * one by what it is made of, such as `L Lᵀ`.
 *
 * Kalman, "A new approach to linear filtering and prediction problems" (1960). Särkkä & García-Fernández, "Temporal
 * parallelization of Bayesian smoothers", IEEE TAC 66 (2021), arXiv 1905.13002. Names as in dynamax.
 *
 * @example A level that wanders, measured with noise, and a measurement that is missing
 * ```ts
 * import { kalmanFilter, openDevice, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const host = (data: number[], ...shape: number[]) => ({ data: Float64Array.from(data), shape });
 * const model = {
 *   initialMean: host([0], 1),
 *   initialCovariance: host([1e6], 1, 1),
 *   dynamics: host([1], 1, 1),
 *   dynamicsCovariance: host([0.1], 1, 1),
 *   emission: host([1], 1, 1),
 *   emissionCovariance: host([1], 1, 1),
 * };
 * using posterior = await kalmanFilter(model, host([2, 3, NaN, 4], 4, 1), { device });
 * console.log((await toHost(posterior.filteredMeans)).data); // about 2.00, 2.52, 2.52, 3.14
 * console.log((await toHost(posterior.marginalLogLik)).data);
 * ```
 *
 * @example A point in the plane that keeps its velocity, of which only the place is seen, in 8 sequences
 * ```ts
 * import { kalmanFilter, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const host = (data: number[], ...shape: number[]) => ({ data: Float32Array.from(data), shape });
 * const eye = (n: number, scale: number) =>
 *   host(Array.from({ length: n * n }, (_, e) => e % (n + 1) === 0 ? scale : 0), n, n);
 * const model = {
 *   initialMean: host([0, 0, 0, 0], 4),
 *   initialCovariance: eye(4, 10),
 *   dynamics: host([1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1], 4, 4),
 *   dynamicsCovariance: eye(4, 0.01),
 *   emission: host([1, 0, 0, 0, 0, 1, 0, 0], 2, 4),
 *   emissionCovariance: eye(2, 0.5),
 * };
 * const ys = { data: Float32Array.from({ length: 8 * 100 * 2 }, (_, i) => Math.sin(i / 40)), shape: [8, 100, 2] };
 * using posterior = await kalmanFilter(model, ys, { device, parallel: true });
 * console.log(posterior.filteredCovariances.shape, posterior.marginalLogLik.shape); // [8, 100, 4, 4], [8]
 * ```
 */
// What it returns is a promise, so that an engine which has to wait one day may.
// deno-lint-ignore require-await
export async function kalmanFilter(
  model: LinearGaussianModel,
  ys: TensorLike,
  options: KalmanOptions = {},
): Promise<FilterPosterior> {
  const job = new KalmanJob("Cannot filter", model, ys, options);
  try {
    return makePosterior(job, "kalmanFilter", runFilter(job), null);
  } finally {
    job.end();
  }
}
