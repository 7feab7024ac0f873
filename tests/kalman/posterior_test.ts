// The filter and the smoother, in parallel and step after step, against loops in double precision, and those against one
// normal distribution of all states, conditioned.

import { assert, assertEquals } from "@std/assert";
import { kalmanSmoother } from "../../mod.ts";
import { type Machine, MACHINES, testOn } from "../solve/machines.ts";
import { drawModel, type Drawn, type ModelSpec } from "./models.ts";
import {
  assertCovariances,
  assertPosterior,
  flatten,
  nameOf,
  type Numbers,
  readPosterior,
  smooth,
} from "./posteriors.ts";
import { conditioning, recursion } from "./reference.ts";

const ALL = ["f", "u", "q", "h", "d", "r"] as const;

/** Fewer measurements than states, as many, and more. */
const SIZES = [[1, 1], [1, 3], [2, 1], [2, 2], [2, 4], [3, 1], [3, 3], [4, 2], [5, 2], [6, 7]] as const;

const SPECS: readonly ModelSpec[] = [
  ...SIZES.flatMap(([states, measured]) => [1, 2, 3, 1000].map((time): ModelSpec => ({ states, measured, time }))),
  { states: 2, measured: 1, time: 1000, radius: 1.3 },
  { states: 4, measured: 1, time: 1000, radius: 1.02 },
  { states: 3, measured: 2, time: 300, radius: 1.05, missing: 0.2 },
  { states: 3, measured: 4, time: 100, batch: 2, biased: true, missing: 0.5 },
  { states: 2, measured: 1, time: 140, batch: 3, biased: true, radius: 1, missing: 0.9 },
  { states: 3, measured: 2, time: 140, batch: 3, biased: true, varying: ALL, missing: 0.3 },
  ...ALL.map((part): ModelSpec => ({ states: 2, measured: 3, time: 30, batch: 2, biased: true, varying: [part] })),
];

/** Software adapters compile the kernels of each for seconds. */
const ON_GPU: readonly ModelSpec[] = [
  { states: 1, measured: 3, time: 1000 },
  { states: 2, measured: 4, time: 2 },
  { states: 3, measured: 3, time: 1 },
  { states: 4, measured: 1, time: 1000, radius: 1.02 },
  { states: 2, measured: 1, time: 140, batch: 3, biased: true, radius: 1, missing: 0.9 },
  { states: 3, measured: 2, time: 140, batch: 3, biased: true, varying: ALL, missing: 0.3 },
  { states: 2, measured: 3, time: 30, batch: 2, biased: true, varying: ["h"] },
];

/**
 * Roundings of a filter do not add up over time, as it forgets; those of matrices of a condition of about 100 do. In f32 on
 * WebGPU products are rounded too.
 */
const toleranceOf = ({ dtype, epsilon }: Machine): number => (dtype === "f64" ? 256 : 32) * epsilon;

/** Drawn models with their posteriors: every machine has the same. */
const known = new Map<ModelSpec, { readonly drawn: Drawn; readonly expected: Numbers }>();

function drawnOf(spec: ModelSpec): { readonly drawn: Drawn; readonly expected: Numbers } {
  let found = known.get(spec);
  if (found === undefined) {
    const drawn = drawModel(spec);
    known.set(spec, found = { drawn, expected: flatten(drawn.rows.map((ys) => recursion(drawn.plain, ys))) });
  }
  return found;
}

Deno.test("reference: the recursion is the posterior of all states at once", () => {
  const specs: ModelSpec[] = [
    { states: 1, measured: 1, time: 7 },
    { states: 2, measured: 3, time: 5, missing: 0.4, biased: true },
    { states: 3, measured: 1, time: 6, radius: 1.4, batch: 2, varying: ALL, biased: true, missing: 0.3 },
  ];
  for (const spec of specs) {
    const { drawn, expected } = drawnOf(spec);
    const dense = flatten(drawn.rows.map((ys) => conditioning(drawn.plain, ys)));
    assertPosterior(expected, dense, 1e-12, nameOf(drawn));
  }
});

for (const parallel of [true, false]) {
  const how = parallel ? "parallel" : "step after step";
  testOn(MACHINES, `kalman, ${how}: random models`, async (device, machine) => {
    for (const spec of machine.rounding === 0 ? SPECS : ON_GPU) {
      const { drawn, expected } = drawnOf(spec);
      const actual = await smooth(device, drawn.model, drawn.ys, parallel);
      assertPosterior(actual, expected, toleranceOf(machine), nameOf(drawn));
      assertCovariances(actual.filteredCovariances, spec.states, machine, `filtered, ${nameOf(drawn)}`);
      assertCovariances(actual.smoothedCovariances, spec.states, machine, `smoothed, ${nameOf(drawn)}`);
    }
  });
}

testOn(MACHINES, "kalman: the posterior of all states at once, of few steps", async (device, machine) => {
  const specs: ModelSpec[] = [
    { states: 2, measured: 1, time: 6, biased: true },
    { states: 2, measured: 3, time: 5, batch: 2, missing: 0.4 },
  ];
  for (const spec of specs) {
    const drawn = drawModel(spec);
    const expected = flatten(drawn.rows.map((ys) => conditioning(drawn.plain, ys)));
    for (const parallel of [true, false]) {
      const actual = await smooth(device, drawn.model, drawn.ys, parallel);
      assertPosterior(actual, expected, toleranceOf(machine), `${nameOf(drawn)}, parallel ${parallel}`);
    }
  }
});

const LONG: readonly ModelSpec[] = [
  { states: 2, measured: 1, time: 100_000, missing: 0.1 },
  { states: 1, measured: 1, time: 100_000, missing: 0.1, radius: 1.01 },
];

testOn(MACHINES, "kalman: 100 000 steps, stable and not", async (device, machine) => {
  for (const spec of LONG) {
    const { drawn, expected } = drawnOf(spec);
    // One hundred thousand log-likelihoods are added up, in f32 in pairs on WebGPU; all else is forgotten.
    const tolerance = toleranceOf(machine);
    assertPosterior(
      await smooth(device, drawn.model, drawn.ys, true),
      expected,
      tolerance,
      `parallel, ${nameOf(drawn)}`,
    );
    if (machine.rounding > 0) continue;
    assertPosterior(
      await smooth(device, drawn.model, drawn.ys, false),
      expected,
      tolerance,
      `serial, ${nameOf(drawn)}`,
    );
  }
});

testOn(MACHINES, "kalman: shapes with and without a batch; no steps; no sequences", async (device) => {
  const { model } = drawModel({ states: 2, measured: 1, time: 4 });
  for (const parallel of [true, false]) {
    for (const leading of [[4], [1, 4], [3, 4], [0], [2, 0], [0, 4], [1]]) {
      const size = leading.reduce((product, axis) => product * axis, 1);
      const ys = { data: new Float64Array(size).fill(0.5), shape: [...leading, 1] };
      using posterior = await kalmanSmoother(model, ys, { device, parallel });
      const what = `${leading}, parallel ${parallel}`;
      assertEquals(posterior.marginalLogLik.shape, leading.slice(0, -1), what);
      for (const kind of ["filtered", "smoothed"] as const) {
        assertEquals(posterior[`${kind}Means`].shape, [...leading, 2], what);
        assertEquals(posterior[`${kind}Covariances`].shape, [...leading, 2, 2], what);
      }
      const { logLik, smoothedMeans } = await readPosterior(posterior);
      assert([...logLik, ...smoothedMeans].every(Number.isFinite), what);
      if (leading.at(-1) === 0) assert(logLik.every((x) => x === 0), what);
    }
  }
});

testOn(MACHINES, "kalman: parallel or not is the engine's choice unless it is told", async (device, machine) => {
  const { model, ys } = drawModel({ states: 2, measured: 1, time: 50 });
  const [chosen, parallel, serial] = await Promise.all([undefined, true, false].map(async (parallel) => {
    using posterior = await kalmanSmoother(model, ys, { device, ...(parallel !== undefined && { parallel }) });
    return await readPosterior(posterior);
  }));
  // No test runs on a GPU's own driver yet: CPUs and software adapters go step after step.
  const hardware = machine.rounding > 0 && !/llvmpipe|swiftshader|software/i.test(device.description);
  assertEquals(chosen, hardware ? parallel : serial);
});
