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
 * for nothing in the log-likelihood. Nothing is read back, so the promise is kept at once; what is not finite, or no
 * covariance, shows in the answer.
 *
 * `parallel: true` scans the elements of Särkkä & García-Fernández, of 3 D² + 2 D numbers each; `parallel: false` is Kalman's
 * recursion, step after step. They agree but for rounding, whatever T: in double precision to about 1e-14 of the largest
 * number, in f32 to 1e-6, where both are as far from the truth; to fewer digits where the model itself is ill-conditioned.
 * The scan also needs `H Q Hᵀ + R` to be invertible, the recursion only `H P Hᵀ + R` of predicted covariances P. Covariances
 * are symmetric, and updated in Joseph's form, which keeps them from becoming negative.
 *
 * Cost for each (b, t), in operations: the recursion about 8 D³ + 4 E D² + E³; the scan 17 D³ a combination, two of them on
 * WebGPU and one on the CPU, and 4 D³ for the log-likelihood. Gains of a model that is the same at all steps are computed
 * once. In words of memory beside the answer: the scan 5 D² + 3 D, the recursion D² + D + 1; a model with rows for each step
 * is copied for every sequence. On WebGPU the recursion has nothing in parallel but B and D.
 *
 * Throws (the promise rejects with) a `TypeError` for shapes, dtypes or names that do not fit, a `RangeError` for host arrays
 * that are no covariances, a {@linkcode DeviceError} for `parallel: true` on WebGPU with more than 12 states. Gradients
 * through it are refused.
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
