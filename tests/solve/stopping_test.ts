import { assert, assertEquals } from "@std/assert";
import { defineStep, solve, type SolveOptions } from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertSame, host, largestError, read } from "./arrays.ts";
import { MACHINES, PRECISE, testOn } from "./machines.ts";
import { CASES, LOOP_CASES, problemOf } from "./problems.ts";

const logistic = defineStep({
  name: "logistic",
  state: 1,
  input: 0,
  params: {},
  step: ({ h }) => ops.mul(4, ops.mul(h, ops.sub(1, h))),
});

testOn(
  MACHINES,
  "each sequence stops when it has converged: an easy one does not pay for a hard one",
  async (device) => {
    // 0.75 is a fixed point of the map, 0.3 the start of chaos.
    const problem = { params: {}, time: 100, h0: host([0.75, 0.3, 0], [3, 1]) };
    using solution = await solve(logistic, problem, { device, method: "deer", keepIterates: true });
    const { sequenceSweeps, sweeps, converged, residuals } = solution.stats;
    assertEquals(converged, [true, true, true]);
    assertEquals([sequenceSweeps[0], sequenceSweeps[2]], [1, 1]);
    assert(sequenceSweeps[1]! > 30, `the hard one took ${sequenceSweeps[1]} sweeps`);
    assertEquals([sweeps, residuals.length], [sequenceSweeps[1], sequenceSweeps[1]]);
    // Those that have stopped keep their answer in all iterates that follow.
    const all = await read(solution.iterates!);
    for (let k = 1; k <= sweeps; k++) {
      assert(all.slice(300 * k, 300 * k + 100).every((value) => value === 0.75), `iterate ${k}`);
      assert(all.slice(300 * k + 200, 300 * k + 300).every((value) => value === 0), `iterate ${k}`);
    }
  },
);

testOn(MACHINES, "a sequence that does not converge does not spoil its batch", async (device) => {
  const problem = { params: {}, time: 100, h0: host([0.75, 0.3, 0], [3, 1]) };
  const options = { device, method: "quasi-deer", maxSweeps: 5, onFailure: "return" } as const;
  using solution = await solve(logistic, problem, options);
  assertEquals(solution.result, "max-sweeps-reached");
  assertEquals(solution.stats.converged, [true, false, true]);
  assertEquals(solution.stats.sequenceSweeps, [1, 5, 1]);
  const ys = await read(solution.ys);
  assertSame(ys.slice(0, 100), new Array<number>(100).fill(0.75), "the first");
  assertSame(ys.slice(200), new Array<number>(100).fill(0), "the last");
});

testOn(MACHINES, "a sequence that failed in one window stays failed, the others go on", async (device) => {
  const problem = { params: {}, time: 100, h0: host([0.75, 0.3], [2, 1]) };
  const options = { device, method: "deer", window: 50, maxSweeps: 3, onFailure: "return" } as const;
  using solution = await solve(logistic, problem, options);
  assertEquals(solution.stats.converged, [true, false]);
  assertEquals(solution.stats.sequenceSweeps, [2, 3]);
  assertSame((await read(solution.ys)).slice(0, 100), new Array<number>(100).fill(0.75), "the first");
});

testOn(MACHINES, "the update of rule and residuals is measured against atol + rtol |h|", async (device) => {
  for (const given of LOOP_CASES) {
    for (const [atol, rtol] of [[1e-3, 0], [0, 1e-2], [1e-4, 1e-3]] as const) {
      const options = { device, method: "quasi-deer", atol, rtol, keepIterates: true } as const;
      using solution = await solve(given.step, problemOf(given), options);
      const all = await read(solution.iterates!);
      const length = given.expected.data.length;
      const expected = solution.stats.residuals.map((_, k) => {
        const [before, after] = [all.slice(k * length), all.slice((k + 1) * length, (k + 2) * length)];
        return Math.max(
          ...after.map((v, i) => v === before[i] ? 0 : Math.abs(v - before[i]!) / (atol + rtol * Math.abs(v))),
        );
      });
      const worst = Math.max(...expected.map((e, k) => Math.abs(e - solution.stats.residuals[k]!) / (e + 1e-6)));
      assert(worst < 1e-5, `${given.name}, ${atol}, ${rtol}: ${solution.stats.residuals}, found ${expected}`);
    }
  }
});

testOn(MACHINES, "looser tolerances take fewer sweeps, and keep their promise", async (device) => {
  for (const given of CASES) {
    let before = Infinity;
    for (const tolerance of [1e-5, 1e-4, 1e-3, 1e-2]) {
      const options = { device, method: "quasi-deer", atol: tolerance, rtol: tolerance } as const;
      using solution = await solve(given.step, problemOf(given), options);
      using serial = await solve(given.step, problemOf(given), { device, method: "sequential" });
      assert(solution.stats.sweeps <= before, `${given.name}: ${solution.stats.sweeps} sweeps, tighter ${before}`);
      before = solution.stats.sweeps;
      // The rule bounds the geometric series of what is still to come by a tolerance; states reach 2.
      const error = largestError(await read(solution.ys), await read(serial.ys));
      assert(error <= 3 * tolerance, `${given.name}: ${error} at ${tolerance}`);
    }
  }
});

testOn(PRECISE, "errorBound is close to the true error, also of unfinished iterates", async (device) => {
  for (const given of LOOP_CASES) {
    const batch = given.h0.shape[0]!;
    using serial = await solve(given.step, problemOf(given), { device });
    const exact = await read(serial.ys);
    const length = exact.length / batch;
    let compared = 0;
    for (const method of ["jacobi", "quasi-deer"] as const) {
      for (let maxSweeps = 1; maxSweeps < 60; maxSweeps += 3) {
        const options: SolveOptions = { device, method, maxSweeps, onFailure: "return", errorBound: true };
        using solution = await solve(given.step, problemOf(given), options);
        using wary = await solve(given.step, problemOf(given), { ...options, errorBound: "absolute" });
        const ys = await read(solution.ys);
        for (let b = 0; b < batch; b++) {
          const part = [b * length, (b + 1) * length] as const;
          const error = largestError(ys.slice(...part), exact.slice(...part));
          const [estimate, bound] = [solution.stats.errorBound![b]!, wary.stats.errorBound![b]!];
          const what = `${given.name} by ${method}, ${maxSweeps} sweeps: error ${error}, ${estimate}, ${bound}`;
          assert(bound >= estimate * (1 - 1e-12), what);
          // First order: for errors that are small, but well above the rounding of the scan itself.
          if (error > 1e-2 || error < 1e-13) continue;
          assert(estimate > 0.8 * error && estimate < 1.25 * error, what);
          assert(bound >= 0.9 * error, what);
          compared++;
        }
      }
    }
    assert(compared >= 8, `${given.name}: ${compared} compared`);
  }
});

testOn(PRECISE, "errorBound of windows carries the error from one to the next", async (device) => {
  // A slow integrator forgets nothing: what the first windows leave stays till the end, and adds up.
  const step = defineStep({
    name: "integrator",
    state: 2,
    input: 0,
    params: {},
    step: ({ h }) => {
      const [a, b] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
      return ops.concat(ops.add(a, ops.mul(0.1, ops.cos(b))), ops.add(b, ops.mul(0.1, ops.sin(a))));
    },
  });
  const problem = { params: {}, time: 120, h0: host([0.5, -0.5], [2]) };
  const options = { device, method: "quasi-deer", atol: 1e-4, rtol: 1e-4, errorBound: true } as const;
  using serial = await solve(step, problem, { device });
  for (const window of [20, 40, 120]) {
    using solution = await solve(step, problem, { ...options, window });
    const error = largestError(await read(solution.ys), await read(serial.ys));
    const [estimate] = solution.stats.errorBound!;
    assert(error > 1e-8 && estimate! > 0.8 * error && estimate! < 1.25 * error, `${window}: ${estimate} for ${error}`);
  }
});

testOn(MACHINES, "errorBound of the sequential method is 0", async (device) => {
  for (const errorBound of [true, "first-order", "absolute"] as const) {
    const given = LOOP_CASES[0]!;
    using solution = await solve(given.step, problemOf(given), { device, method: "sequential", errorBound });
    assertEquals(solution.stats.errorBound, [0, 0]);
  }
});
