import { assert, assertEquals } from "@std/assert";
import {
  blockDeer,
  deer,
  defineStep,
  type Device,
  jacobi,
  type Method,
  picard,
  type Problem,
  quasiDeer,
  solve,
  type SolveOptions,
} from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, assertSame, host, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { assertSequential, MACHINES, PRECISE, someOf, testOn } from "./machines.ts";
import { CASES, problemOf } from "./problems.ts";

// Whatever G is, row t of a sweep is exact where row t - 1 was: after k sweeps the first k states are those of the
// sequential method, bit for bit, and T sweeps always suffice.

const METHODS: readonly Method[] = [
  jacobi(),
  picard(),
  quasiDeer(),
  quasiDeer({ scale: 0.4 }),
  quasiDeer({ clip: 0.1 }),
  quasiDeer({ diagonal: { probes: 1 } }),
  blockDeer(),
  blockDeer({ scale: 0.9, clip: 3 }),
  deer(),
  deer({ scale: 0.4 }),
  deer({ clip: 0.1 }),
];

/** Tolerances that no update satisfies: only the exact prefix can end a solve. */
const NEVER = { rtol: 1e-300, atol: 0 } as const;

const title = (method: Method): string => JSON.stringify(method);

/** h' = r h (1 - h): for r = 4 errors double with every step, so no prefix but the exact one says anything. */
const logistic = defineStep({
  name: "logistic",
  state: 1,
  input: 0,
  params: { r: [] },
  step: ({ h, p }) => ops.mul(ops.mul(p.r, h), ops.sub(1, h)),
});

/** Hénon's map: the same with a Jacobian that is not diagonal. */
const henon = defineStep({
  name: "henon",
  state: 2,
  input: 0,
  params: {},
  step: ({ h }) => {
    const [a, b] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
    return ops.concat(ops.add(ops.sub(1, ops.mul(1.4, ops.square(a))), b), ops.mul(0.3, a));
  },
});

const HOSTILE: readonly [name: string, step: typeof logistic, problem: Problem][] = [
  ["the logistic map", logistic, { params: { r: host([4], []) }, time: 200, h0: host([0.3], [1]) }],
  ["Hénon's map", henon, { params: {}, time: 200, h0: host([0.1, 0.2], [2]) }],
];

async function solveFor(
  device: Device,
  step: typeof logistic,
  problem: Problem,
  options: SolveOptions,
): Promise<Float64Array> {
  using solution = await solve(step, problem, { device, ...options });
  return await read(solution.ys);
}

testOn(MACHINES, "after k sweeps the first k states are exact, bit for bit", async (device, machine) => {
  for (const [i, given] of CASES.entries()) {
    const { name, step, time } = given;
    const problem = problemOf(given, 0);
    const exact = await solveFor(device, step, problem, { method: "sequential" });
    for (const method of someOf(machine, METHODS, 4, i)) {
      let before = new Float64Array(0);
      for (const k of [1, 2, 3, 7]) {
        // From a bad guess: all k sweeps are run.
        const options = { guess: "zeros", maxSweeps: k, ...NEVER, onFailure: "return" } as const;
        const ys = await solveFor(device, step, problem, { method, ...options });
        assertEquals(ys.length, time * step.state);
        const what = `${name}, ${k} by ${title(method)}`;
        assertSequential(ys.slice(0, k * step.state), exact.slice(0, k * step.state), machine, k, what);
        // What was exact stays what it was, whatever the machine.
        assertSame(ys.slice(0, before.length), before, what);
        before = ys.slice(0, k * step.state);
      }
    }
  }
});

testOn(
  MACHINES,
  "chaos: T sweeps suffice for every method, and give the sequential bits",
  async (device, { dtype, rounding }) => {
    for (const [name, step, problem] of HOSTILE) {
      const exact = await solveFor(device, step, problem, { method: "sequential" });
      for (const method of METHODS) {
        const what = `${name} by ${title(method)}`;
        using solution = await solve(step, problem, { device, method, maxSweeps: problem.time!, ...NEVER });
        assertEquals(solution.result, "successful", what);
        const ys = await read(solution.ys);
        if (rounding === 0) assertSame(ys, exact, what);
        else {
          // Of another kernel's roundings chaos makes another trajectory: this one must repeat itself.
          using again = await solve(step, problem, { device, method, guess: solution, ...NEVER });
          assertEquals(again.stats.residuals, [0], what);
          assertSame(await read(again.ys), ys, what);
        }
        // With the default tolerances the last few states may be settled, to rounding, before the prefix reaches them.
        using usual = await solve(step, problem, { device, method, maxSweeps: problem.time! });
        assertEquals(usual.result, "successful", what);
        assertClose(await read(usual.ys), ys, dtype === "f64" ? 1e-9 : 1e-4, what);
      }
    }
  },
);

testOn(PRECISE, "chaos: the sequential bits are those of a plain loop", async (device) => {
  const [, , problem] = HOSTILE[0]!;
  const expected = runLoop(([h]) => [4 * h! * (1 - h!)], host([0.3], [1, 1]), undefined, 200);
  assertSame(await solveFor(device, logistic, problem, { method: "sequential" }), expected.data, "logistic");
});

testOn(MACHINES, "chaos: one sweep less than needed is refused, though the update may be small", async (device) => {
  for (const [name, step, problem] of HOSTILE) {
    for (const method of METHODS) {
      using full = await solve(step, problem, { device, method, maxSweeps: problem.time! });
      const maxSweeps = full.stats.sweeps - 1;
      using less = await solve(step, problem, { device, method, maxSweeps, onFailure: "return" });
      assertEquals(less.result, "max-sweeps-reached", `${name} by ${title(method)}`);
      assertEquals(less.stats.converged, [false]);
      assertEquals(less.stats.sweeps, maxSweeps);
      // What has been proven exact by then is.
      const count = maxSweeps * step.state;
      assertSame((await read(less.ys)).slice(0, count), (await read(full.ys)).slice(0, count), name);
    }
  }
});

testOn(MACHINES, "a batch is its sequences alone, bit for bit", async (device, machine) => {
  for (const [i, given] of CASES.entries()) {
    const batch = given.h0.shape[0]!;
    for (const method of someOf<Method>(machine, [...METHODS, { name: "sequential" }], 6, i)) {
      using all = await solve(given.step, problemOf(given), { device, method, maxSweeps: given.time });
      const ys = await read(all.ys);
      const length = ys.length / batch;
      for (let b = 0; b < batch; b++) {
        using one = await solve(given.step, problemOf(given, b), { device, method, maxSweeps: given.time });
        assertSame(await read(one.ys), ys.slice(b * length, (b + 1) * length), `${given.name} ${b} ${title(method)}`);
        assertEquals(one.stats.sequenceSweeps, [all.stats.sequenceSweeps[b]!]);
      }
    }
  }
});

testOn(MACHINES, "windows change nothing but rounding", async (device, machine) => {
  const { dtype, epsilon } = machine;
  for (const [i, given] of CASES.entries()) {
    const { name, step, time } = given;
    for (const method of ["sequential", "quasi-deer", "deer", "quasi-elk", "elk"] as const) {
      using whole = await solve(step, problemOf(given), { device, method, maxSweeps: time });
      const expected = await read(whole.ys);
      for (const window of someOf(machine, [1, 7, time - 1, time, time + 5], 3, i)) {
        using solution = await solve(step, problemOf(given), { device, method, window });
        const ys = await read(solution.ys);
        const tolerance = dtype === "f64" ? 1e-9 : epsilon * time;
        assertClose(ys, expected, tolerance, `${name} by ${method} in windows of ${window}`);
        if (method === "sequential" || window >= time) assertSame(ys, expected, `${name}, window ${window}`);
        // In windows of one step the first sweep is exact; there are no more.
        if (window === 1) assertEquals(solution.stats.sweeps, method === "sequential" ? 0 : time);
        assert(solution.stats.converged.every((value) => value));
      }
    }
  }
});
