// Posteriors of the library as numbers, and how far they are from those of the loops beside it.

import { assert, assertEquals } from "@std/assert";
import { type Device, kalmanSmoother, type LinearGaussianModel, type SmootherPosterior, toHost } from "../../mod.ts";
import type { HostTensor } from "../../mod.ts";
import type { Machine } from "../solve/machines.ts";
import { smallestEigenvalue } from "./matrices.ts";
import type { Drawn } from "./models.ts";
import type { PlainPosterior } from "./reference.ts";

/** The arrays of a posterior. */
export type Numbers = Readonly<Record<keyof PlainPosterior, Float64Array>>;

/** Reads a posterior. */
export async function readPosterior(posterior: SmootherPosterior): Promise<Numbers> {
  const read = async (value: SmootherPosterior["filteredMeans"]): Promise<Float64Array> =>
    Float64Array.from((await toHost(value)).data);
  const [logLik, filteredMeans, filteredCovariances, smoothedMeans, smoothedCovariances] = await Promise.all([
    read(posterior.marginalLogLik),
    read(posterior.filteredMeans),
    read(posterior.filteredCovariances),
    read(posterior.smoothedMeans),
    read(posterior.smoothedCovariances),
  ]);
  return {
    logLik: logLik!,
    filteredMeans: filteredMeans!,
    filteredCovariances: filteredCovariances!,
    smoothedMeans: smoothedMeans!,
    smoothedCovariances: smoothedCovariances!,
  };
}

/** Runs the smoother, and reads what it found. */
export async function smooth(
  device: Device,
  model: LinearGaussianModel,
  ys: HostTensor,
  parallel: boolean,
): Promise<Numbers> {
  using posterior = await kalmanSmoother(model, ys, { device, parallel });
  return await readPosterior(posterior);
}

/** Posteriors of all sequences as the library lays them out. */
export function flatten(plain: readonly PlainPosterior[]): Numbers {
  const join = (pick: (one: PlainPosterior) => readonly unknown[]): Float64Array =>
    Float64Array.from(plain.flatMap((one) => pick(one).flat(2) as number[]));
  return {
    logLik: Float64Array.from(plain, ({ logLik }) => logLik),
    filteredMeans: join(({ filteredMeans }) => filteredMeans),
    filteredCovariances: join(({ filteredCovariances }) => filteredCovariances),
    smoothedMeans: join(({ smoothedMeans }) => smoothedMeans),
    smoothedCovariances: join(({ smoothedCovariances }) => smoothedCovariances),
  };
}

/** The largest difference relative to the largest number of each array, at least `least`. */
export function errorOf(actual: Numbers, expected: Partial<Numbers>, least = 1): number {
  let worst = 0;
  for (const [name, wanted] of Object.entries(expected)) {
    const got = actual[name as keyof Numbers];
    assertEquals(got.length, wanted.length, name);
    const size = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), least);
    for (const [i, x] of wanted.entries()) {
      const gap = got[i] === x ? 0 : Math.abs(got[i]! - x) / size;
      worst = Math.max(worst, Number.isNaN(gap) ? Infinity : gap);
    }
  }
  return worst;
}

/** Fails unless all arrays agree to `tolerance`, relative to the largest number of each. */
export function assertPosterior(actual: Numbers, expected: Numbers, tolerance: number, what: string): void {
  const error = errorOf(actual, expected);
  assert(error <= tolerance, `${what}: off by ${error}, allowed are ${tolerance}`);
}

/** Fails unless all arrays agree to `tolerance`, relative to the largest number of each, however small that is. */
export function assertDigits(actual: Numbers, expected: Partial<Numbers>, tolerance: number, what: string): void {
  const error = errorOf(actual, expected, 0);
  assert(error <= tolerance, `${what}: off by ${error} of the largest number, allowed are ${tolerance}`);
}

/** Fails where a variance is below 0, or no number. */
export function assertVariances(covariances: Float64Array, n: number, what: string): void {
  for (const [i, x] of covariances.entries()) {
    if (i % (n * n) % (n + 1) === 0) assert(x >= 0, `${what}: the variance ${x} of step ${Math.floor(i / (n * n))}`);
  }
}

/** Fails unless covariances are symmetric, and no eigenvalue is below 0 but for rounding. */
export function assertCovariances(covariances: Float64Array, n: number, { epsilon }: Machine, what: string): void {
  for (let start = 0; start < covariances.length; start += n * n) {
    const a = Array.from({ length: n }, (_, i) => Array.from(covariances.subarray(start + i * n, start + (i + 1) * n)));
    const size = Math.max(...a.map((row, i) => row[i]!));
    for (const [i, row] of a.entries()) {
      for (const [j, x] of row.entries()) {
        assert(x === a[j]![i]!, `${what}, matrix ${start / (n * n)}: ${x} and ${a[j]![i]}`);
      }
    }
    const least = smallestEigenvalue(a);
    // Each entry is rounded, n of them in a row.
    assert(least >= -n * epsilon * size, `${what}, matrix ${start / (n * n)}: eigenvalue ${least} beside ${size}`);
  }
}

/** The name of a drawn model. */
export function nameOf({ spec }: Drawn): string {
  const { states, measured, time, batch, radius = 0.95, varying = [], biased, missing = 0 } = spec;
  const more = [
    batch === undefined ? "" : `B ${batch}`,
    radius > 1 ? "unstable" : "",
    varying.length > 0 ? `changing ${varying.join("")}` : "",
    biased ? "biases" : "",
    missing > 0 ? "holes" : "",
  ].filter((text) => text !== "");
  return [`D ${states}, E ${measured}, T ${time}`, ...more].join(", ");
}
