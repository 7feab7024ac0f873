import { assert, assertEquals, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { defineStep, type Device, type Problem, solve, type SolveProgress, toHost } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, host, read } from "./arrays.ts";
import { watchMemory } from "./memory.ts";
import { MACHINES, testOn } from "./machines.ts";
import { LOOP_CASES, problemOf } from "./problems.ts";

/** Chaos: a solve of it takes as many sweeps as there are steps. */
const logistic = defineStep({
  name: "logistic",
  state: 1,
  input: 0,
  params: {},
  step: ({ h }) => ops.mul(3.9, ops.mul(h, ops.sub(1, h))),
});
const endless: Problem = { params: {}, time: 20000, h0: host([0.3], [1]) };
const OPTIONS = { method: "deer", maxSweeps: 20000 } as const;

testOn(
  MACHINES,
  "a signal that is aborted already rejects with its reason, before anything is done",
  async (device) => {
    const ledger = watchMemory(device);
    const reason = new Error("not needed any more");
    const signal = AbortSignal.abort(reason);
    for (const onFailure of ["throw", "return"] as const) {
      const seen: number[] = [];
      const onProgress = ({ sweep }: SolveProgress): number => seen.push(sweep);
      const options = { device, ...OPTIONS, signal, onFailure, onProgress };
      assertStrictEquals(await assertRejects(() => solve(logistic, endless, options)), reason);
      assertEquals(seen, []);
    }
    assertEquals(ledger.held(), []);
  },
);

/** Aborts at the end of the third sweep. */
async function abortAtThird(device: Device, reason: unknown, onFailure: "throw" | "return") {
  const controller = new AbortController();
  const onProgress = ({ sweep }: SolveProgress): void => {
    if (sweep === 3) controller.abort(reason);
  };
  return await solve(logistic, endless, { device, ...OPTIONS, signal: controller.signal, onProgress, onFailure });
}

testOn(MACHINES, "an abort in the middle rejects with the signal's reason and frees everything", async (device) => {
  const ledger = watchMemory(device);
  for (const reason of [new Error("enough"), "a string", { any: "object" }]) {
    let caught: unknown;
    await abortAtThird(device, reason, "throw").catch((error) => caught = error);
    assertStrictEquals(caught, reason);
    assertEquals(ledger.held(), []);
  }
  const error = await assertRejects(() => abortAtThird(device, undefined, "throw"), DOMException);
  assertEquals(error.name, "AbortError");
});

testOn(MACHINES, "an abort with onFailure return answers what there is", async (device) => {
  using solution = await abortAtThird(device, new Error("enough"), "return");
  assertEquals([solution.result, solution.stats.sweeps, solution.stats.converged], ["aborted", 3, [false]]);
  const ys = await read(solution.ys);
  assertEquals(ys.length, 20000);
  // The prefix that three sweeps make exact.
  const step = (h: number): number => 3.9 * h * (1 - h);
  for (const [t, exact] of [step(0.3), step(step(0.3))].entries()) assert(Math.abs(ys[t]! - exact) < 1e-6);
});

testOn(MACHINES, "a long solve gives the event loop its turns, so that a timer can abort it", async (device) => {
  const start = performance.now();
  const signal = AbortSignal.timeout(60);
  const error = await assertRejects(() => solve(logistic, endless, { device, ...OPTIONS, signal }), DOMException);
  assertEquals(error.name, "TimeoutError");
  assertLess(performance.now() - start, 2000);
});

testOn(MACHINES, "onProgress is called after every sweep, in order, with the residual", async (device) => {
  for (const given of LOOP_CASES) {
    for (const method of ["sequential", "quasi-deer", "deer", "quasi-elk", "elk"] as const) {
      const seen: SolveProgress[] = [];
      const onProgress = (progress: SolveProgress): void => void seen.push(progress);
      using solution = await solve(given.step, problemOf(given), { device, method, onProgress });
      const { residuals } = solution.stats;
      assertEquals(seen.map(({ sweep }) => sweep), seen.map((_, k) => k + 1));
      // What is recorded ahead is told ahead: a device is asked after 32 sweeps, and every doubling.
      const count = Math.max(1, residuals.length);
      if (device.backend === "cpu") assertEquals(seen.length, count);
      else assert(seen.length >= count && seen.length <= Math.max(32, 2 * count), `${seen.length} told, ${count} run`);
      assert(seen.every(({ window, windows }) => window === 0 && windows === 1));
      // An engine that does not wait for its device may not know the residual yet.
      for (const [i, e] of residuals.entries()) assert([e, NaN].includes(seen[i]!.residual), `${seen[i]!.residual}`);
      if (device.backend === "cpu" && method !== "sequential") assertEquals(seen.map((p) => p.residual), residuals);
    }
  }
});

testOn(MACHINES, "onProgress counts windows, and sweeps from 1 in each", async (device) => {
  const given = LOOP_CASES.find(({ name }) => name === "network")!;
  const seen: SolveProgress[] = [];
  const onProgress = (progress: SolveProgress): void => void seen.push(progress);
  using solution = await solve(given.step, problemOf(given), { device, method: "deer", window: 30, onProgress });
  if (device.backend === "cpu") assertEquals(solution.stats.residuals.length, seen.length);
  else assertEquals(seen.length, 30 + 30 + 30);
  for (const [i, { sweep, window, windows }] of seen.entries()) {
    assertEquals(windows, 3);
    const before = seen[i - 1];
    if (before === undefined || before.window !== window) {
      assertEquals([sweep, window], [1, (before?.window ?? -1) + 1]);
    } else assertEquals(sweep, before.sweep + 1);
  }
  assertEquals(seen.at(-1)!.window, 2);
});

testOn(MACHINES, "windows are chosen where memory does not suffice for all steps", async (device) => {
  const given = LOOP_CASES.find(({ name }) => name === "network")!;
  const engine = engineOf(device);
  using whole = await solve(given.step, problemOf(given), { device, method: "deer" });
  const { affordableWindow } = engine;
  using _ = { [Symbol.dispose]: () => void (engine.affordableWindow = affordableWindow) };
  engine.affordableWindow = (): number => 30;
  const windows = new Set<number>();
  const onProgress = ({ window }: SolveProgress): unknown => windows.add(window);
  using solution = await solve(given.step, problemOf(given), { device, method: "deer", onProgress });
  assertEquals([...windows], [0, 1, 2]);
  assertClose(await read(solution.ys), await read(whole.ys), device.dtype === "f64" ? 1e-9 : 1e-5, "in windows");
  const options = { device, method: "deer", keepIterates: true } as const;
  await assertRejects(() => solve(given.step, problemOf(given), options), RangeError, "got windows of 30 for 80 steps");
});

testOn(MACHINES, "an onProgress that throws ends the solve with its error, and frees everything", async (device) => {
  const ledger = watchMemory(device);
  const oops = new Error("oops");
  const onProgress = ({ sweep }: SolveProgress): void => {
    if (sweep === 2) throw oops;
  };
  for (const keepIterates of [false, true]) {
    const options = { device, ...OPTIONS, onProgress, keepIterates };
    assertStrictEquals(await assertRejects(() => solve(logistic, { ...endless, time: 50 }, options)), oops);
    assertEquals(ledger.held(), []);
  }
});

testOn(MACHINES, "a solve holds its answer and nothing else", async (device) => {
  const ledger = watchMemory(device);
  const given = LOOP_CASES.find(({ name }) => name === "network")!;
  for (const method of ["sequential", "quasi-deer", "deer", "quasi-elk", "elk"] as const) {
    const options = { device, method, keepIterates: true, errorBound: true, guess: given.expected } as const;
    const solution = await solve(given.step, problemOf(given), options);
    assertEquals(ledger.held(), ['iterates of "network"', 'yT of "network"', 'ys of "network"'], method);
    solution.dispose();
    solution.dispose();
    assertEquals(ledger.held(), []);
  }
  // Problems that do not fit leave nothing behind either.
  const wrong = { ...problemOf(given), h0: host([1, 2, 3], [3]) };
  await assertRejects(() => solve(given.step, wrong, { device }), TypeError);
  await assertRejects(() => solve(given.step, problemOf(given), { device, guess: host([1], [1]) }), TypeError);
  await assertRejects(() => solve(given.step, problemOf(given), { device, keepIterates: true, window: 3 }), RangeError);
  assertEquals(ledger.held(), []);
});

testOn(MACHINES, "tensors that were given stay the caller's", async (device) => {
  const given = LOOP_CASES[0]!;
  const params = given.step.init(device, { seed: 1 });
  using first = await solve(given.step, { ...problemOf(given), params }, { method: "deer" });
  using second = await solve(given.step, { ...problemOf(given), params }, { method: "deer", guess: first });
  if (device.backend === "cpu") assertEquals(second.stats.sweeps, 1);
  else assert(second.stats.residuals[0]! <= 1, `${second.stats.residuals}`);
  assertEquals((await toHost(first.ys)).shape, given.expected.shape);
});
