// Random models of many families against one normal distribution of all states, conditioned: noise of full rank, of less, or
// none; states that are known or hardly; measurements without noise; biases; parts that change; rows that are missing.

import { type Machine, MACHINES, someOf, testOn } from "../solve/machines.ts";
import { drawModel, type ModelSpec } from "./models.ts";
import { assertDigits, assertVariances, flatten, nameOf, smooth } from "./posteriors.ts";
import { conditioning } from "./reference.ts";

const ALL = ["f", "u", "q", "h", "d", "r"] as const;
const SEEDS = Array.from({ length: 6 }, (_, k) => k + 1);

/** Of each family some draws; sizes change from draw to draw. */
const FAMILIES: readonly Omit<ModelSpec, "states" | "measured" | "time">[] = [
  {},
  { biased: true, varying: ALL, missing: 0.3 },
  { noise: "singular" },
  { noise: "singular", biased: true, varying: ALL, missing: 0.3 },
  { noise: "singular", prior: 0, biased: true },
  { noise: "none", biased: true },
  { noise: "none", biased: true, radius: 0.3 },
  { noise: "none", biased: true, radius: 1.3, missing: 0.3 },
  { noise: "none", varying: ALL, missing: 0.3, radius: 0.6 },
  { noise: "none", prior: 0, biased: true },
  { noise: "none", prior: 100 },
  { prior: 1e4 },
  { prior: 1e4, noise: "singular", biased: true, missing: 0.3 },
  { prior: 1e-4, radius: 1.2 },
  { exact: true },
  { exact: true, biased: true, varying: ALL, missing: 0.3 },
];

const SPECS: readonly ModelSpec[] = FAMILIES.flatMap((family) =>
  SEEDS.map((seed): ModelSpec => {
    // Measured without noise, but for one of them.
    const states = family.exact ? 2 + seed % 3 : 1 + seed % 4;
    const measured = family.exact ? states - 1 : 1 + (seed * 7) % 5;
    return { states, measured, time: [1, 2, 7, 12][seed % 4]!, ...(seed % 2 === 0 && { batch: 2 }), ...family, seed };
  })
);

/**
 * Conditions of what is solved, here and in conditioning, are about 1000, and those of large priors larger by as much. The
 * f32 of the CPU rounds only what it stores; the rows that WebGPU runs are better than others.
 */
function toleranceOf({ prior = 1 }: ModelSpec, { dtype, epsilon }: Machine): number {
  if (prior <= 1) return (dtype === "f64" ? 2 ** 11 : 2 ** 6) * epsilon;
  return (dtype === "f64" ? 2 ** 20 : 2 ** 10) * epsilon;
}

testOn(MACHINES, "families: the posterior of all states at once", async (device, machine) => {
  for (const [k, spec] of someOf(machine, SPECS, 17, 3).entries()) {
    const drawn = drawModel(spec);
    const expected = flatten(drawn.rows.map((rows) => conditioning(drawn.plain, rows)));
    for (const parallel of [true, false]) {
      const what = `${k}: ${nameOf(drawn)}, ${JSON.stringify(spec)}, parallel ${parallel}`;
      const actual = await smooth(device, drawn.model, drawn.ys, parallel);
      assertDigits(actual, expected, toleranceOf(spec, machine), what);
      assertVariances(actual.filteredCovariances, spec.states, `filtered, ${what}`);
      assertVariances(actual.smoothedCovariances, spec.states, `smoothed, ${what}`);
    }
  }
});
