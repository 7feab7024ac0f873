import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  adamw,
  chain,
  type Checkpoint,
  clipByGlobalNorm,
  loadCheckpoint,
  openDevice,
  type Optimizer,
  readSafetensors,
  saveCheckpoint,
  sgd,
  tensor,
  train,
  type TrainStep,
  type WarmStarts,
  warmStarts,
  writeSafetensors,
} from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { finish, makeLoss, makeParams, type Params, type Settings, settingsOf, valuesOf } from "./train_model.ts";

const OPTIMIZERS: Readonly<Record<string, () => Optimizer>> = {
  "sgd": () => sgd(0.05),
  "momentum": () => sgd((count) => 0.05 * 0.9 ** count, { momentum: 0.9 }),
  "clipped adamw": () => chain(clipByGlobalNorm(0.1), adamw((count) => 0.1 / (1 + count), { weightDecay: 0.01 })),
};

/** The first `steps` steps, saved; then all is forgotten but the bytes. */
async function interrupt(settings: Settings, steps: number, store?: WarmStarts): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  for await (const step of train(settings)) {
    if (step.step === steps) {
      bytes = await saveCheckpoint(step, store && { warmStarts: store });
      break;
    }
  }
  return bytes!;
}

for (const [name, optimizer] of Object.entries(OPTIMIZERS)) {
  testOn(MACHINES, `${name}: resumed training goes on bit for bit`, async (device) => {
    const make = (more: Partial<Settings> = {}): Settings =>
      settingsOf(device, { optimizer: optimizer(), loss: makeLoss("deer", true), ...more });
    const whole = await finish(train(make()));
    for (const [steps, logEvery] of [[1, 1], [6, 3], [11, 1]] as const) {
      const resume = loadCheckpoint(device, await interrupt(make({ logEvery }), steps));
      assertEquals(resume.step, steps);
      // Another seed for parameters and draws: all that matters comes from the file.
      const rest = await finish(train(make({ resume, seed: 77, logEvery })));
      assertEquals(rest.losses, whole.losses.slice(steps), `losses after ${steps}`);
      assertEquals(rest.values, whole.values, `parameters after ${steps}`);
      assertEquals(rest.steps.at(-1)!.random, whole.steps.at(-1)!.random);
    }
  });
}

testOn(
  MACHINES,
  "with warm starts: bit for bit if they were saved, to the tolerance if not",
  async (device, { epsilon }) => {
    const make = (store: WarmStarts, more: Partial<Settings> = {}): Settings =>
      settingsOf(device, { loss: makeLoss("deer", true), warmStarts: store, ids: ({ ids }) => ids, ...more });
    const fresh = (): WarmStarts => warmStarts({ capacityBytes: 2 ** 20 });
    using one = fresh();
    const whole = await finish(train(make(one)));
    using two = fresh();
    const saved = await interrupt(make(two), 7, two);
    using three = fresh();
    const resume = loadCheckpoint(device, saved, { warmStarts: three });
    assertEquals(three.entries().map(({ path, id }) => [path, id]), two.entries().map(({ path, id }) => [path, id]));
    const rest = await finish(train(make(three, { resume })));
    assertEquals(rest.values, whole.values);
    assertEquals(rest.steps.map(({ sweeps }) => sweeps), whole.steps.slice(7).map(({ sweeps }) => sweeps));
    using four = fresh();
    const cold = await finish(train(make(four, { resume: loadCheckpoint(device, saved) })));
    assertClose(cold.losses, whole.losses.slice(7), device.dtype === "f64" ? 1e-8 : 1000 * epsilon, "losses");
  },
);

testOn(MACHINES, "a checkpoint is a safetensors file that any reader understands", async (device) => {
  const params = makeParams(device);
  const state = OPTIMIZERS["clipped adamw"]!().init(params);
  const random = createRandom(5).state();
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  store.keep({ path: "layer0", id: "a", states: tensor(device, host(numbers(6, 1, 1), [3, 2])) });
  store.keep({ path: "", id: 3, states: tensor(device, host(numbers(4, 1, 2), [2, 2])) });
  const bytes = await saveCheckpoint({ step: 42, params, state, random }, { warmStarts: store });
  const { tensors, metadata } = readSafetensors(bytes);
  const weights = ["bias", "bias_n", "weight_hh", "weight_ih"];
  const paths = [...weights.map((name) => `cell.${name}`), "readout"];
  assertEquals(Object.keys(tensors).sort(), [
    ...paths.map((path) => `params.${path}`),
    ...["mu", "nu"].flatMap((moment) => paths.map((path) => `state.1.${moment}.${path}`)),
    "trajectory.0",
    "trajectory.1",
  ]);
  for (const [path, values] of Object.entries(await valuesOf(params))) {
    assertEquals(Array.from(tensors[`params.${path}`]!.data), values);
  }
  assertEquals([metadata.format, metadata.step, metadata.random], [
    "cervid checkpoint 1",
    "42",
    JSON.stringify(random),
  ]);
  const ledger = watchMemory(device);
  using other = warmStarts({ capacityBytes: 2 ** 20 });
  const loaded = loadCheckpoint<Params>(device, bytes, { warmStarts: other });
  assertEquals([loaded.step, loaded.random], [42, random]);
  assertEquals(await valuesOf(loaded.params), await valuesOf(params));
  const [clip, moments] = [loaded.state[0], loaded.state[1]] as [object, { count: number }];
  assertEquals([clip, moments.count], [{}, 0]);
  assertEquals(ledger.held().length, 15 + 2);
  const kept = await Promise.all(
    other.entries().map(async ({ path, id, states }) => [path, id, states.shape, Array.from(await read(states))]),
  );
  const first = await Promise.all(
    store.entries().map(async ({ path, id, states }) => [path, id, states.shape, Array.from(await read(states))]),
  );
  assertEquals(kept, first);
});

Deno.test("a checkpoint of one dtype is read by a device of the other", async () => {
  await using single = await openDevice({ backend: "cpu" });
  await using double = await openDevice({ backend: "cpu", dtype: "f64" });
  const params = makeParams(single);
  const bytes = await saveCheckpoint({ step: 0, params, state: sgd(1).init(params), random: [1, 2, 3, 4] });
  const loaded = loadCheckpoint(double, bytes);
  assertEquals(await valuesOf(loaded.params), await valuesOf(params));
});

Deno.test("counts that JSON has not, paths that meet, and other misuse", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const one = tensor(device, host([1], [1]));
  const random = [0, 1, 2, 2 ** 32 - 1] as const;
  const state = { a: NaN, b: { c: -Infinity, d: 1e300 }, empty: {} };
  const { state: back } = loadCheckpoint(device, await saveCheckpoint({ step: 1, params: { one }, state, random }));
  assertEquals(back, state);
  const meeting = { "a.b": one, a: { b: tensor(device, host([2], [1])) } };
  await assertRejects(
    () => saveCheckpoint({ step: 1, params: meeting, state: {}, random }),
    TypeError,
    'the name "params.a.b"',
  );
  await assertRejects(
    () => saveCheckpoint({ step: -1, params: { one }, state: {}, random }),
    RangeError,
    "step must be a whole number",
  );
  const short = { step: 1, params: { one }, state: {}, random: [1, 2, 3] } as unknown as Checkpoint;
  await assertRejects(() => saveCheckpoint(short), TypeError, "random must be four whole numbers below 2^32");
  await assertRejects(
    () => saveCheckpoint(null as never),
    TypeError,
    "expected { step, params, state, random }, got null",
  );
  const good = {
    format: "cervid checkpoint 1",
    step: "3",
    random: "[1,2,3,4]",
    params: '{"w":true}',
    state: "{}",
    trajectories: "[]",
  };
  const file = (metadata: Record<string, string>): Uint8Array =>
    writeSafetensors({ "params.w": host([1], [1]) }, metadata);
  assertEquals(loadCheckpoint(device, file(good)).step, 3);
  const cases: [Partial<typeof good>, string][] = [
    [{ format: "pt" }, 'expected the format "cervid checkpoint 1", got "pt"'],
    [{ step: "x" }, "step must be a whole number of at least 0, got NaN"],
    [{ random: "[1,2]" }, "random must be four whole numbers below 2^32"],
    [{ random: "{" }, "the random state: expected JSON"],
    [{ params: '{"w":true,"v":true}' }, 'expected a tensor "params.v", got none'],
    [{ params: '{"w":null}' }, "params.w must be true or a text, got null"],
    [{ params: "[]" }, "params must be a record"],
    [{ state: "" }, "the tree of state: expected JSON"],
    [{ trajectories: "3" }, "trajectories must be a list, got 3"],
  ];
  const ledger = watchMemory(device);
  for (const [change, message] of cases) {
    assertThrows(() => loadCheckpoint(device, file({ ...good, ...change })), SyntaxError, message);
  }
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  const missing = file({ ...good, trajectories: '[["",1]]' });
  assertThrows(() => loadCheckpoint(device, missing, { warmStarts: store }), SyntaxError, '"trajectory.0", got none');
  assertEquals(ledger.held(), []);
  assertThrows(() => loadCheckpoint(device, new Uint8Array(3)), SyntaxError, "Cannot read safetensors");
});

Deno.test("resume: what does not fit the parameters is told at once", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const settings = settingsOf(device);
  let last: TrainStep<Params> | undefined;
  for await (const step of train({ ...settings, steps: 2 })) last = step;
  const { readout, cell } = last!.params;
  const resume = (params: Checkpoint["params"]): Checkpoint => ({ ...last!, params });
  assertThrows(
    () => train({ ...settings, resume: resume({ cell }) }),
    TypeError,
    "Cannot train: resume.params must be",
  );
  const wide = { cell, readout: tensor(device, host([1, 2], [2, 1])) };
  assertThrows(
    () => train({ ...settings, resume: resume(wide) }),
    TypeError,
    "resume.params.readout must have shape (4, 1)",
  );
  assert(readout.shape.length === 2);
  // A state of another optimizer is told by its update.
  const other = train({ ...settings, optimizer: sgd(1, { momentum: 0.5 }), resume: last! });
  await assertRejects(() => other.next(), TypeError, "the state must be { count, trace }");
});
