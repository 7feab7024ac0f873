// Models that double precision finds hard, against 100 digits: states without noise that decay or grow, moving averages,
// measurements without noise, priors of which nothing is known. See tests/golden/kalman_hard.

import { assert } from "@std/assert";
import { type Machine, MACHINES, testOn } from "../solve/machines.ts";
import { HARD_NAMES, hardModel } from "./hard.ts";
import { assertDigits, assertVariances, smooth } from "./posteriors.ts";

/** A few of each kind: software adapters compile the kernels of each number of states for seconds. */
const ON_GPU = HARD_NAMES.filter((name) => !/slow|biased|constant|T 20|prior 1e\+0[68]/.test(name));

/**
 * What errors may be, of the largest number of each array. A diffuse prior costs its size, as variances of its size are
 * subtracted. What the future knows almost exactly costs 1 / δ, δ the share of a covariance that the smoother lends to it.
 */
function toleranceOf(name: string, { dtype, epsilon }: Machine): number {
  const prior = Number(name.match(/prior (\S+)$/)?.[1] ?? 0);
  const share = dtype === "f32" ? 2 ** -10 : 2 ** -20;
  const condition = name.startsWith("growth") ? 4 / share : prior === 0 ? 400 : 4 * prior;
  return condition * epsilon;
}

testOn(MACHINES, "hard: the filter and the smoother of 100 digits", async (device, machine) => {
  for (const name of machine.rounding === 0 ? HARD_NAMES : ON_GPU) {
    const tolerance = toleranceOf(name, machine);
    // Of such priors single precision leaves nothing.
    if (tolerance > 0.1) continue;
    const { model, ys, truth: { logLik, ...states } } = hardModel(name);
    // Of numbers that grow to 1e14 a prediction takes away all but the last digits: those of the input are gone before.
    const truth = /growth.* 0$/.test(name) ? states : { logLik, ...states };
    for (const parallel of [true, false]) {
      const what = `${name}, parallel ${parallel}`;
      const actual = await smooth(device, model, ys, parallel);
      if (name === "one state seen exactly" && parallel) {
        // H Q Hᵀ + R is 0: elements cannot be made, and that shows.
        assert(actual.filteredMeans.some(Number.isNaN) && actual.smoothedMeans.some(Number.isNaN), what);
        continue;
      }
      assertDigits(actual, truth, tolerance, what);
      const n = states.smoothedCovariances.length / states.smoothedMeans.length;
      assertVariances(actual.filteredCovariances, n, `filtered, ${what}`);
      assertVariances(actual.smoothedCovariances, n, `smoothed, ${what}`);
    }
  }
});
