import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { defineStep, type MethodName, solve, SolveError } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { memoryOf, tensor } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, assertSame, host, largestError, numbers, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { MACHINES, PRECISE, someOf, testOn } from "./machines.ts";
import { CASES, problemOf } from "./problems.ts";

// What the originals got wrong (SPEC §8), each a test. The whale case of defect 10 stands in whale_test.ts.

const PARALLEL: readonly MethodName[] = ["jacobi", "picard", "quasi-deer", "block-deer", "deer", "quasi-elk", "elk"];

const rooted = defineStep({
  name: "rooted",
  state: 1,
  input: 1,
  params: {},
  step: ({ h, x }) => ops.sub(ops.sqrt(h), x),
});

testOn(MACHINES, "defect 1: a step that yields NaN never succeeds", async (device) => {
  // √h - x from 1 with x = 0.6: 0.4, 0.03, then below 0, and the root of that is NaN.
  const xs = host(new Float64Array(8).fill(0.6), [8, 1]);
  const expected = runLoop(([h], [x]) => [Math.sqrt(h!) - x!], host([1], [1, 1]), host(xs.data, [1, 8, 1]), 8).data;
  const t = expected.findIndex(Number.isNaN);
  assert(t > 1);
  for (const method of ["sequential", ...PARALLEL] as const) {
    for (const guess of ["f0", "h0", "zeros"] as const) {
      const problem = { params: {}, xs, h0: host([1], [1]) };
      const error = await assertRejects(() => solve(rooted, problem, { device, method, guess }), SolveError);
      assert(error.message.includes(`not finite, first at t = ${t};`), error.message);
      using solution = await solve(rooted, problem, { device, method, guess, onFailure: "return" });
      assertEquals([solution.result, solution.stats.converged], ["nonfinite", [false]]);
      assertClose((await read(solution.ys)).slice(0, t), expected.slice(0, t), 1e-6, method);
    }
  }
});

testOn(MACHINES, "defect 1, the other side: NaN on the way only is no failure", async (device) => {
  // √h + 0.1 stays positive, but iterates from a negative guess do not have roots.
  const xs = host(new Float64Array(30).fill(-0.1), [30, 1]);
  const expected = runLoop(([h], [x]) => [Math.sqrt(h!) - x!], host([1], [1, 1]), host(xs.data, [1, 30, 1]), 30);
  for (const method of PARALLEL) {
    const guess = host(new Float64Array(30).fill(-5), [30, 1]);
    using solution = await solve(rooted, { params: {}, xs, h0: host([1], [1]) }, { device, method, guess });
    assertClose(await read(solution.ys), expected.data, 2e-5, method);
  }
});

testOn(MACHINES, "defect 2: converging in the very last allowed sweep is success", async (device, machine) => {
  for (const [i, given] of CASES.entries()) {
    for (const method of someOf(machine, PARALLEL, 3, i)) {
      using free = await solve(given.step, problemOf(given), { device, method, maxSweeps: given.time });
      const maxSweeps = free.stats.sweeps;
      using tight = await solve(given.step, problemOf(given), { device, method, maxSweeps });
      assertEquals([tight.result, tight.stats], ["successful", free.stats], `${given.name} by ${method}`);
      assertSame(await read(tight.ys), await read(free.ys), `${given.name} by ${method}`);
      if (maxSweeps === 1) continue;
      using less = await solve(given.step, problemOf(given), {
        device,
        method,
        maxSweeps: maxSweeps - 1,
        onFailure: "return",
      });
      assertEquals(less.result, "max-sweeps-reached", `${given.name} by ${method}`);
    }
  }
});

testOn(MACHINES, "defect 9: a bad sequence costs the others nothing, and is not paid for by them", async (device) => {
  const given = CASES.find(({ name }) => name === "network")!;
  const batch = given.h0.shape[0]!;
  for (const method of PARALLEL) {
    using healthy = await solve(given.step, problemOf(given), { device, method, maxSweeps: given.time });
    const problem = problemOf(given);
    const xs = host(given.xs!.data, given.xs!.shape);
    xs.data[given.time * given.step.input] = NaN;
    using sick = await solve(given.step, { ...problem, xs }, {
      device,
      method,
      maxSweeps: given.time,
      onFailure: "return",
    });
    assertEquals(sick.stats.converged, [true, false, true]);
    const [before, after] = [healthy.stats.sequenceSweeps, sick.stats.sequenceSweeps];
    assertEquals([after[0], after[2]], [before[0], before[2]], method);
    assertLess(after[1]!, 3);
    const [expected, actual] = [await read(healthy.ys), await read(sick.ys)];
    const length = expected.length / batch;
    for (const b of [0, 2]) {
      assertSame(actual.slice(b * length, (b + 1) * length), expected.slice(b * length, (b + 1) * length), method);
    }
  }
});

testOn(PRECISE, "defect 10: slow linear convergence is not taken for the end", async (device) => {
  // A rate of 0.9 to 0.97: an update of one tolerance leaves 10 to 30 of them to come.
  for (const rate of [0.9, 0.95, 0.97]) {
    const slow = defineStep({
      name: "slow",
      state: 2,
      input: 0,
      params: {},
      // J = rate · [[0, 1], [1, 0]] near 0: its diagonal is 0, so that the diagonal method is Jacobi's.
      step: ({ h }) => ops.mul(rate, ops.tanh(ops.concat(ops.slice(h, 1, 2), ops.slice(h, 0, 1)))),
    });
    const problem = { params: {}, time: 600, h0: host([0.01, -0.02], [2]) };
    using serial = await solve(slow, problem, { device });
    const exact = await read(serial.ys);
    for (const method of ["jacobi", "quasi-deer"] as const) {
      const atol = 1e-6;
      using solution = await solve(slow, problem, { device, method, atol, rtol: 0, guess: "h0" });
      const error = largestError(await read(solution.ys), exact);
      assert(error <= 1.05 * atol, `${method} at rate ${rate} stopped ${error} from the answer`);
      const early = solution.stats.residuals.findIndex((e) => e <= 1) + 1;
      assertLess(early, solution.stats.sweeps);
    }
  }
});

const product = defineStep({
  name: "product",
  state: 2,
  input: 4,
  params: {},
  step: ({ h, x }) => ops.add(ops.mul(ops.slice(x, 0, 2), h), ops.mul(ops.slice(x, 2, 4), ops.cos(h))),
});

testOn(MACHINES, "defect 12: products of Jacobians overflow before any state does", async (device) => {
  // Thirty factors of 1e30 on a state that is 0, then a decay: their product is no float, the states are below 2.
  const rows = Array.from({ length: 90 }, (_, t) => t < 30 ? [1e30, 1e30, 0, 0] : [0.5, 0.25, 1, 0.5]);
  const xs = host(rows.flat(), [1, 90, 4]);
  const rule = (h: readonly number[], x: readonly number[]): number[] =>
    h.map((value, i) => x[i]! * value + x[2 + i]! * Math.cos(value));
  const expected = runLoop(rule, host([0, 0], [1, 2]), xs, 90);
  for (const method of ["sequential", ...PARALLEL] as const) {
    for (const guess of ["f0", "zeros", host(numbers(180, 1e-3, 2), [1, 90, 2])] as const) {
      using solution = await solve(product, { params: {}, xs }, { device, method, guess });
      const tolerance = device.dtype === "f64" ? 1e-9 : 1e-5;
      assertClose(await read(solution.ys), expected.data, tolerance, method);
    }
  }
});

testOn(PRECISE, "defect 12: the engine's scan survives products that overflow", async (device) => {
  const engine = engineOf(device);
  const a = memoryOf(tensor(device, host(Array.from({ length: 40 }, (_, t) => t < 20 ? 1e30 : 0.5), [40])));
  const b = memoryOf(tensor(device, host(Array.from({ length: 40 }, (_, t) => t < 20 ? 0 : 1), [40])));
  const out = engine.allocate(engine.dtype, 40);
  engine.scan({ monoid: "diagonal", a, b, h0: null, out, batch: 1, time: 40, state: 1, reverse: false });
  const expected = Array.from({ length: 40 }, (_, t) => t < 20 ? 0 : 2 - 0.5 ** (t - 20));
  assertClose(await engine.read(out), expected, 1e-15, "the scan");
});
