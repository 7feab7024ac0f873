import { assert, assertEquals } from "@std/assert";
import {
  defineStep,
  type Device,
  elman,
  gru,
  type HostTensor,
  type Method,
  openDevice,
  type Problem,
  quasiDeer,
  solve,
  type Step,
  toHost,
  type Tree,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { stepPlan } from "../../src/engine/webgpu/step_plan.ts";
import { programOf } from "../../src/step.ts";
import { isTensor } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { stepCases } from "../trace/steps.ts";
import { assertClose, host, numbers, read } from "./arrays.ts";

// Every structure of a Jacobian and every size that has kernels of its own, against the CPU engine in f64.

const EPSILON = 2 ** -23;

/** Parameters that f32 and f64 devices hold alike, no larger than 1 over the square root of the state. */
async function paramsOf(step: Step, device: Device): Promise<Tree<HostTensor>> {
  const params: Record<string, unknown> = {};
  for (const [path, leaf] of flattenTree(step.init(device, { seed: 7 }), isTensor)) {
    const { data, shape } = await toHost(leaf);
    let node = params;
    const keys = path.split(".");
    for (const key of keys.slice(0, -1)) node = (node[key] ??= {}) as Record<string, unknown>;
    node[keys.at(-1)!] = host(data.map(Math.fround), shape);
  }
  return params as Tree<HostTensor>;
}

async function problemFor(step: Step, batch: number, time: number, cpu: Device): Promise<Problem> {
  const { state, input } = step;
  const h0 = host(numbers(batch * state, 0.5, 3), [batch, state]);
  const params = await paramsOf(step, cpu);
  return input === 0
    ? { params, time, h0 }
    : { params, xs: host(numbers(batch * time * input, 0.7, 4), [batch, time, input]), h0 };
}

/** The iterates after `sweeps` sweeps, from zeros. */
async function iteratesOn(
  device: Device,
  step: Step,
  problem: Problem,
  method: Method,
  sweeps: number,
): Promise<Float64Array> {
  const options = {
    device,
    method,
    maxSweeps: sweeps,
    guess: "zeros",
    rtol: 0,
    atol: 1e-30,
    onFailure: "return",
  } as const;
  using solution = await solve(step, problem, options);
  return await read(solution.ys);
}

testOnGpu("one sweep of every structure: entries of G, in registers, in tiles and in place", async () => {
  await using gpu = await openDevice({ backend: "webgpu" });
  await using cpu = await openDevice({ backend: "cpu", dtype: "f64" });
  const methods: readonly Method[] = [{ name: "deer" }, quasiDeer({ clip: 0.75 }), { name: "block-deer", scale: 0.5 }];
  // States of 3 or 6; some cases of 5 or 10 too, beyond what one invocation holds.
  const cases = [...stepCases(3), ...stepCases(5).filter((_, i) => i % 4 === 1)];
  for (const [i, { name, step }] of cases.entries()) {
    const problem = await problemFor(step, 2, 12, cpu);
    for (const method of i % 3 === 0 ? [methods[0]!, methods[1 + i / 3 % 2]!] : [methods[0]!]) {
      const actual = await iteratesOn(gpu, step, problem, method, 1);
      const expected = await iteratesOn(cpu, step, problem, method, 1);
      const size = Math.max(1, ...expected.map(Math.abs));
      // Twelve steps that may grow: roundings of their largest state, amplified as the states are.
      assertClose(
        actual,
        expected,
        64 * 12 * EPSILON * size,
        `${name}, D = ${step.state}, by ${JSON.stringify(method)}`,
      );
    }
  }
});

testOnGpu("every size of a dense Jacobian: registers, tiles, a fold", async () => {
  await using gpu = await openDevice({ backend: "webgpu" });
  await using cpu = await openDevice({ backend: "cpu", dtype: "f64" });
  for (const hidden of [1, 2, 3, 4, 5, 7, 8, 16, 31, 33, 48]) {
    const step = elman({ input: 2, hidden });
    const problem = await problemFor(step, 2, 130, cpu);
    using serial = await solve(step, problem, { device: cpu, method: "sequential" });
    const expected = await read(serial.ys);
    for (const [method, window] of [["deer", 130], ["deer", 50], ["quasi-deer", 130]] as const) {
      if (window === 50 && hidden % 2 === 0) continue;
      using solution = await solve(step, problem, { device: gpu, method, window });
      // Weights of 1 / √D: errors fade; sums of D terms, and what the default tolerance leaves.
      const tolerance = (hidden + 64) * EPSILON + 1e-5;
      assertClose(await read(solution.ys), expected, tolerance, `hidden ${hidden} by ${method}, windows of ${window}`);
      assert(
        solution.stats.sweeps <= (method === "deer" ? 8 * Math.ceil(130 / window) : 60),
        `${solution.stats.sweeps}`,
      );
    }
  }
});

testOnGpu("batches of one to seventy thousand sequences, each with its own verdict", async () => {
  await using gpu = await openDevice({ backend: "webgpu" });
  const step = defineStep({
    name: "square root",
    state: 1,
    input: 1,
    params: {},
    step: ({ h, x }) => ops.sub(ops.sqrt(h), x),
  });
  // Of every seven sequences one runs out of its domain at t = 2: 1 - 0.4, 0.77 - 0.8, and the root of that.
  const time = 5;
  for (const batch of [1, 6, 64, 257, 70_000]) {
    const rows = Array.from(
      { length: batch },
      (_, b) => b % 7 === 3 ? [0.4, 0.8, 0.1, 0, 0] : [0.1, 0.2, 0.1, 0.05, 0.1],
    );
    const problem: Problem = { params: {}, xs: host(rows.flat(), [batch, time, 1]), h0: host([1], [1]) };
    for (const method of batch > 1000 ? ["deer"] as const : ["deer", "jacobi", "sequential"] as const) {
      using solution = await solve(step, problem, { device: gpu, method, onFailure: "return" });
      const what = `${batch} sequences by ${method}`;
      assertEquals(solution.result, batch > 3 ? "nonfinite" : "successful", what);
      const ys = await read(solution.ys);
      for (const [b, row] of rows.entries()) {
        const bad = b % 7 === 3;
        if (solution.stats.converged[b] === bad) throw new Error(`${what}: sequence ${b} has the wrong verdict`);
        let h = 1;
        for (const [t, x] of row.entries()) {
          h = Math.sqrt(h) - x;
          const y = ys[b * time + t]!;
          const right = bad && t >= 2 ? Number.isNaN(y) : Math.abs(y - h) < 1e-5;
          if (!right) throw new Error(`${what}: state ${t} of sequence ${b} is ${y}, expected ${bad ? NaN : h}`);
        }
      }
    }
  }
});

testOnGpu("forms: wide inputs, whose projection is one product of matrices", async () => {
  await using gpu = await openDevice({ backend: "webgpu" });
  await using cpu = await openDevice({ backend: "cpu", dtype: "f64" });
  const step = gru({ input: 90, hidden: 20 });
  const { projection } = stepPlan(programOf(step), { kind: "sequential", scale: 0, clip: Infinity });
  assertEquals(projection?.columns, 60);
  const problem = await problemFor(step, 2, 150, cpu);
  using expected = await solve(step, problem, { device: cpu, method: "sequential" });
  for (const [method, window] of [["sequential", 150], ["deer", 150], ["quasi-deer", 64]] as const) {
    using solution = await solve(step, problem, { device: gpu, method, window });
    // Sums of 90 inputs of up to 0.7, in another order, then a contraction.
    assertClose(await read(solution.ys), await read(expected.ys), 90 * EPSILON, method);
  }
});
