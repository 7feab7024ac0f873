// Which share of a covariance the smoother lends to the future: the answer is the same, its rounding is not.

import { assert, assertLess } from "@std/assert";
import { type Device, openDevice } from "../../mod.ts";
import { KalmanJob } from "../../src/kalman/job.ts";
import { filterParallel, smoothParallel, type States } from "../../src/kalman/parallel.ts";
import { smoothSerial } from "../../src/kalman/serial.ts";
import { hardModel } from "./hard.ts";
import { drawModel, type ModelSpec } from "./models.ts";
import { assertDigits, errorOf, flatten, type Numbers } from "./posteriors.ts";
import { conditioning } from "./reference.ts";

/** The smoothed states by a share of one's own. */
async function smoothWith(
  device: Device,
  [model, ys]: [ConstructorParameters<typeof KalmanJob>[1], ConstructorParameters<typeof KalmanJob>[2]],
  smooth: typeof smoothParallel,
  share: number,
): Promise<Numbers> {
  const job = new KalmanJob("Cannot test", model, ys, { device });
  try {
    const filtered = filterParallel(job);
    const smoothed = smooth(job, filtered, share);
    const read = async (memory: States["means"]) => Float64Array.from(await job.engine.read(memory));
    return {
      logLik: await read(filtered.logLik),
      filteredMeans: await read(filtered.means),
      filteredCovariances: await read(filtered.covariances),
      smoothedMeans: await read(smoothed.means),
      smoothedCovariances: await read(smoothed.covariances),
    };
  } finally {
    job.end();
  }
}

const WAYS = { parallel: smoothParallel, serial: smoothSerial };

Deno.test("share: none, some, or all of a covariance, the answer is that of all states at once", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const specs: ModelSpec[] = [
    { states: 2, measured: 1, time: 8, biased: true, missing: 0.2 },
    { states: 3, measured: 2, time: 6, batch: 2, noise: "singular", varying: ["f", "q", "h"] },
    { states: 2, measured: 2, time: 7, noise: "none", radius: 0.4, biased: true },
  ];
  for (const spec of specs) {
    const { model, ys, plain, rows } = drawModel(spec);
    const expected = flatten(rows.map((one) => conditioning(plain, one)));
    for (const [how, smooth] of Object.entries(WAYS)) {
      for (const share of [0, 2 ** -20, 0.25, 0.75, 1]) {
        const actual = await smoothWith(device, [model, ys], smooth, share);
        assertDigits(actual, expected, 1e-12, `${JSON.stringify(spec)}, ${how}, share ${share}`);
      }
    }
  }
});

Deno.test("share: why some. None loses what grows, all loses what a large prior hides", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const error = async (name: string, smooth: typeof smoothParallel, share: number): Promise<number> => {
    const { model, ys, truth: { smoothedMeans, smoothedCovariances } } = hardModel(name);
    const found = await smoothWith(device, [model, ys], smooth, share);
    return errorOf(found, { smoothedMeans, smoothedCovariances }, 0);
  };
  for (const smooth of Object.values(WAYS)) {
    const some = 2 ** -20;
    for (const [name, extreme] of [["growth, T 80, noise 0", 0], ["seasons, prior 1e+06", 1]] as const) {
      const [pure, mixed] = [await error(name, smooth, extreme), await error(name, smooth, some)];
      assertLess(mixed, 1e-9, name);
      assert(!(pure < 1000 * mixed), `${name}: ${pure} and ${mixed}`);
    }
  }
});
