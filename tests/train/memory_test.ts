import { assert, assertEquals } from "@std/assert";
import {
  adamw,
  applyGradients,
  chain,
  clipByGlobalNorm,
  concat,
  defineMap,
  type Device,
  disposeTree,
  last,
  map,
  matmul,
  meanPool,
  openDevice,
  ops,
  type Optimizer,
  reshape,
  sgd,
  softmaxCrossEntropy,
  squaredError,
  sum,
  take,
  type Tensor,
  tensor,
  toDevice,
  toHost,
  valueAndGrad,
  warmupCosineDecaySchedule,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { host, numbers } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";

// A small model of every tensor function, trained: what it holds, and whether anybody waits for the device.

type Params = { readonly table: Tensor; readonly w: Tensor; readonly head: Tensor };

const [BATCH, TIME] = [3, 4];
const dense = defineMap({ name: "tanh", inputs: { x: [5] }, params: {}, map: ({ x }) => ops.tanh(x) });
const symbols = Uint32Array.from({ length: BATCH * TIME }, (_, n) => n * n % 6);
const labels = Uint32Array.from([1, 0, 2]);
const targets = numbers(BATCH * 5, 1, 9);

function model(device: Device): { params: Params; loss: (params: Params) => Tensor } {
  const params = toDevice(device, {
    table: host(numbers(6 * 5, 1, 1), [6, 5]),
    w: host(numbers(25, 0.5, 2), [5, 5]),
    head: host(numbers(30, 0.5, 3), [10, 3]),
  }) as Params;
  const given = tensor(device, { data: symbols, shape: [BATCH, TIME] });
  const target = tensor(device, host(targets, [BATCH, 5]));
  const loss = ({ table, w, head }: Params): Tensor => {
    const hidden = map(dense, { inputs: { x: matmul(take(table, given), w) } });
    const pooled = meanPool(hidden, { lengths: [4, 2, 3] });
    const logits = matmul(concat([pooled, last(hidden)]), head);
    const losses = [softmaxCrossEntropy(logits, labels), squaredError(pooled, target)];
    return sum(concat(losses.map((loss) => reshape(loss, [1]))));
  };
  return { params, loss };
}

const optimizers: Readonly<Record<"adamw" | "sgd", () => Optimizer>> = {
  adamw: () =>
    chain(
      clipByGlobalNorm(0.5),
      adamw(warmupCosineDecaySchedule({ initValue: 0, peakValue: 0.02, warmupSteps: 10, decaySteps: 100 })),
    ),
  sgd: () => sgd(0.1, { momentum: 0.9, nesterov: true }),
};

for (const [name, make] of Object.entries(optimizers)) {
  testOn(
    MACHINES,
    `${name}: a training loop holds no more after 30 steps than before, and lowers its loss`,
    async (device) => {
      const { params: first, loss } = model(device);
      const ledger = watchMemory(device);
      const optimizer = make();
      const step = valueAndGrad(loss);
      let params: Params = toDevice(
        device,
        Object.fromEntries(
          await Promise.all(Object.entries(first).map(async ([name, leaf]) => [name, await toHost(leaf)] as const)),
        ),
      ) as Params;
      let state = optimizer.init(params);
      const held = ledger.held().length;
      const losses: number[] = [];
      for (let i = 0; i < 30; i++) {
        const { value, grads } = await step(params);
        losses.push((await toHost(value)).data[0]!);
        value.dispose();
        ({ params, state } = applyGradients(optimizer, { params, grads, state }));
        assertEquals(ledger.held().length, held, `after step ${i}: ${ledger.held()}`);
      }
      assert(losses.at(-1)! < 0.8 * losses[0]!, `losses ${losses}`);
      disposeTree(params, state);
      assertEquals(ledger.held(), []);
    },
  );
}

testOnGpu("five hundred training steps read nothing back, and their buffers are those of the first", async () => {
  const device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device);
  assert(engine instanceof GpuEngine);
  const { machine } = engine;
  const { params: first, loss } = model(device);
  const optimizer = optimizers.adamw();
  const step = valueAndGrad(loss);
  let params = first;
  let state = optimizer.init(params);
  let inUse: number[] | undefined;
  const reads = machine.readBacks;
  for (let i = 0; i < 500; i++) {
    const { value, grads } = await step(params);
    value.dispose();
    ({ params, state } = applyGradients(optimizer, { params, grads, state }));
    const { buffersInUse, bytesInUse, freeBytes } = machine.pool;
    // The first step takes what all others use again.
    inUse ??= [buffersInUse, bytesInUse, freeBytes];
    assertEquals([buffersInUse, bytesInUse, freeBytes], inUse, `after step ${i}`);
  }
  assertEquals(machine.readBacks - reads, 0);
  const { value } = await step(params);
  const { data } = await toHost(value);
  assert(Number.isFinite(data[0]), `the loss is ${data}`);
  await device.dispose();
});
