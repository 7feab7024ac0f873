import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  defineMap,
  disposeTree,
  map,
  ops,
  SolveError,
  sum,
  type Tensor,
  train,
  type TrainStep,
  valueAndGrad,
} from "../../mod.ts";
import { assertClose, host } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import {
  type Batch,
  draw,
  finish,
  makeLoss,
  makeParams,
  type Params,
  pick,
  type Settings,
  settingsOf,
  valuesOf,
} from "./train_model.ts";

/** Batches of which some cannot be used: the numbers of their steps, from 0. */
const BAD: readonly number[] = [0, 3, 4, 9];
/** What is wrong with them. */
const FAULTS = ["NaN in the inputs", "too few sweeps", "an infinite loss"] as const;
type Fault = typeof FAULTS[number];

interface Faulty extends Batch {
  readonly fault?: Fault;
}

/** Settings under which bad steps fail; each batch is drawn once. */
function failing(
  device: Tensor["device"],
  fault: Fault,
  queued: boolean,
  more: Partial<Settings> = {},
  bad: readonly number[] = BAD,
): Settings {
  const well = makeLoss("deer", queued);
  const unsolved = makeLoss("deer", queued, { maxSweeps: 1 });
  let expected = 0;
  return settingsOf(device, {
    batches(at): Faulty {
      assertEquals(at.step, expected++, "a batch is drawn twice, or out of order");
      const batch = draw(at);
      if (!bad.includes(at.step)) return batch;
      const { data, shape } = batch.xs;
      if (fault === "NaN in the inputs") {
        return {
          ...batch,
          xs: { data: data.map((x, i) => i === 30 ? NaN : x), shape },
        };
      }
      if (fault === "too few sweeps") return { ...batch, fault };
      // Its square is beyond what the device knows.
      const huge = device.dtype === "f32" ? 1e30 : 1e200;
      return { ...batch, ys: { data: batch.ys.data.map(() => huge), shape: batch.ys.shape } };
    },
    loss(params, batch: Faulty, options) {
      if (batch.fault === "too few sweeps") return unsolved(params, batch, options);
      return well(params, batch, options);
    },
    ...more,
  });
}

/** The steps of a training in which the bad ones are not made: the same draws, and nothing else. */
async function withoutBad(device: Tensor["device"]): Promise<Record<string, number[]>> {
  // Two trainings: the draws are those of the whole, the steps those of the good ones.
  const good: Batch[] = [];
  const whole = settingsOf(device, {
    batches(at) {
      const batch = draw(at);
      if (!BAD.includes(at.step)) good.push(batch);
      return batch;
    },
  });
  await finish(train(whole));
  const settings = settingsOf(device, {
    batches: ({ step }) => good[step]!,
    steps: good.length,
    loss: makeLoss("deer", true),
  });
  return (await finish(train(settings))).values;
}

testOn(MACHINES, "a step that fails: skipped, as if it had not been there", async (device) => {
  const expected = await withoutBad(device);
  for (const fault of FAULTS) {
    for (const [logEvery, queued] of [[1, true], [5, true], [100, true], [5, false]] as const) {
      const settings = { ...failing(device, fault, queued), logEvery, onFailure: "skip" } as const;
      const { losses, steps, values } = await finish(train(settings));
      const what = `${fault}, logged every ${logEvery}, ${queued ? "queued" : "waited for"}`;
      assertEquals(values, expected, what);
      assertEquals(losses.flatMap((loss, k) => Number.isNaN(loss) ? [k] : []), BAD, what);
      const failures = steps.flatMap(({ failures }) => failures);
      assertEquals(failures.map(({ step, action }) => [step, action]), BAD.map((k) => [k + 1, "skipped"]), what);
      for (const { step, error } of failures) {
        assert(
          error.message.startsWith(`Cannot make step ${step} of training (batches({ step: ${step - 1} })): `),
          error.message,
        );
        assertEquals(error instanceof SolveError, fault !== "an infinite loss", what);
      }
    }
  }
});

testOn(MACHINES, "a step that fails: thrown, and what was yielded before can be saved", async (device) => {
  const params = makeParams(device);
  const ledger = watchMemory(device);
  const messages: Record<Fault, [RegExp, number]> = {
    "NaN in the inputs": [
      /^Cannot make step (\d) of training \(batches\(\{ step: \d \}\)\): Cannot solve "gru" by deer: 1 of 3 sequences not finite/,
      1,
    ],
    "too few sweeps": [
      /^Cannot make step (\d) of training \(batches\(\{ step: \d \}\)\): Cannot solve "gru" by deer: 3 of 3 sequences not converged/,
      1,
    ],
    "an infinite loss": [
      /^Cannot make step (\d) of training \(batches\(\{ step: \d \}\)\): the loss is Infinity(, or .*)?; lower the learning rate/,
      0,
    ],
  };
  for (const fault of FAULTS) {
    for (const [logEvery, queued] of [[1, true], [2, true], [100, true], [2, false]] as const) {
      const settings = failing(device, fault, queued, { params, logEvery }, [3, 5]);
      let last: TrainStep<Params> | undefined;
      const error = await assertRejects(async () => {
        for await (const step of train(settings)) last = step;
      }) as Error;
      assert(messages[fault][0].test(error.message) && error.message.includes("step 4"), error.message);
      assertEquals(last?.step, logEvery === 1 ? 3 : logEvery === 2 ? 2 : undefined);
      if (last !== undefined) {
        const { readout } = await valuesOf(last.params);
        assert(readout!.every(Number.isFinite));
        disposeTree(last.params, last.state);
      }
      assertEquals(ledger.held(), [], `${fault}, logged every ${logEvery}`);
    }
  }
});

testOn(MACHINES, "a step that fails: made again by the sequential method", async (device, { epsilon }) => {
  const expected = await finish(train(settingsOf(device, { loss: makeLoss("deer", true) })));
  for (const [logEvery, queued] of [[1, true], [5, true], [5, false]] as const) {
    const settings = { ...failing(device, "too few sweeps", queued), logEvery, onFailure: "sequential" } as const;
    const { losses, steps, values } = await finish(train(settings));
    const tolerance = device.dtype === "f64" ? 1e-8 : 1000 * epsilon;
    assertClose(losses, expected.losses, tolerance, "losses");
    for (const [path, found] of Object.entries(values)) assertClose(found, expected.values[path]!, tolerance, path);
    const failures = steps.flatMap(({ failures }) => failures);
    assertEquals(failures.map(({ step, action }) => [step, action]), BAD.map((k) => [k + 1, "sequential"]));
    if (logEvery === 1) {
      const methods = steps.map(({ solves }) => solves.map(({ method }) => method));
      assertEquals(methods, steps.map((_, k) => [BAD.includes(k) ? "sequential" : "deer"]));
    }
  }
  // What the sequential method cannot do either is an error.
  const settings = { ...failing(device, "NaN in the inputs", true), onFailure: "sequential" } as const;
  await assertRejects(
    () => finish(train(settings)),
    SolveError,
    'step 1 of training (batches({ step: 0 })): Cannot solve "gru" by sequential',
  );
});

testOn(MACHINES, "an update that is not finite is a failure of its step", async (device) => {
  // The loss is 0, its derivative the square of a number that has none.
  const big = host([device.dtype === "f32" ? 1e30 : 1e200], []);
  const steep = defineMap({
    name: "steep",
    inputs: { x: [1] },
    params: { big: [] },
    map: ({ x, p }) => ops.mul(p.big, ops.mul(p.big, ops.sub(x, ops.stopGradient(x)))),
  });
  const explode = ({ readout }: Params): Tensor => sum(map(steep, { inputs: { x: readout }, params: { big } }));
  const { loss } = settingsOf(device);
  const either: Settings["loss"] = (params, batch, options) =>
    batch.ids.length === 2 ? explode(params) : loss(params, batch, options);
  const params = makeParams(device);
  const { value, grads } = await valueAndGrad(explode)(params);
  value.dispose();
  assert(
    (await valuesOf(grads)).readout!.some((g) => !Number.isFinite(g)),
    "the gradient of this test must not be finite",
  );
  const batches: Settings["batches"] = ({ step }) => pick(step === 2 ? [1, 2] : [step % 3, 4, 5]);
  for (const logEvery of [1, 3, 4]) {
    const settings = settingsOf(device, { params, loss: either, batches, logEvery, steps: 6 });
    await assertRejects(() => finish(train(settings)), RangeError, "Cannot make step ");
    const { losses, steps, values } = await finish(train({ ...settings, onFailure: "skip" }));
    assertEquals(losses.map(Number.isNaN), [false, false, true, false, false, false]);
    const [failure] = steps.flatMap(({ failures }) => failures);
    assertEquals([failure!.step, failure!.action], [3, "skipped"]);
    assert(failure!.error.message.includes("params.readout is not finite after the update"), failure!.error.message);
    assert(values.readout!.every(Number.isFinite));
  }
});

testOn(MACHINES, "ten steps in a row that are skipped are an error; nine are not", async (device) => {
  const range = (count: number): number[] => Array.from({ length: count }, (_, k) => k + 1);
  for (const logEvery of [4, 12]) {
    const nine = { ...failing(device, "an infinite loss", true, {}, range(9)), logEvery, onFailure: "skip" } as const;
    assertEquals((await finish(train(nine))).losses.filter(Number.isNaN).length, 9);
    const ten = { ...failing(device, "an infinite loss", true, {}, range(10)), logEvery, onFailure: "skip" } as const;
    await assertRejects(() => finish(train(ten)), RangeError, "which ends the training");
  }
});
