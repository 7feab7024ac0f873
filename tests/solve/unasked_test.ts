import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  adam,
  type Device,
  disposeTree,
  enqueueSolve,
  gru,
  openDevice,
  recurrent,
  type Solution,
  solve,
  SolveError,
  type SolveOptions,
  sum,
  type Tensor,
  tensor,
  tidy,
  train,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { host, numbers, read } from "./arrays.ts";
import { MACHINES, testOn } from "./machines.ts";
import { watchMemory } from "./memory.ts";

// Solves whose verdict nobody asks for: what they took goes, and what others ask for later is still told.

const cell = gru({ input: 2, hidden: 3 });
const xs = host(numbers(2 * 20 * 2, 1, 3), [2, 20, 2]);
const OPTIONS: readonly SolveOptions[] = [
  { method: "deer", maxSweeps: 5 },
  { method: "quasi-deer", maxSweeps: 4, window: 7, errorBound: true },
  { method: "sequential" },
  { method: "deer", maxSweeps: 3, keepIterates: true },
];

/** A round of everything that leaves a verdict unasked. */
async function leaveUnasked(device: Device, params: Tree<Tensor>, options: SolveOptions): Promise<void> {
  const { ys, yT } = enqueueSolve(cell, { params, xs }, options);
  ys.dispose();
  yT.dispose();
  await tidy(device, () => void enqueueSolve(cell, { params, xs }, options));
  const loss = valueAndGrad((p: Tree<Tensor>) => sum(enqueueSolve(cell, { params: p, xs }, options).ys));
  const { value, grads } = await loss(params);
  disposeTree({ value }, grads);
  const failing = valueAndGrad((p: Tree<Tensor>): Tensor => {
    enqueueSolve(cell, { params: p, xs }, options);
    throw new RangeError("on the way");
  });
  await assertRejects(() => failing(params), RangeError, "on the way");
  const shapeless = valueAndGrad((p: Tree<Tensor>) => enqueueSolve(cell, { params: p, xs }, options).ys);
  await assertRejects(() => shapeless(params), TypeError, "reduce with");
  const { keepIterates: _, errorBound: __, ...settings } = options;
  recurrent(cell, settings as SolveOptions & { guess?: "f0" }).apply(params, xs, { onSolve: () => {} }).dispose();
  const layer = valueAndGrad((p: Tree<Tensor>) =>
    sum(recurrent(cell, settings as SolveOptions & { guess?: "f0" }).apply(p, xs, { onSolve: () => {} }))
  );
  const second = await layer(params);
  disposeTree({ value: second.value }, second.grads);
}

testOn(MACHINES, "a verdict that nobody asks for holds no memory of the engine", async (device) => {
  const params = cell.init(device, { seed: 1 });
  const ledger = watchMemory(device);
  for (const options of OPTIONS) {
    for (let i = 0; i < 2; i++) await leaveUnasked(device, params, options);
    assertEquals(ledger.held(), [], options.method as string);
  }
});

testOn(MACHINES, "an enqueued solve holds its answer, and what its failure would be explained by", async (device) => {
  const params = cell.init(device, { seed: 1 });
  const ledger = watchMemory(device);
  for (const kept of [true, false]) {
    const solved = enqueueSolve(cell, { params, xs }, { method: "deer", keepIterates: true, maxSweeps: 6 });
    // On WebGPU buffers of iterates are not made by `allocate`.
    assertEquals(ledger.held(), ["h0", "xs", 'yT of "gru"', 'ys of "gru"']);
    if (kept) {
      const { iterates, stats, dispose } = await solved.verdict();
      assertEquals(iterates!.shape, [stats.sweeps + 1, 2, 20, 3]);
      dispose();
    } else {
      solved.ys.dispose();
      assertEquals(ledger.held(), ['yT of "gru"']);
      // Who asks after all is told how it ended.
      const { iterates, result } = await solved.verdict();
      assertEquals([result, iterates], ["successful", undefined]);
      solved.yT.dispose();
    }
    assertEquals(ledger.held(), []);
  }
});

testOn(
  MACHINES,
  "a verdict that is asked for after the trajectory is gone looks for no cause in other arrays",
  async (device) => {
    const params = cell.init(device, { seed: 1 });
    const bad = host(xs.data, xs.shape);
    bad.data[50] = NaN;
    const solved = enqueueSolve(cell, { params, xs: bad }, { method: "deer" });
    const late = enqueueSolve(cell, { params, xs: bad }, { method: "deer" });
    solved.ys.dispose();
    using junk = tensor(device, host(new Array(xs.data.length).fill(Infinity), xs.shape));
    const error = await assertRejects(() => solved.verdict(), SolveError, "sequence 1 first at t = 5");
    assert(!error.message.includes("xs["), error.message);
    // What was asked for already is told as it would have been.
    const asked = late.verdict();
    late.ys.dispose();
    await assertRejects(() => asked, SolveError, "sequence 1 first at t = 5, xs[1, 5, 0] is NaN");
    assertEquals((await read(junk)).length, xs.data.length);
  },
);

async function openGpu(): Promise<{ device: Device; machine: Machine }> {
  const device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device);
  assert(engine instanceof GpuEngine);
  return { device, machine: engine.machine };
}

testOnGpu("solves without verdicts use the same buffers again and again, and read nothing", async () => {
  const { device, machine } = await openGpu();
  const { pool } = machine;
  const params = cell.init(device, { seed: 1 });
  for (const options of OPTIONS) {
    await leaveUnasked(device, params, options);
    const [inUse, reads] = [pool.buffersInUse, machine.readBacks];
    const free = pool.freeBytes + pool.bytesInUse;
    for (let i = 0; i < 10; i++) {
      await leaveUnasked(device, params, options);
      // One more page of words now and then.
      assert(pool.buffersInUse <= inUse + 2, `${pool.buffersInUse} buffers after ${i}, ${inUse} before`);
      assert(pool.freeBytes + pool.bytesInUse <= free + 2 ** 15, `bytes after ${i}`);
    }
    assertEquals(machine.readBacks, reads);
  }
  await device.dispose();
});

testOnGpu(
  "thousands of verdicts that nobody asks for are bounded, and the first of them can still be asked",
  async () => {
    const { device, machine } = await openGpu();
    const { pool } = machine;
    const params = cell.init(device, { seed: 1 });
    const batch = 1024;
    const many = host(numbers(batch * 2 * 2, 1, 3), [batch, 2, 2]);
    const x = tensor(device, many);
    using expected = await solve(cell, { params, xs: x }, { method: "deer", maxSweeps: 3 });
    const before = pool.bytesInUse;
    const few: (() => Promise<Solution>)[] = [];
    const expectedFew: (readonly number[])[] = [];
    for (const maxSweeps of [9, 1, 2, 3]) {
      const options = { method: "quasi-deer", maxSweeps, onFailure: "return", rtol: 1e-6 } as const;
      using direct = await solve(cell, { params, xs }, options);
      expectedFew.push(direct.stats.sequenceSweeps);
      for (let k = 0; k < 2; k++) {
        const { ys, yT, verdict } = enqueueSolve(cell, { params, xs }, options);
        ys.dispose();
        yT.dispose();
        // While the page is on the device, and later.
        if (k === 1) few.push(verdict);
        else assertEquals((await verdict()).stats.sequenceSweeps, direct.stats.sequenceSweeps);
      }
    }
    assertEquals(new Set(expectedFew.map(String)).size, 4, String(expectedFew));
    const verdicts: (() => Promise<Solution>)[] = [];
    for (let i = 0; i < 100; i++) {
      const { ys, yT, verdict } = enqueueSolve(cell, { params, xs: x }, { method: "deer", maxSweeps: 3 });
      ys.dispose();
      yT.dispose();
      verdicts.push(verdict);
      // 64 bytes a sequence: 6.5 MB in all.
      assert(pool.bytesInUse - before <= 2 ** 22 + 2 ** 17, `${pool.bytesInUse - before} bytes after ${i}`);
    }
    // They shared a page with others, which has left the device: each has its own words.
    for (const i of [3, 1, 0, 2]) assertEquals((await few[i]!()).stats.sequenceSweeps, expectedFew[i]);
    for (const i of [0, 1, 37, 98, 99, 0]) assertEquals((await verdicts[i]!()).stats, expected.stats);
    await Promise.all(verdicts.map((verdict) => verdict()));
    assertEquals(pool.bytesInUse, before);
    await device.dispose();
  },
);

testOnGpu("a training without onSolve takes the buffers of its first steps", async () => {
  const { device, machine } = await openGpu();
  const params = cell.init(device, { seed: 1 });
  const inUse: number[] = [];
  const training = train({
    params,
    optimizer: adam(1e-3),
    steps: 12,
    logEvery: 2,
    batches: () => xs,
    loss: (p, xs) => sum(enqueueSolve(cell, { params: p, xs }, { method: "deer", maxSweeps: 5 }).ys),
  });
  for await (const _ of training) inUse.push(machine.pool.buffersInUse);
  assertEquals(inUse.slice(1), Array(5).fill(inUse[1]));
  await device.dispose();
});
