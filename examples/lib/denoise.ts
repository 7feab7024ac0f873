/** Noise on the electrocardiogram, and a model that takes it away as far as it can. */

import { type Device, kalmanFilter, type LinearGaussianModel, toHost } from "@cervid/cervid";
import type { HostTensor } from "@cervid/cervid";
import { localTrend } from "./nile.ts";
import type { Samples } from "./record.ts";
import { type Smoothed, smoothSeries } from "./smooth_series.ts";

/** An electrocardiogram that was smoothed. */
export interface Denoised extends Smoothed {
  /** With noise, in mV. */
  readonly noisy: Float64Array;
  /** How much the slope may change from one sample to the next, as variances; the likeliest was taken. */
  readonly tried: readonly { readonly slopeWander: number; readonly logLik: number }[];
  readonly slopeWander: number;
  /** Root mean squared distances from the samples without noise, in mV. */
  readonly rmseMv: { readonly noisy: number; readonly filtered: number; readonly smoothed: number };
}

const POWERS = [-7, -6, -5, -4, -3, -2];

/** Standard normal numbers: xorshift, and the transform of Box and Muller. */
function normals(count: number, seed: number): Float64Array {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  return Float64Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

function rmse(samples: Samples, of: (t: number) => number): number {
  let squares = 0;
  for (const [t, sample] of samples.entries()) squares += (of(t) - sample) ** 2;
  return Math.sqrt(squares / samples.length);
}

/** Adds noise to samples, finds the likeliest of some models, and smooths. */
export async function denoise(device: Device, samples: Samples, noise: number, seed: number): Promise<Denoised> {
  const random = normals(samples.length, seed);
  const noisy = Float64Array.from(samples, (sample, t) => sample + noise * random[t]!);
  const ys: HostTensor = { data: noisy, shape: [noisy.length, 1] };
  const model = (slopeWander: number): LinearGaussianModel => localTrend(noise ** 2, 0, slopeWander, 10);
  const tried = [];
  for (const power of POWERS) {
    const slopeWander = 10 ** power;
    using posterior = await kalmanFilter(model(slopeWander), ys, { device });
    tried.push({ slopeWander, logLik: (await toHost(posterior.marginalLogLik)).data[0]! });
  }
  const { slopeWander } = tried.reduce((best, next) => next.logLik > best.logLik ? next : best);
  const found = await smoothSeries(device, model(slopeWander), ys);
  return {
    ...found,
    noisy,
    tried,
    slopeWander,
    rmseMv: {
      noisy: rmse(samples, (t) => noisy[t]!),
      filtered: rmse(samples, (t) => found.filtered[t]!.mean),
      smoothed: rmse(samples, (t) => found.smoothed[t]!.mean),
    },
  };
}
