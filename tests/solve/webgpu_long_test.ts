import { assert, assertEquals, assertLess } from "@std/assert";
import {
  defineStep,
  type Device,
  elman,
  type MethodName,
  openDevice,
  type Problem,
  solve,
  SolveError,
  type Step,
} from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose, host, numbers, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { LOOP_CASES, problemOf } from "./problems.ts";

// WebGPU beside the CPU engine where both must say the same, and at lengths that no table reaches.

const METHODS: readonly MethodName[] = [
  ...["sequential", "jacobi", "picard", "quasi-deer", "block-deer", "deer", "quasi-elk", "elk"] as const,
];
const EPSILON = 2 ** -23;

const openBoth = async (): Promise<[gpu: Device, cpu: Device]> => [
  await openDevice({ backend: "webgpu" }),
  await openDevice({ backend: "cpu", dtype: "f32" }),
];

const mixer = defineStep({
  name: "mixer",
  state: 2,
  input: 2,
  params: { weight: [2, 2] },
  step: ({ h, x, p }) => ops.tanh(ops.add(ops.matvec(p.weight, h), x)),
});

const growing = defineStep({
  name: "growing",
  state: 1,
  input: 1,
  params: {},
  step: ({ h, x }) => ops.mul(ops.mul(1e3, x), h),
});

const logistic = defineStep({
  name: "logistic",
  state: 1,
  input: 0,
  params: {},
  step: ({ h }) => ops.mul(3.9, ops.mul(h, ops.sub(1, h))),
});

function poisoned(): Problem {
  const xs = host(numbers(3 * 20 * 2, 1, 3), [3, 20, 2]);
  xs.data[(20 + 7) * 2 + 1] = NaN;
  xs.data[(40 + 3) * 2] = NaN;
  return { params: { weight: host([0.5, -0.25, 0.125, 0.25], [2, 2]) }, xs };
}

const NINE = LOOP_CASES.find(({ name }) => name === "nine units (diagonal)")!;

function poisonedNine(): Problem {
  const problem = problemOf(NINE);
  const xs = host(NINE.xs!.data, NINE.xs!.shape);
  for (const [b, t] of [[0, 50], [2, 0]] as const) xs.data[(b * NINE.time + t) * 9 + 5] = NaN;
  return { ...problem, xs };
}

/** Problems that fail: at a NaN, by growth, by a lack of sweeps. */
const FAILING: readonly [step: Step, problem: Problem, window: number, maxSweeps: number][] = [
  [mixer, poisoned(), 20, 20],
  [mixer, poisoned(), 6, 6],
  [NINE.step, poisonedNine(), 77, 77],
  [NINE.step, poisonedNine(), 20, 20],
  [
    growing,
    { params: {}, xs: host([...new Array(30).fill(1), ...new Array(30).fill(0)], [2, 30, 1]), h0: host([1], [1]) },
    30,
    30,
  ],
  [logistic, { params: {}, time: 300, h0: host([0.3, 0, 0.1], [3, 1]) }, 300, 9],
  [logistic, { params: {}, time: 300, h0: host([0.3, 0, 0.1], [3, 1]) }, 100, 9],
];

/** What is known of a failure, but for how large an update was. */
interface Failure {
  readonly message: string;
  readonly result: string;
  readonly converged: readonly boolean[];
  readonly sweeps: readonly number[];
  /** Which elements of the answer are not finite. */
  readonly missing: readonly boolean[];
}

async function failureOn(
  device: Device,
  [step, problem, window, maxSweeps]: typeof FAILING[number],
  method: MethodName,
) {
  const options = { device, method, window, maxSweeps } as const;
  const error = await solve(step, problem, options).then(() => undefined, (error: Error) => error);
  assert(error instanceof SolveError, `${step.name} by ${method}: ${error}`);
  using solution = await solve(step, problem, { ...options, onFailure: "return" });
  const { converged, sequenceSweeps } = solution.stats;
  assertEquals(error.solution.stats, solution.stats);
  return {
    message: error.message.replace(/last update \S+/, "last update ?"),
    result: error.result,
    converged,
    sweeps: sequenceSweeps,
    missing: Array.from(await read(solution.ys), (value) => !Number.isFinite(value)),
  } satisfies Failure;
}

testOnGpu("a solve that fails says the same as on the CPU: result, counts, places, message", async () => {
  const [gpu, cpu] = await openBoth();
  for (const given of FAILING) {
    for (const method of METHODS) {
      if (method === "sequential" && given[0] === logistic) continue;
      const { sweeps, ...actual } = await failureOn(gpu, given, method);
      const { sweeps: wanted, ...expected } = await failureOn(cpu, given, method);
      assertEquals(actual, expected, `${given[0].name} by ${method}`);
      // A place that is not finite is found when all before it repeat bit for bit: roundings decide when, sweep t + 1 at last.
      const length = actual.missing.length / sweeps.length;
      // Of a window's guess f0 row 0 is exact; the CPU goes on with an undamped row behind it, WebGPU does so a sweep later.
      const spare = method.endsWith("elk") ? Math.ceil(length / given[0].state / given[2]) : 1;
      for (const [b, count] of sweeps.entries()) {
        const first = actual.missing.indexOf(true, b * length) - b * length;
        const steps = 1 + Math.floor(first / given[0].state);
        const most = actual.result === "nonfinite" && !actual.converged[b]
          ? Math.max(steps, wanted[b]!)
          : wanted[b]! + spare;
        assert(count <= most, `${given[0].name} by ${method}: ${sweeps} sweeps, on the CPU ${wanted}`);
      }
    }
  }
  await gpu.dispose();
});

testOnGpu("errorBound of unfinished iterates is the CPU's", async () => {
  const [gpu, cpu] = await openBoth();
  let compared = 0;
  for (const given of LOOP_CASES) {
    for (const method of ["jacobi", "quasi-deer"] as const) {
      for (const errorBound of ["first-order", "absolute"] as const) {
        const options = { method, errorBound, maxSweeps: 4, window: 1000, onFailure: "return" } as const;
        using actual = await solve(given.step, problemOf(given), { ...options, device: gpu });
        using expected = await solve(given.step, problemOf(given), { ...options, device: cpu });
        for (const [b, wanted] of expected.stats.errorBound!.entries()) {
          const found = actual.stats.errorBound![b]!;
          const what = `${given.name} by ${method}, ${errorBound}: ${found}, on the CPU ${wanted}`;
          // Both scans round what they measure; what is larger than that is the same.
          assert(Math.abs(found - wanted) <= 0.01 * wanted + given.time * 16 * EPSILON, what);
          if (wanted > 1e-2) compared++;
        }
      }
    }
  }
  assert(compared >= 8, `${compared} compared`);
  await gpu.dispose();
});

testOnGpu("a device with default limits solves in windows what a binding cannot hold", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  await using device = await openDevice({ gpuDevice: await adapter!.requestDevice() });
  // The states take 3.6 MB, their hoisted products with x 144 MB; a binding holds 128 MiB.
  const [time, width] = [900_000, 40];
  const step = defineStep({
    name: "wide",
    state: 1,
    input: 1,
    params: { v: [width], w: [width] },
    step: ({ h, x, p }) => ops.mul(0.05, ops.sum(ops.relu(ops.add(ops.mul(p.w, h), ops.mul(p.v, x))))),
  });
  const [v, w] = [numbers(width, 1, 5), numbers(width, 1, 6)];
  const xs = host(numbers(time, 1, 3), [time, 1]);
  const counts = new Set<number>();
  using solution = await solve(step, { params: { v: host(v, [width]), w: host(w, [width]) }, xs }, {
    device,
    method: "deer",
    onProgress: ({ windows }) => counts.add(windows),
  });
  assertEquals([...counts], [2]);
  const expected = new Float64Array(time);
  let h = 0;
  for (let t = 0; t < time; t++) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += Math.max(0, w[i]! * h + v[i]! * xs.data[t]!);
    expected[t] = h = 0.05 * sum;
  }
  // States below 1 contract by more than half a step: what is seen are the roundings of a few sums of forty.
  assertClose(await read(solution.ys), expected, 16 * EPSILON, "in windows");
});

testOnGpu("a million steps of one unit, a hundred thousand of four", async () => {
  await using device = await openDevice({ backend: "webgpu" });
  const leaky = defineStep({
    name: "leaky",
    state: 1,
    input: 1,
    params: {},
    step: ({ h, x }) => ops.add(ops.mul(0.9, h), ops.mul(0.1, ops.tanh(ops.add(h, x)))),
  });
  const steps = 1_000_000;
  const xs = host(numbers(steps, 1, 3), [1, steps, 1]);
  using one = await solve(leaky, { params: {}, xs }, { device, method: "deer" });
  const rule = ([h]: readonly number[], [x]: readonly number[]): number[] => [0.9 * h! + 0.1 * Math.tanh(h! + x!)];
  const expected = runLoop(rule, host([0], [1, 1]), xs, steps).data;
  // Errors fade by 0.9 or more at each step: ten to twenty steps add up, with four operations each.
  assertClose(await read(one.ys), expected, 64 * EPSILON, "a million steps");
  assertLess(one.stats.sweeps, 12);

  const time = 100_000;
  const cell = elman({ input: 2, hidden: 4 });
  const params = cell.init(device, { seed: 1 });
  const inputs = host(numbers(2 * time, 1, 3), [time, 2]);
  using dense = await solve(cell, { params, xs: inputs }, { device, method: "deer" });
  using serial = await solve(cell, { params, xs: inputs }, { device, method: "sequential" });
  assertClose(await read(dense.ys), await read(serial.ys), 64 * EPSILON, "a hundred thousand steps");
  assertLess(dense.stats.sweeps, 12);
});
