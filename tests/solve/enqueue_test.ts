import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { DeviceError, enqueueSolve, solve, SolveError, tidy, toHost } from "../../mod.ts";
import { assertSame, host, read } from "./arrays.ts";
import { watchMemory } from "./memory.ts";
import { MACHINES, someOf, testOn } from "./machines.ts";
import { LOOP_CASES, problemOf, TORCH_CASES } from "./problems.ts";

const METHODS = ["auto", "sequential", "jacobi", "quasi-deer", "block-deer", "deer", "quasi-elk", "elk"] as const;

testOn(MACHINES, "enqueueSolve gives what solve gives: bits, result and statistics", async (device, machine) => {
  for (const [i, given] of [...LOOP_CASES, TORCH_CASES[0]!].entries()) {
    for (const method of someOf(machine, METHODS, 3, i)) {
      const options = { device, method, errorBound: true, window: 50 } as const;
      using expected = await solve(given.step, problemOf(given), options);
      const { ys, yT, verdict } = enqueueSolve(given.step, problemOf(given), options);
      assertEquals([ys.shape, yT.shape], [expected.ys.shape, expected.yT.shape]);
      using solution = await verdict();
      assertStrictEquals(solution.ys, ys);
      assertStrictEquals(solution.yT, yT);
      assertEquals([solution.result, solution.stats], [expected.result, expected.stats]);
      assertSame(await read(ys), await read(expected.ys), `${given.name} by ${method}`);
      assertSame(await read(yT), await read(expected.yT), `${given.name} by ${method}`);
    }
  }
});

testOn(MACHINES, "ys can be used at once, for instance by another solve", async (device) => {
  const given = LOOP_CASES.find(({ name }) => name === "leaky (diagonal)")!;
  const first = enqueueSolve(given.step, problemOf(given), { device, method: "deer" });
  // Its states are as many as its inputs: a stack of two layers, queued without waiting.
  const second = enqueueSolve(given.step, { params: given.params, xs: first.ys }, { device, method: "deer" });
  const ys = await read(second.ys);
  using below = await first.verdict();
  using expected = await solve(given.step, { params: given.params, xs: below.ys }, { device, method: "deer" });
  assertSame(ys, await read(expected.ys), "the second layer");
  (await second.verdict()).dispose();
});

testOn(MACHINES, "verdict() answers the same promise every time", async (device) => {
  const given = LOOP_CASES[0]!;
  const { verdict } = enqueueSolve(given.step, problemOf(given), { device, method: "deer" });
  const [first, second] = [verdict(), verdict()];
  assertStrictEquals(first, second);
  assertStrictEquals(await first, await second);
  (await first).dispose();
});

testOn(MACHINES, "verdict() throws what solve throws, and frees everything", async (device) => {
  const ledger = watchMemory(device);
  const given = LOOP_CASES.find(({ name }) => name === "network")!;
  const settings = [
    [problemOf(given), { maxSweeps: 2 }, "max-sweeps-reached"],
    [{ ...problemOf(given), h0: host([NaN, 0, 0, 0], [4]) }, {}, "nonfinite"],
  ] as const;
  for (const [problem, options, result] of settings) {
    const all = { device, method: "quasi-deer", ...options } as const;
    const direct = await assertRejects(() => solve(given.step, problem, all), SolveError);
    const { ys, verdict } = enqueueSolve(given.step, problem, all);
    const error = await assertRejects(() => verdict(), SolveError, direct.message);
    assertEquals(error.result, result);
    assertStrictEquals(await assertRejects(() => verdict(), SolveError), error);
    await assertRejects(() => toHost(ys), DeviceError, "it was disposed");
    assertEquals(ledger.held(), []);
    const kept = enqueueSolve(given.step, problem, { ...all, onFailure: "return" });
    using solution = await kept.verdict();
    assertEquals(solution.result, result);
    assertEquals((await toHost(solution.ys)).shape, given.expected.shape);
  }
});

testOn(MACHINES, "enqueueSolve throws at once for arguments that do not fit", (device) => {
  const given = LOOP_CASES.find(({ name }) => name === "network")!;
  const ledger = watchMemory(device);
  assertThrows(() => enqueueSolve(given.step, { params: {} }, { device }), TypeError, "params must be");
  const problem = problemOf(given);
  assertThrows(() => enqueueSolve(given.step, problem, { device, maxSweeps: 0 }), RangeError, "maxSweeps");
  assertEquals(ledger.held(), []);
  return Promise.resolve();
});

testOn(MACHINES, "tidy keeps an enqueued solve and a solution that are returned", async (device) => {
  const given = LOOP_CASES[0]!;
  const ledger = watchMemory(device);
  const name = given.step.name;
  const solution = await tidy(device, () => solve(given.step, problemOf(given), { device }));
  assertEquals(ledger.held(), [`yT of "${name}"`, `ys of "${name}"`]);
  assert((await read(solution.ys)).every(Number.isFinite));
  solution.dispose();
  const later = await tidy(device, () => enqueueSolve(given.step, problemOf(given), { device, method: "deer" }));
  const end = await later.verdict();
  assertEquals((await toHost(end.ys)).shape, given.expected.shape);
  end.dispose();
  assertEquals(ledger.held(), []);
});
