/** Filters and smooths a series, step after step and in parallel, and measures both. */

import { type Device, kalmanSmoother, type LinearGaussianModel, type Tensor, toHost } from "@cervid/cervid";
import type { HostTensor } from "@cervid/cervid";

/** What is known of a level at one step: its mean, and its standard deviation. */
export interface Known {
  readonly mean: number;
  readonly sd: number;
}

/** A series whose level, the first state of a model, was filtered and smoothed. */
export interface Smoothed {
  readonly logLik: number;
  readonly filtered: readonly Known[];
  readonly smoothed: readonly Known[];
  /** Of one run, warm, in ms: from arrays on the device to the answer in host memory. */
  readonly serialMs: number;
  readonly parallelMs: number;
  /** The largest difference of the smoothed levels of both, in their standard deviations. */
  readonly maxDeviation: number;
}

/** The levels of a posterior. */
async function readLevels(means: Tensor, covariances: Tensor): Promise<Known[]> {
  const [{ data: mean, shape }, { data: variance }] = await Promise.all([toHost(means), toHost(covariances)]);
  const [time, n] = shape as [number, number];
  return Array.from({ length: time }, (_, t) => ({ mean: mean[t * n]!, sd: Math.sqrt(variance[t * n * n]!) }));
}

/** Runs the smoother both ways. */
export async function smoothSeries(device: Device, model: LinearGaussianModel, ys: HostTensor): Promise<Smoothed> {
  const run = async (parallel: boolean) => {
    const start = performance.now();
    using posterior = await kalmanSmoother(model, ys, { device, parallel });
    const [logLik, filtered, smoothed] = await Promise.all([
      toHost(posterior.marginalLogLik),
      readLevels(posterior.filteredMeans, posterior.filteredCovariances),
      readLevels(posterior.smoothedMeans, posterior.smoothedCovariances),
    ]);
    return { ms: performance.now() - start, logLik: logLik.data[0]!, filtered, smoothed };
  };
  // The first run of each compiles.
  await run(false);
  await run(true);
  const [serial, parallel] = [await run(false), await run(true)];
  const gaps = serial.smoothed.map(({ mean, sd }, t) => Math.abs(mean - parallel.smoothed[t]!.mean) / sd);
  return {
    logLik: parallel.logLik,
    filtered: parallel.filtered,
    smoothed: parallel.smoothed,
    serialMs: serial.ms,
    parallelMs: parallel.ms,
    maxDeviation: gaps.reduce((most, gap) => Math.max(most, gap), 0),
  };
}
