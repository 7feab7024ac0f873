import type { Shape } from "../core/types.ts";
import type { Memory } from "../engine/engine.ts";
import { isTracked, record } from "../tape.ts";
import { type Tensor, wrapMemory } from "../tensor.ts";
import { pullBackFilter } from "./filter_pullback.ts";
import type { KalmanJob } from "./job.ts";
import type { Filtered, States } from "./parallel.ts";
import { rowParts } from "./programs.ts";

/** What {@linkcode kalmanFilter} found. */
export interface FilterPosterior extends Disposable {
  /** `()` or `(B)`: `log p(y[0], ..., y[T-1])` of what is not missing. */
  readonly marginalLogLik: Tensor;
  /** `(T, D)` or `(B, T, D)`: the mean of x[t] given y[0] to y[t]. */
  readonly filteredMeans: Tensor;
  /** `(T, D, D)` or `(B, T, D, D)` */
  readonly filteredCovariances: Tensor;
  /** Frees its tensors. */
  dispose(): void;
}

/** What {@linkcode kalmanSmoother} found. */
export interface SmootherPosterior extends FilterPosterior {
  /** `(T, D)` or `(B, T, D)`: the mean of x[t] given all measurements. */
  readonly smoothedMeans: Tensor;
  /** `(T, D, D)` or `(B, T, D, D)` */
  readonly smoothedCovariances: Tensor;
}

/** What a job found, as the caller gets it. */
export function makePosterior(
  job: KalmanJob,
  name: string,
  filtered: Filtered,
  smoothed: States | null,
): FilterPosterior | SmootherPosterior {
  const { device, batch, time, batched, sources, layout: { states: n } } = job;
  const leading = batched ? [batch] : [];
  const tensors: Tensor[] = [];
  const wrap = (memory: Memory, shape: Shape, label: string): Tensor => {
    const tensor = wrapMemory(device, shape, job.release(memory), label);
    tensors.push(tensor);
    return tensor;
  };
  const dispose = (): void => {
    for (const tensor of tensors) tensor.dispose();
  };
  const posterior = {
    marginalLogLik: wrap(filtered.logLik, leading, "the marginal log-likelihood"),
    filteredMeans: wrap(filtered.means, [...leading, time, n], "filtered means"),
    filteredCovariances: wrap(filtered.covariances, [...leading, time, n, n], "filtered covariances"),
    ...(smoothed && {
      smoothedMeans: wrap(smoothed.means, [...leading, time, n], "smoothed means"),
      smoothedCovariances: wrap(smoothed.covariances, [...leading, time, n, n], "smoothed covariances"),
    }),
    dispose,
    [Symbol.dispose]: dispose,
  };
  // Packed rows stay for the way back: the tape holds what is disposed here.
  const rows = sources.some(isTracked) && rowParts(job.layout).length > 0
    ? wrapMemory(device, [batch, time, job.layout.width], job.release(job.rows), "rows")
    : null;
  const { layout, fixed, names } = job;
  const given = { device, layout, fixed, rows: job.rows, batch, time };
  const pullback = (
    [logLik = null, means = null, covariances = null, ...smoothed]: readonly (Memory | null)[],
    wanted: readonly boolean[],
  ): (Memory | null)[] => {
    if (smoothed.some((bar) => bar !== null)) {
      throw new TypeError(
        `Cannot differentiate the smoothed states of ${name}(): they have no pullback; use the filtered ones, or the likelihood`,
      );
    }
    const bar = pullBackFilter(given, filtered, { logLik, means, covariances }, (name) => wanted[names.indexOf(name)]!);
    return names.map(bar);
  };
  const holds = [...sources, ...tensors.slice(1, 3), ...(rows === null ? [] : [rows])];
  try {
    record({ name, inputs: sources, outputs: tensors, holds, pullback });
    return posterior;
  } catch (error) {
    dispose();
    throw error;
  } finally {
    rows?.dispose();
  }
}
