import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Checkpoint,
  defineMap,
  type Device,
  DeviceError,
  disposeTree,
  map,
  openDevice,
  ops,
  sgd,
  sum,
  type Tensor,
  tensor,
  train,
  type TrainSettings,
  warmStarts,
} from "../../mod.ts";
import { host } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { finish, settingsOf } from "./train_model.ts";

// What a training says when something is wrong: of which step, and what was expected.

type Params = { readonly w: Tensor };

// Its value is fine where x is 0, its derivative is 0/0.
const size = defineMap({ name: "size", inputs: { x: [1] }, params: {}, map: ({ x }) => ops.sqrt(ops.mul(x, x)) });

const nothing = defineMap({ name: "nothing", inputs: { x: [1] }, params: {}, map: ({ x }) => ops.log(ops.sub(x, x)) });
/** Minus infinity everywhere. */
const endless = (w: Tensor): Tensor => map(nothing, { inputs: { x: w } });

function sharp(device: Device, more: Partial<TrainSettings<Params, number>> = {}): TrainSettings<Params, number> {
  return {
    params: { w: tensor(device, host([0, 0, 0], [3, 1])) },
    optimizer: sgd(0.1),
    steps: 4,
    batches: ({ step }) => step,
    loss: ({ w }) => sum(map(size, { inputs: { x: w } })),
    ...more,
  };
}

async function run<B>(settings: TrainSettings<Params, B>): Promise<void> {
  for await (const _ of train(settings));
}

testOn(
  MACHINES,
  "a loss that is NaN may be an earlier step's fault, which is said where it was not looked at",
  async (device) => {
    const first =
      "Cannot make step 1 of training (batches({ step: 0 })): params.w is not finite after the update; lower";
    for (const onFailure of ["throw", "sequential"] as const) {
      const error = await assertRejects(() => run(sharp(device, { onFailure, logEvery: 1 })), RangeError);
      assert(error.message.startsWith(first), error.message);
    }
    for (const logEvery of [2, 4]) {
      const error = await assertRejects(() => run(sharp(device, { logEvery })), RangeError);
      const message =
        "Cannot make step 2 of training (batches({ step: 1 })): the loss is NaN, or the step before has made " +
        "parameters that are not finite (only logEvery: 1 looks at every step); lower the learning rate";
      assert(error.message.startsWith(message), error.message);
      // Where all are looked at again, it is known.
      const known = await assertRejects(() => run(sharp(device, { logEvery, onFailure: "sequential" })), RangeError);
      assert(known.message.startsWith(first), known.message);
    }
    const late = sharp(device, {
      logEvery: 4,
      batches: ({ step }) => step,
      loss: ({ w }, step) => step < 3 ? sum(w) : sum(map(size, { inputs: { x: endless(w) } })),
    });
    const error = await assertRejects(() => run(late), RangeError);
    assert(error.message.includes("step 4 of training (batches({ step: 3 })): "), error.message);
    assert(error.message.includes("or one of the 3 steps before has made parameters that"), error.message);
  },
);

testOn(MACHINES, "the tenth step in a row that is skipped says why it is the last", async (device) => {
  const message =
    "params.w is not finite after the update; lower the learning rate, clip gradients by clipByGlobalNorm(), " +
    "or look for NaN in the batch; it is number 10 in a row that would be skipped, which ends the training";
  const error = await assertRejects(
    () => run(sharp(device, { onFailure: "skip", steps: 20, logEvery: 3 })),
    RangeError,
  );
  assertEquals(error.message, `Cannot make step 10 of training (batches({ step: 9 })): ${message}`);
});

Deno.test("train: what evaluate answers must be numbers", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const plain = sharp(device, { loss: ({ w }) => sum(w), steps: 1 });
  const ledger = watchMemory(device);
  const wanted = "Cannot train: evaluate must return a record of numbers, such as { accuracy: 0.5 }, got ";
  const cases: [unknown, string][] = [
    [{ a: 1, b: "0.5" }, '"0.5" for "b"'],
    [3, "3"],
    [undefined, "undefined"],
    [[1], "an object of Array"],
    [{ a: null }, 'null for "a"'],
  ];
  for (const [answer, came] of cases) {
    for (const evaluate of [() => answer as never, () => Promise.resolve(answer as never)]) {
      const error = await assertRejects(() => run({ ...plain, evaluate }), TypeError);
      assertEquals(error.message, wanted + came);
    }
    assertEquals(ledger.held(), []);
  }
  const tensorial = { ...plain, evaluate: ({ w }: Params) => ({ loss: sum(w) as unknown as number }) };
  await assertRejects(() => run(tensorial), TypeError, 'got an object of DeviceTensor for "loss"');
  assertEquals(ledger.held(), []);
  for await (const step of train({ ...plain, evaluate: () => ({ a: NaN, b: 2 }) })) {
    assertEquals(step.evaluation, { a: NaN, b: 2 });
    disposeTree(step.params, step.state);
  }
});

Deno.test("train: seeds, states of random numbers, host arrays and stores that cannot be used", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const settings = settingsOf(device);
  assertThrows(
    () => train({ ...settings, seed: -1 }),
    RangeError,
    "Cannot train: seed must be a whole number of at least 0, got -1",
  );
  const { readout } = settings.params;
  const data = { readout: host([1, 2], [2, 1]), cell: settings.params.cell };
  const onHost = { ...settings, params: data as unknown as typeof settings.params };
  assertThrows(
    () => train(onHost),
    TypeError,
    "Cannot train: params.readout must be a tensor on a device, got host data; use toDevice()",
  );
  const state = settings.optimizer.init(settings.params);
  const checkpoint = (random: readonly number[]) =>
    ({ step: 3, params: settings.params, state, random }) as unknown as Checkpoint;
  for (const random of [[0, 0, 0, 0], [1, 2, 3], [1, 2, 3, -4], [1, 2, 3, 2 ** 32]]) {
    assertThrows(
      () => train({ ...settings, resume: checkpoint(random) }),
      TypeError,
      `resume.random must be four whole numbers below 2^32, not all 0, got [${random.join(", ")}]`,
    );
  }
  // Nothing is left to do.
  const ledger = watchMemory(device);
  for (const steps of [2, 3]) {
    for await (const _ of train({ ...settings, steps, resume: checkpoint([1, 2, 3, 4]) })) throw new Error("a step");
  }
  assertEquals(ledger.held(), []);
  const store = warmStarts({ capacityBytes: 1000 });
  const memory = store.memory([1]);
  store.dispose();
  store.dispose();
  const gone = "Cannot keep trajectories: the store was disposed; use it before, or make another one with warmStarts()";
  assertThrows(() => store.memory([1]), DeviceError, gone);
  assertThrows(() => memory.get("", [2, 1]), DeviceError, gone);
  assertThrows(() => memory.set("", readout), DeviceError, gone);
  assertThrows(() => store.keep({ path: "", id: 1, states: readout }), DeviceError, gone);
  assertEquals([store.bytes, store.entries()], [0, []]);
  const training = train({ ...settings, warmStarts: store, ids: ({ ids }) => ids });
  await assertRejects(() => finish(training), DeviceError, gone);
});
