import { assert, assertEquals } from "@std/assert";
import { openDevice, sum, type Tensor, tensor, toDevice, valueAndGrad } from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { engineOf } from "../../src/device.ts";
import type { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { gilr } from "../../src/layers/gilr.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import type { LinearLayer, SequenceLayer } from "../../src/layers/linear_layer.ts";
import { minGru } from "../../src/layers/min_gru.ts";
import { minLstm } from "../../src/layers/min_lstm.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { sru } from "../../src/layers/sru.ts";
import { stack } from "../../src/layers/stack.ts";
import { stronglyTyped } from "../../src/layers/strongly_typed.ts";
import { isTensor } from "../../src/tensor.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { host, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { failEachAllocation, watchMemory } from "../solve/memory.ts";
import { LAYER_CASES, someInputs, someParams, treeOf } from "./cases.ts";

const LAYERS: readonly (() => SequenceLayer)[] = [
  ...LAYER_CASES.map(({ make }) => () => make()),
  () => stack([qrnn({ input: 3, hidden: 4, window: 3 }), gilrLstm({ input: 4, hidden: 2 })]),
];

testOn(MACHINES, "layers: what a layer takes it gives back, but for its answers", async (device) => {
  for (const make of LAYERS) {
    const layer = make();
    const params = toDevice(device, treeOf(someParams(layer)));
    const { xs, h0 } = someInputs(layer, 2, 9);
    const ledger = watchMemory(device);
    const answers: (Tensor | undefined)[] = [layer.apply(params, xs, { h0 })];
    assertEquals(ledger.held().length, 1, `apply of ${layer.name}: ${ledger.held()}`);
    const { ys, hT, carry } = layer.run(params, xs, { h0 });
    answers.push(ys, hT, carry);
    const expected = answers.filter((answer) => answer !== undefined).length;
    assertEquals(ledger.held().length, expected, `run of ${layer.name}: ${ledger.held()}`);
    // Pieces, and what is on the device already.
    const onDevice = tensor(device, xs);
    const next = layer.run(params, onDevice, { h0: hT, carry });
    answers.push(onDevice, next.ys, next.hT, next.carry);
    assertEquals(ledger.held().length, answers.filter((answer) => answer !== undefined).length);
    for (const answer of answers) answer?.dispose();
    assertEquals(ledger.held(), []);
  }
  await Promise.resolve();
});

testOn(MACHINES, "layers: a failure on the way leaves nothing", (device) => {
  for (const make of LAYERS) {
    const layer = make();
    const params = toDevice(device, treeOf(someParams(layer)));
    const { xs, h0 } = someInputs(layer, 2, 9);
    const ledger = watchMemory(device);
    failEachAllocation(
      device,
      () => {
        const { ys, hT, carry } = layer.run(params, xs, { h0 });
        for (const answer of [ys, hT, carry]) answer?.dispose();
      },
      (failing) => assertEquals(ledger.held(), [], `${layer.name}, when allocation ${failing} fails`),
    );
  }
  return Promise.resolve();
});

testOn(MACHINES, "layers: nothing depends on what memory held before", async (device) => {
  const engine = engineOf(device);
  const { allocate } = engine;
  try {
    for (const make of LAYERS) {
      const layer = make();
      const params = toDevice(device, treeOf(someParams(layer)));
      // Shorter than any window.
      const { xs, h0 } = someInputs(layer, 2, 1);
      const [inputs, row] = [tensor(device, xs), tensor(device, host(h0.data.slice(0, layer.state), [layer.state]))];
      const results: Float64Array[][] = [];
      for (const fill of [0, NaN]) {
        const poisoned: typeof allocate = (_, length, label) => {
          // upload() may allocate by itself.
          engine.allocate = allocate;
          const memory = engine.upload(new Float32Array(length).fill(fill), label);
          engine.allocate = poisoned;
          return memory;
        };
        engine.allocate = poisoned;
        const { ys, hT, carry } = layer.run(params, inputs, { h0: row });
        const states = [ys, hT, ...(carry ? [carry] : [])];
        const next = layer.run(params, inputs, { h0: hT, carry });
        states.push(next.ys, next.hT, ...(next.carry ? [next.carry] : []));
        const wrt = { p: params, h0: row, xs: inputs };
        const { grads } = await valueAndGrad((given: typeof wrt) => {
          const { hT, carry } = layer.run(given.p, given.xs, { h0: given.h0 });
          return sum(layer.apply(given.p, given.xs, { h0: hT, carry }));
        })(wrt);
        states.push(...flattenTree<Tensor>(grads, isTensor).map(([, gradient]) => gradient));
        results.push(await Promise.all(states.map(read)));
      }
      engine.allocate = allocate;
      assertEquals(results[1], results[0], layer.name);
    }
  } finally {
    engine.allocate = allocate;
  }
});

testOn(PRECISE, "layers: one map for each recurrence, and one for the output unless that is a state", (device) => {
  const engine = engineOf(device);
  const { map } = engine;
  const copies = ["qrnn, f-pooling", "t-rnn", "t-gru", "minGru", "minLstm", "gilr", "gilr, elu", "gilr, identity"];
  for (const { name, make, triangular = false } of LAYER_CASES) {
    const layer = make();
    let maps = 0;
    engine.map = (job) => {
      maps++;
      map.call(engine, job);
    };
    layer.apply(treeOf(someParams(layer)), someInputs(layer, 2, 3).xs, { device }).dispose();
    assertEquals(maps, triangular ? 3 : copies.includes(name) ? 1 : 2, name);
  }
  engine.map = map;
  return Promise.resolve();
});

/** Sizes such that all products are products of matrices, and how many words per (b, t) are held at once. */
const size = { input: 48, hidden: 64 };
const [I, H] = [size.input, size.hidden];
const WORDS: readonly [layer: LinearLayer, words: number][] = [
  [sru(size), 6 * H],
  [qrnn(size), 6 * H],
  [qrnn({ ...size, pooling: "f" }), 4 * H],
  [qrnn({ ...size, pooling: "ifo" }), 7 * H],
  [qrnn({ ...size, window: 3 }), 6 * H + 3 * I],
  [stronglyTyped(size), 4 * H],
  [stronglyTyped({ ...size, kind: "t-lstm" }), 6 * H + 2 * I],
  [stronglyTyped({ ...size, kind: "t-gru" }), 5 * H + 2 * I],
  [minGru(size), 4 * H],
  [minLstm(size), 5 * H],
  [gilr(size), 4 * H],
  [gilrLstm(size), 12 * H],
];
const small = { input: 4, hidden: 16 };
const SMALL_WORDS: readonly [layer: LinearLayer, words: number][] = [
  [sru({ input: 16, hidden: 16 }), 4 * 16],
  [qrnn({ ...small, window: 2 }), 4 * 16],
  [qrnn({ ...small, pooling: "f" }), 3 * 16],
  [stronglyTyped(small), 3 * 16],
  [stronglyTyped({ ...small, kind: "t-lstm" }), 4 * 16],
  [stronglyTyped({ ...small, kind: "t-gru" }), 3 * 16],
  [minGru(small), 3 * 16],
  [minLstm(small), 3 * 16],
  [gilr(small), 3 * 16],
  [gilrLstm(small), 5 * 16],
];

testOnGpu("layers: hold at once what their docs say", async () => {
  await using device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device) as GpuEngine;
  const { pool } = engine.machine;
  const time = 2048;
  for (const [layer, words] of [...WORDS, ...SMALL_WORDS]) {
    const params = toDevice(device, treeOf(someParams(layer)));
    const xs = tensor(device, someInputs(layer, 1, time).xs);
    pool.resetHighWater();
    const before = pool.bytesInUse;
    layer.apply(params, xs).dispose();
    const taken = (pool.highWaterBytes - before) / 4 / time;
    // Aggregates of the scan, parameters packed; the pool rounds up by an eighth.
    const what = `${layer.name}, I ${layer.input}, window ${layer.window}, takes ${taken} words, not ${words}`;
    assert(taken >= 0.99 * words && taken <= 1.15 * words, what);
  }
  engine.machine.check();
});
