import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { defineStep, solve, SolveError } from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { host, largestError, read } from "./arrays.ts";
import { MACHINES, PRECISE, testOn } from "./machines.ts";

/** A rotation by `angle`: neutral, so that small updates add up for ever. */
function rotation(angle: number): ReturnType<typeof defineStep> {
  return defineStep({
    name: "rotation",
    state: 2,
    input: 0,
    params: {},
    step: ({ h }) => {
      const [a, b] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
      return ops.concat(ops.sub(a, ops.mul(angle, b)), ops.add(b, ops.mul(angle, a)));
    },
  });
}

testOn(PRECISE, "a slow drift is not taken for convergence, in one window or in many", async (device) => {
  const time = 20000;
  for (const [method, window] of [["jacobi", time], ["jacobi", 500], ["jacobi", 5], ["quasi-deer", 500]] as const) {
    // Updates of a tenth of the tolerance; over all steps they make a thousand tolerances and more.
    const options = { device, method, window, atol: 1e-6, rtol: 0, onFailure: "return", maxSweeps: 50 } as const;
    const problem = { params: {}, time, h0: host([1, 0], [2]) };
    using solution = await solve(rotation(1e-7), problem, options);
    const expected = new Float64Array(2 * time);
    let [a, b] = [1, 0];
    for (let t = 0; t < time; t++) {
      [a, b] = [a - 1e-7 * b, b + 1e-7 * a];
      expected.set([a, b], 2 * t);
    }
    const error = largestError(await read(solution.ys), expected);
    const honest = solution.result !== "successful" || error <= 2e-6;
    assert(honest, `${method}, windows of ${window}: ${solution.result} with an error of ${error}`);
  }
});

testOn(MACHINES, "a trajectory of large numbers is solved as one of small ones", async (device, { epsilon }) => {
  const step = defineStep({
    name: "leaky",
    state: 1,
    input: 1,
    params: {},
    step: ({ h, x }) => ops.add(ops.mul(0.5, h), x),
  });
  const time = 200;
  for (const size of [1, 1e9, 1e12]) {
    const xs = host(new Float64Array(time).fill(size), [time, 1]);
    const last = 2 * size * (1 - 2 ** -time);
    for (const method of ["deer", "quasi-deer", "jacobi"] as const) {
      using solution = await solve(step, { params: {}, xs }, { device, method });
      const [value] = await read(solution.yT);
      assert(Math.abs(value! - last) <= 1e6 * epsilon * last, `${method} at ${size}: ${value}, expected ${last}`);
      if (method === "deer") assertEquals(solution.stats.sweeps, 1);
    }
  }
});

testOn(MACHINES, "a window that fails is named, and ends the solve", async (device) => {
  const chaotic = defineStep({
    name: "logistic",
    state: 1,
    input: 0,
    params: {},
    step: ({ h }) => ops.mul(3.9, ops.mul(h, ops.sub(1, h))),
  });
  const problem = { params: {}, time: 1000, h0: host([0.3], [1]) };
  const options = { device, method: "jacobi", window: 250, maxSweeps: 20 } as const;
  const error = await assertRejects(() => solve(chaotic, problem, options), SolveError);
  assertMatch(error.message, /after 20 sweeps \(maxSweeps\) in the window from t = 0, last update [1-9]/);
  assertEquals([error.solution.stats.sweeps, error.solution.stats.sequenceSweeps], [20, [20]]);
  using solution = await solve(chaotic, problem, { ...options, onFailure: "return" });
  const values = await read(solution.ys);
  assert(values.slice(0, 250).every(Number.isFinite) && values.slice(250).every(Number.isNaN));
});

Deno.test("a step of very many states is traced in little time, with a coarse proof", () => {
  const wide = (state: number) =>
    defineStep({ name: "wide", state, input: 0, params: {}, step: ({ h }) => ops.mul(h, 0.5) });
  assertEquals(wide(4096).jacobian, "diagonal");
  assertEquals(wide(2 ** 20).jacobian, "dense");
});
