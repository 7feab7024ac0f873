import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  defineStep,
  type Device,
  elman,
  enqueueSolve,
  type MethodName,
  openDevice,
  type Problem,
  solve,
  SolveError,
  type SolveOptions,
  type Step,
  tensor,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import { programOf } from "../../src/step.ts";
import { memoryOf } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { freeJob, rowsOfStep } from "../engine/map_support.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { host, numbers } from "./arrays.ts";
import { CASES, LOOP_CASES, problemOf, type SolveCase } from "./problems.ts";

// What a WebGPU device is asked for behind a solve: how often it is waited for, and what it holds.

const METHODS: readonly MethodName[] = [
  ...["sequential", "jacobi", "picard", "quasi-deer", "block-deer", "deer", "quasi-elk", "elk"] as const,
];

/** A device and the machine behind it. */
async function open(): Promise<{ device: Device; machine: Machine }> {
  const device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device);
  assert(engine instanceof GpuEngine);
  return { device, machine: engine.machine };
}

testOnGpu("a solve of up to 32 sweeps waits for the device once, an enqueued one not before its verdict", async () => {
  const { device, machine } = await open();
  for (const [i, given] of CASES.entries()) {
    const method = METHODS[i % METHODS.length]!;
    for (
      const extras of [{}, { errorBound: true, keepIterates: true }, { window: 30, errorBound: "absolute" }] as const
    ) {
      const options: SolveOptions = { device, method, ...extras, maxSweeps: 32, onFailure: "return" };
      const what = `${given.name} by ${method}, ${JSON.stringify(extras)}`;
      let before = machine.readBacks;
      (await solve(given.step, problemOf(given), options)).dispose();
      assertEquals(machine.readBacks - before, 1, what);
      before = machine.readBacks;
      const { verdict } = enqueueSolve(given.step, problemOf(given), options);
      assertEquals(machine.readBacks - before, 0, what);
      (await verdict()).dispose();
      await verdict();
      assertEquals(machine.readBacks - before, 1, what);
    }
    // Of more sweeps it asks after 32, and every doubling, whether all are needed.
    const before = machine.readBacks;
    using solution = await solve(given.step, problemOf(given), { device, method, maxSweeps: given.time });
    const looks = Math.max(1, Math.ceil(Math.log2(Math.max(1, solution.stats.sweeps / 16))));
    assert(machine.readBacks - before <= 1 + looks, `${given.name} by ${method}: ${machine.readBacks - before} waits`);
  }
  await device.dispose();
});

/** Some way to end a solve, and what becomes of it. */
type Ending = (given: SolveCase, device: Device, method: MethodName) => Promise<unknown>;

const aborting = (sweep: number): SolveOptions => {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    onProgress: (progress) => progress.sweep === sweep && controller.abort(new RangeError("enough")),
  };
};

const poisoned = (given: SolveCase): Problem => {
  const h0 = host(given.h0.data, given.h0.shape);
  h0.data[0] = NaN;
  return { ...problemOf(given), h0 };
};

const kept = async (step: Step, problem: Problem, options: SolveOptions): Promise<void> => {
  const solution = await solve(step, problem, options);
  solution.dispose();
};

const ENDINGS: readonly Ending[] = [
  (given, device, method) => kept(given.step, problemOf(given), { device, method }),
  (given, device, method) => kept(given.step, problemOf(given), { device, method, window: 7, errorBound: true }),
  (given, device, method) => {
    const options = { device, method, keepIterates: true, errorBound: "absolute", onFailure: "return" } as const;
    return kept(given.step, problemOf(given), options);
  },
  (given, device, method) => kept(given.step, problemOf(given), { device, method, guess: given.expected }),
  (given, device, method) => {
    const tight = { maxSweeps: 2, atol: 0, rtol: 1e-30, keepIterates: true } as const;
    const failing = solve(given.step, problemOf(given), { device, method, ...tight });
    return method === "sequential"
      ? failing.then((solution) => solution.dispose())
      : assertRejects(() => failing, SolveError);
  },
  (given, device, method) => assertRejects(() => solve(given.step, poisoned(given), { device, method }), SolveError),
  (given, device, method) => kept(given.step, poisoned(given), { device, method, window: 9, onFailure: "return" }),
  (given, device, method) => {
    const options: SolveOptions = { device, method, window: 20, ...aborting(1) };
    return assertRejects(() => solve(given.step, problemOf(given), options), RangeError, "enough");
  },
  (given, device, method) =>
    kept(given.step, problemOf(given), { device, method, ...aborting(1), onFailure: "return" }),
  (given, device, method) => {
    const onProgress = (): never => {
      throw new TypeError("oops");
    };
    return assertRejects(() => solve(given.step, problemOf(given), { device, method, onProgress }), TypeError, "oops");
  },
  (given, device, method) =>
    assertRejects(() => solve(given.step, problemOf(given), { device, method, guess: host([1], [1]) }), TypeError),
  (given, device, method) =>
    assertRejects(
      () => solve(given.step, problemOf(given), { device, method, keepIterates: true, window: 5 }),
      RangeError,
    ),
  async (given, device) => {
    const engine = engineOf(device);
    const { step, xs, h0, time, params } = given;
    const program = programOf(step);
    const on = (data: Float64Array): ReturnType<typeof memoryOf> => memoryOf(tensor(device, host(data, [data.length])));
    const batch = h0.shape[0]!;
    const values = program.params.map(({ path }) =>
      on(path.split(".").reduce((tree, key) => (tree as never)[key], params as unknown as { data: Float64Array }).data)
    );
    const inputs = [h0, ...(xs === undefined ? [] : [xs])]
      .map(({ data }) => ({ memory: on(data as Float64Array), start: null }));
    const job = { program: rowsOfStep(program), params: values, inputs, batch, time };
    const out = engine.allocate("f32", batch * time * step.state);
    engine.map({ ...job, outputs: [out] });
    await engine.read(out);
    freeJob(engine, { ...job, outputs: [out] });
  },
];

testOnGpu("two hundred solves, aborted and failed ones among them, leave nothing behind", async () => {
  const { device, machine } = await open();
  const { pool } = machine;
  const before = [pool.buffersInUse, pool.bytesInUse];
  for (let i = 0; i < 200; i++) {
    const given = LOOP_CASES[i % LOOP_CASES.length]!;
    await ENDINGS[i % ENDINGS.length]!(given, device, METHODS[Math.floor(i / 4) % METHODS.length]!);
    assertEquals([pool.buffersInUse, pool.bytesInUse], before, `after solve ${i} of "${given.name}"`);
  }
  await device.dispose();
});

const plain = defineStep({
  name: "plain",
  state: 16,
  input: 1,
  params: { w: [16, 16] },
  step: ({ h, x, p }) => ops.tanh(ops.add(ops.matvec(p.w, h), x)),
});

testOnGpu(
  "a solve holds two to seven trajectories, full Newton no Jacobian of any step, ELK each of them",
  async () => {
    const { device, machine: { pool } } = await open();
    const time = 4096;
    const cell = elman({ input: 2, hidden: 16 });
    const w = host(numbers(256, 0.2, 1), [16, 16]);
    // Beside the answer and the guess: hoisted W x + b, and with the diagonal f and the diagonal. A sequential pass needs none.
    const table: readonly [step: Step, method: MethodName, trajectories: number][] = [
      [plain, "deer", 2],
      [plain, "quasi-deer", 4],
      [plain, "sequential", 1],
      // What it keeps besides: f as predicted, two iterates, and with a dense G its entries.
      [plain, "quasi-elk", 7],
      [plain, "elk", 22],
      [cell, "deer", 3],
      [cell, "quasi-deer", 5],
      [cell, "sequential", 2],
    ];
    for (const [step, method, trajectories] of table) {
      const xs = tensor(device, host(numbers(time * step.input, 1, 2), [time, step.input]));
      const params = step === plain ? { w } : step.init(device, { seed: 1 });
      const before = pool.bytesInUse;
      pool.resetHighWater();
      (await solve(step, { params, xs }, { method, maxSweeps: 200 })).dispose();
      // Half a trajectory for the aggregates of a scan's chunks, and buffers are rounded up by an eighth; all T Jacobians of
      // Newton's method would take 16 more.
      const held = (pool.highWaterBytes - before) / (time * 16 * 4);
      assert(held <= 1.125 * trajectories + 0.625, `${step.name} by ${method}: ${held} trajectories`);
      assert(held >= trajectories, `${step.name} by ${method}: ${held} trajectories`);
      xs.dispose();
    }
    await device.dispose();
  },
);
