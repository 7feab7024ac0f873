import { assert, assertEquals } from "@std/assert";
import {
  adam,
  applyGradients,
  bidirectional,
  type Device,
  disposeTree,
  gru,
  type LayerOptions,
  lstm,
  openDevice,
  pool,
  recurrent,
  residual,
  reversed,
  type SequenceLayer,
  softmaxCrossEntropy,
  type Solution,
  stack,
  sum,
  type Tensor,
  tensor,
  toDevice,
  type TrajectoryMemory,
  type Tree,
  valueAndGrad,
  warmStarts,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { isTensor } from "../../src/tensor.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { failEachAllocation, watchMemory } from "../solve/memory.ts";
import { someInputs, someParams, treeOf } from "./cases.ts";
import { goldenTree, TWO_LAYERS, twoLayers } from "./models.ts";

const cell = gru({ input: 3, hidden: 3 });

/** Models in which every layer has its part. */
const MODELS: Readonly<Record<string, () => SequenceLayer>> = {
  "two layers and a head": () => twoLayers("deer"),
  "both directions of LSTMs": () =>
    stack([bidirectional(recurrent(lstm({ input: 3, hidden: 2 }), { output: 2, method: "block-deer" }))]),
  "a reversed stack of residuals": () => reversed(residual(stack([recurrent(cell), reversed(recurrent(cell))]))),
  "a pool of one layer": () => stack([recurrent(cell, { reverse: true, method: "quasi-deer" }), pool({ size: 3 })]),
};
const LENGTHS = [6, 4];

/** Remembers everything on the device. */
function keeper(): TrajectoryMemory & { readonly kept: Map<string, Tensor>; free(): void } {
  const kept = new Map<string, Tensor>();
  const free = (): void => {
    for (const one of kept.values()) one.dispose();
    kept.clear();
  };
  return {
    kept,
    free,
    get: (path) => kept.get(path),
    set(path, states) {
      kept.get(path)?.dispose();
      const engine = engineOf(states.device);
      const size = states.shape.reduce((a, b) => a * b, 1);
      const copy = tensor(states.device, { data: new Float32Array(size), shape: states.shape });
      const whole = { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, width: size, rows: 1 };
      engine.copy(
        (states as unknown as { memory: never }).memory,
        (copy as unknown as { memory: never }).memory,
        whole,
      );
      kept.set(path, copy);
    },
  };
}

testOn(MACHINES, "models: what is taken is given back, but for the answers", async (device) => {
  for (const [name, make] of Object.entries(MODELS)) {
    const model = make();
    const params = toDevice(device, treeOf(someParams(model)));
    const { xs, h0 } = someInputs(model, 2, 6);
    const lengths = name === "two layers and a head" ? undefined : LENGTHS;
    const memory = keeper();
    const verdicts: (() => Promise<Solution>)[] = [];
    const settings: LayerOptions[] = [{}, { lengths }, { memory }, {
      memory,
      lengths,
      onSolve: (verdict) => void verdicts.push(verdict),
    }];
    for (const options of settings) {
      const ledger = watchMemory(device);
      const held = (): string[] => ledger.held().filter((label) => label !== "a tensor");
      // Until their verdicts are read, solves keep their first states.
      const read = async (): Promise<void> => {
        for (const verdict of verdicts.splice(0)) assertEquals((await verdict()).result, "successful");
      };
      const ys = model.apply(params, xs, { ...options, h0 });
      await read();
      assertEquals(held().length, 1, `apply of ${name}: ${held()}`);
      const run = model.run(params, xs, { ...options, h0 });
      await read();
      assertEquals(held().length, 3, `run of ${name}: ${held()}`);
      for (const answer of [ys, run.ys, run.hT]) answer.dispose();
      assertEquals(held(), [], name);
      memory.free();
    }
  }
});

testOn(MACHINES, "models: a failure on the way leaves nothing", (device) => {
  for (const [name, make] of Object.entries(MODELS)) {
    const model = make();
    const params = toDevice(device, treeOf(someParams(model)));
    const { xs, h0 } = someInputs(model, 2, 3);
    const ledger = watchMemory(device);
    const lengths = name === "two layers and a head" ? undefined : [3, 2];
    for (const options of [{}, { lengths }]) {
      failEachAllocation(
        device,
        () => {
          const { ys, hT } = model.run(params, xs, { h0, ...options });
          for (const answer of [ys, hT]) answer.dispose();
        },
        (failing) => assertEquals(ledger.held(), [], `${name}, when allocation ${failing} fails`),
      );
    }
  }
  return Promise.resolve();
});

testOn(MACHINES, "models: nothing depends on what memory held before", async (device) => {
  const engine = engineOf(device);
  const { allocate } = engine;
  for (const [name, make] of Object.entries(MODELS)) {
    const model = make();
    const params = toDevice(device, treeOf(someParams(model)));
    const { xs, h0 } = someInputs(model, 2, 6);
    const [x, start] = [tensor(device, xs), tensor(device, h0)];
    const lengths = name === "two layers and a head" ? undefined : LENGTHS;
    const results: Float64Array[][] = [];
    for (const fill of [0, NaN]) {
      const poisoned: typeof allocate = (dtype, length, label) => {
        if (dtype !== engine.dtype) return allocate.call(engine, dtype, length, label);
        // upload() may allocate by itself.
        engine.allocate = allocate;
        const memory = engine.upload(new Float32Array(length).fill(fill), label);
        engine.allocate = poisoned;
        return memory;
      };
      engine.allocate = poisoned;
      try {
        const wrt = { p: params, h0: start, x };
        const { value, grads } = await valueAndGrad(({ p, h0, x }: typeof wrt) => {
          const { ys, hT } = model.run(p, x, { h0, lengths });
          hT.dispose();
          return sum(ys);
        })(wrt);
        results.push(
          await Promise.all(
            [value, ...flattenTree<Tensor>(grads as Tree<Tensor>, isTensor).map(([, g]) => g)].map(read),
          ),
        );
      } finally {
        engine.allocate = allocate;
      }
    }
    assert(results[0]!.every((values) => values.every(Number.isFinite)), name);
    assertEquals(results[1], results[0], name);
  }
});

/** A training step, and what it takes: the classifier of the golden. */
function training(device: Device): (options: LayerOptions) => Promise<Tensor> {
  const model = twoLayers("deer");
  const x = tensor(device, TWO_LAYERS["x"]!);
  let params = toDevice(device, goldenTree(TWO_LAYERS, "p."));
  const optimizer = adam(1e-3);
  let state = optimizer.init(params);
  const step = valueAndGrad((p: Tree<Tensor>, options: LayerOptions) =>
    softmaxCrossEntropy(model.apply(p, x, options), TWO_LAYERS["labels"]!)
  );
  return async (options) => {
    const { value, grads } = await step(params, options);
    ({ params, state } = applyGradients(optimizer, { params, grads, state }));
    return value;
  };
}

testOn(MACHINES, "models: training steps hold no more than the first", async (device) => {
  const step = training(device);
  const ledger = watchMemory(device);
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  let held: number | undefined;
  for (let i = 0; i < 20; i++) {
    const verdicts: (() => Promise<Solution>)[] = [];
    const value = await step({ memory: store.memory([0, 1]), onSolve: (verdict) => void verdicts.push(verdict) });
    value.dispose();
    assertEquals(verdicts.length, 2);
    for (const verdict of verdicts) assertEquals((await verdict()).result, "successful");
    held ??= ledger.held().length;
    assertEquals(ledger.held().length, held, `after step ${i}: ${ledger.held()}`);
  }
});

testOnGpu("a training step of a model reads nothing back, and its buffers are those of the first", async () => {
  await using device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device);
  assert(engine instanceof GpuEngine);
  const { machine } = engine;
  const step = training(device);
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  const memory = store.memory([0, 1]);
  const inUse = (): number[] => [machine.pool.buffersInUse, machine.pool.bytesInUse, machine.pool.freeBytes];
  const reads = machine.readBacks;
  // Nobody asks for verdicts.
  let before: number[] | undefined;
  for (let i = 0; i < 100; i++) {
    (await step({ memory })).dispose();
    before ??= inUse();
    assertEquals(inUse(), before, `after step ${i}`);
  }
  assertEquals(machine.readBacks - reads, 0);
  // Verdicts are read long after their steps: until then each holds a few words.
  const verdicts: (() => Promise<Solution>)[] = [];
  for (let i = 0; i < 10; i++) (await step({ memory, onSolve: (verdict) => void verdicts.push(verdict) })).dispose();
  assertEquals([machine.readBacks - reads, verdicts.length], [0, 20]);
  const [buffers, bytes] = inUse();
  assert(buffers! - before![0]! <= 80, `${buffers! - before![0]!} buffers for 20 verdicts`);
  assert(bytes! - before![1]! <= 20 * 4096, `${bytes! - before![1]!} bytes for 20 verdicts`);
  const solutions = await Promise.all(verdicts.map((verdict) => verdict()));
  assert(solutions.every(({ result, stats }) => result === "successful" && stats.sweeps >= 1));
  assertEquals(inUse().slice(0, 2), before!.slice(0, 2), "verdicts that were read hold nothing");
  // A second answer is the first one.
  assertEquals(await verdicts[3]!(), solutions[3]);
});

testOnGpu("a model waits for nothing: its outputs are there before the device has begun", async () => {
  await using device = await openDevice({ backend: "webgpu" });
  const { machine } = engineOf(device) as GpuEngine;
  const model = twoLayers("quasi-deer");
  const params = toDevice(device, goldenTree(TWO_LAYERS, "p."));
  const reads = machine.readBacks;
  const ys: Tensor = model.apply(params, TWO_LAYERS["x"]!);
  assertEquals(machine.readBacks, reads);
  assertEquals((await read(ys)).length, 8);
  disposeTree({ ys });
});
