import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  applyGradients,
  DeviceError,
  disposeTree,
  matmul,
  type OptimizerState,
  sgd,
  squaredError,
  type Tensor,
  tensor,
  tidy,
  toHost,
  train,
  type TrainStep,
  valueAndGrad,
} from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";
import { assertClose, host, numbers } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { draw, finish, makeLoss, makeOptimizer, makeParams, type Params, settingsOf, valuesOf } from "./train_model.ts";

testOn(MACHINES, "train: linear regression, beside plain loops", async (device, { epsilon }) => {
  const [rows, width, steps, rate] = [5, 3, 40, 0.1];
  const weights = numbers(width, 1, 2);
  const expected = [...weights];
  const oracle = createRandom(3);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const xs = Array.from({ length: rows * width }, () => oracle.normal());
    const errors = Array.from({ length: rows }, (_, r) => {
      const x = xs.slice(r * width, (r + 1) * width);
      return x.reduce((sum, value, i) => sum + value * expected[i]!, 0) - x[0]! - step / steps;
    });
    losses.push(errors.reduce((sum, e) => sum + e * e, 0) / rows);
    for (let i = 0; i < width; i++) {
      expected[i]! -= rate * errors.reduce((sum, e, r) => sum + 2 * e * xs[r * width + i]!, 0) / rows;
    }
  }
  const training = train({
    params: { w: tensor(device, host(weights, [width, 1])) },
    optimizer: sgd(rate),
    steps,
    seed: 3,
    logEvery: 7,
    batches({ step, random }) {
      const xs = Float64Array.from({ length: rows * width }, () => random.normal());
      const ys = Float64Array.from({ length: rows }, (_, r) => xs[r * width]! + step / steps);
      return { xs: { data: xs, shape: [rows, width] }, ys: { data: ys, shape: [rows, 1] } };
    },
    loss: ({ w }, { xs, ys }) => squaredError(matmul(xs, w), ys),
  });
  const seen: number[] = [];
  const found: number[] = [];
  let w: Tensor | undefined;
  for await (const step of training) {
    seen.push(step.step);
    found.push(...step.losses);
    assertStrictEquals(step.loss, step.losses.at(-1));
    assertEquals([step.sweeps, step.solves, step.failures, step.evaluation], [0, [], [], undefined]);
    assert(step.milliseconds > 0);
    ({ w } = step.params);
  }
  assertEquals(seen, [7, 14, 21, 28, 35, 40]);
  // Errors of a step shrink in the ones that follow: some roundings of numbers up to 10.
  assertClose((await toHost(w!)).data, expected, 100 * epsilon, "the weights");
  assertClose(found, losses, 1000 * epsilon, "the losses");
});

testOn(MACHINES, "train: the steps of a loop by hand, bit for bit, whatever is logged when", async (device) => {
  const first = makeParams(device);
  const optimizer = makeOptimizer();
  const random = createRandom(9);
  const loss = makeLoss("deer", false);
  const step = valueAndGrad((params: Params, batch: ReturnType<typeof draw>) => loss(params, batch, { onSolve() {} }));
  let params = first;
  let state: OptimizerState = optimizer.init(params);
  const losses: number[] = [];
  for (let k = 0; k < 12; k++) {
    const { value, grads } = await step(params, draw({ random }));
    losses.push((await toHost(value)).data[0]!);
    ({ params, state } = applyGradients(optimizer, { params, grads, state }));
  }
  const expected = await valuesOf(params);
  for (const logEvery of [1, 5, 12, 100]) {
    for (const queued of [true, false]) {
      const settings = settingsOf(device, { loss: makeLoss("deer", queued), logEvery });
      const { losses: found, steps, values } = await finish(train(settings));
      assertEquals(found, losses);
      assertEquals(values, expected);
      const stops = Array.from({ length: 12 }, (_, k) => k + 1).filter((k) => k % logEvery === 0 || k === 12);
      assertEquals(steps.map(({ step }) => step), stops);
      for (const { sweeps, solves } of steps) {
        assert(sweeps >= 2 && sweeps <= 24 && solves.length === 1 && solves[0]!.method === "deer", `${sweeps} sweeps`);
      }
    }
  }
});

testOn(
  MACHINES,
  "train: what was given stays, what is yielded stays till the next, the last is the caller's",
  async (device) => {
    const params = makeParams(device);
    const ledger = watchMemory(device);
    const before = await valuesOf(params);
    let last: TrainStep<Params> | undefined;
    for await (const step of train(settingsOf(device, { params, steps: 5, logEvery: 2 }))) {
      for (const { params, state } of last === undefined ? [] : [last]) {
        await assertRejects(() => valuesOf(params), DeviceError, "disposed");
        await assertRejects(() => valuesOf((state[1] as { mu: Params }).mu), DeviceError, "disposed");
      }
      assert((await valuesOf(step.params)).readout!.every(Number.isFinite));
      last = step;
      if (step.step === 4) break;
    }
    assertEquals(await valuesOf(params), before);
    disposeTree(last!.params, last!.state);
    assertEquals(ledger.held(), []);
    for await (const step of train(settingsOf(device, { params, steps: 4 }))) last = step;
    assertEquals(last!.step, 4);
    disposeTree(last!.params, last!.state);
    assertEquals(ledger.held(), []);
    // One that is never begun holds nothing, nor does one without steps.
    train(settingsOf(device, { params }));
    for await (const _ of train(settingsOf(device, { params, steps: 0 }))) throw new Error("a step");
    assertEquals(ledger.held(), []);
  },
);

testOn(MACHINES, "train: what batches, losses and measures make on the device is freed", async (device) => {
  const params = makeParams(device);
  const ledger = watchMemory(device);
  const litter = (): Tensor => tensor(device, host([1, 2, 3], [3]));
  const loss = makeLoss("sequential", true);
  for (const onFailure of ["throw", "skip"] as const) {
    const counts: number[] = [];
    let evaluated = 0;
    const steps = train({
      params,
      optimizer: makeOptimizer(),
      steps: 9,
      logEvery: 2,
      onFailure,
      batches: (at) => ({ ...draw(at), litter: litter() }),
      loss: (params: Params, batch: ReturnType<typeof draw> & { litter: Tensor }, options) => {
        litter();
        assertEquals(batch.litter.shape, [3]);
        return loss(params, batch, options);
      },
      evaluateEvery: 3,
      evaluate: async ({ readout }) => {
        litter();
        evaluated++;
        return { size: (await toHost(readout)).data.length };
      },
    });
    for await (const { step, evaluation } of steps) {
      counts.push(ledger.held().length);
      assertEquals(evaluation, step % 3 === 0 || step === 9 ? { size: 4 } : undefined);
    }
    assertEquals(evaluated, 3);
    assertEquals(new Set(counts).size, 1, `held after steps: ${counts}`);
  }
});

testOn(MACHINES, "train: an abort ends it after the step under way, which is yielded", async (device) => {
  for (const logEvery of [1, 100]) {
    const controller = new AbortController();
    const seen: number[] = [];
    const settings = settingsOf(device, {
      logEvery,
      signal: controller.signal,
      batches(at) {
        if (at.step === 4) controller.abort(new Error("enough"));
        return draw(at);
      },
    });
    let last: Params | undefined;
    await assertRejects(
      async () => {
        for await (const { step, params } of train(settings)) {
          seen.push(step);
          last = params;
        }
      },
      Error,
      "enough",
    );
    assertEquals(seen.at(-1), 5);
    assert((await valuesOf(last!)).readout!.every(Number.isFinite));
  }
  const aborted = AbortSignal.abort(new Error("never"));
  const ledger = watchMemory(device);
  const params = makeParams(device);
  const held = ledger.held().length;
  await assertRejects(() => train(settingsOf(device, { params, signal: aborted })).next(), Error, "never");
  assertEquals(ledger.held().length, held);
});

testOn(MACHINES, "train: an error of the caller's functions goes through, and frees what was made", async (device) => {
  const params = makeParams(device);
  const ledger = watchMemory(device);
  const fail = (): never => {
    throw new Error("mine");
  };
  const loss = makeLoss("deer", true);
  const cases = [
    { batches: (at: { step: number; random: ReturnType<typeof createRandom> }) => at.step === 2 ? fail() : draw(at) },
    { loss: (...args: Parameters<typeof loss>) => Promise.resolve(loss(...args)).then(() => fail()) },
    { evaluate: fail, evaluateEvery: 1 },
  ];
  for (const more of cases) {
    for (const logEvery of [1, 5]) {
      for (const onFailure of ["throw", "skip"] as const) {
        let last: Params | undefined;
        let state: OptimizerState | undefined;
        await assertRejects(
          async () => {
            for await (const step of train(settingsOf(device, { params, ...more, logEvery, onFailure }))) {
              last = step.params;
              state = step.state;
            }
          },
          Error,
          "mine",
        );
        if (last !== undefined) disposeTree(last, state!);
        assertEquals(ledger.held(), [], JSON.stringify(Object.keys(more)));
      }
    }
  }
});

testOn(MACHINES, "train: within a tidy, nothing is left but what is returned", async (device) => {
  const params = makeParams(device);
  const ledger = watchMemory(device);
  const kept = await tidy(device, async () => {
    let last: Params | undefined;
    for await (const step of train(settingsOf(device, { params }))) last = step.params;
    return last!;
  });
  assertEquals(ledger.held().length, 5);
  disposeTree(kept);
});
