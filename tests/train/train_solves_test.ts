import { assert, assertEquals } from "@std/assert";
import { type Device, openDevice, train, warmStarts } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { finish, makeLoss, pick, settingsOf } from "./train_model.ts";

// Long trainings: what they hold, what they wait for, and what the method of their solves changes.

testOnGpu(
  "five hundred steps with warm starts: one read for so many losses, one a solve, and flat memory",
  async () => {
    const device: Device = await openDevice({ backend: "webgpu" });
    const engine = engineOf(device);
    assert(engine instanceof GpuEngine);
    const { machine } = engine;
    using store = warmStarts({ capacityBytes: 2 ** 20 });
    const settings = settingsOf(device, { loss: makeLoss("deer", true, { maxSweeps: 12 }), steps: 500, logEvery: 50 });
    let [reads, inUse]: [number, unknown] = [machine.readBacks, undefined];
    const sweeps: number[] = [];
    for await (const step of train({ ...settings, warmStarts: store, ids: ({ ids }) => ids })) {
      assertEquals(machine.readBacks - reads, 1 + 50, `at step ${step.step}`);
      reads = machine.readBacks;
      const { buffersInUse, bytesInUse } = machine.pool;
      inUse ??= [buffersInUse, bytesInUse];
      assertEquals([buffersInUse, bytesInUse], inUse, `at step ${step.step}`);
      sweeps.push(step.sweeps);
    }
    assertEquals(sweeps.length, 10);
    assert(sweeps.at(-1)! <= sweeps[0]!, `sweeps ${sweeps}`);
    await device.dispose();
  },
);

Deno.test("five hundred steps on the CPU engine hold as much after the last as after the first", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const ledger = watchMemory(device);
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  const settings = settingsOf(device, { loss: makeLoss("deer", true), steps: 500 });
  const counts: number[] = [];
  let known = 0;
  for await (const step of train({ ...settings, warmStarts: store, ids: ({ ids }) => ids })) {
    known = store.entries().length;
    counts.push(ledger.held().length - known);
    assertEquals(step.solves.length, 1);
  }
  assertEquals(known, 6);
  assertEquals(new Set(counts).size, 1, `held after steps: ${[...new Set(counts)]}`);
});

testOn(MACHINES, "deer and the sequential method train alike", async (device, { epsilon }) => {
  // Steps differ by the tolerance of the solves, and Adam divides by roots of squares: not by many times that.
  const tolerance = device.dtype === "f64" ? 1e-8 : 2000 * epsilon;
  const one = await finish(train(settingsOf(device, { steps: 40 })));
  const other = await finish(
    train(settingsOf(device, { steps: 40, loss: makeLoss("deer", true) })),
  );
  assert(other.losses.at(-1)! < 0.7 * other.losses[0]!, `losses ${other.losses}`);
  assertClose(other.losses, one.losses, tolerance, "losses");
  for (const [path, values] of Object.entries(one.values)) assertClose(other.values[path]!, values, tolerance, path);
});

testOn(MACHINES, "warm starts change nothing but the sweeps", async (device, { epsilon }) => {
  const tolerance = device.dtype === "f64" ? 1e-8 : 2000 * epsilon;
  const batches = ({ step }: { step: number }) => pick(step % 2 === 0 ? [0, 1, 2] : [3, 4, 5]);
  const settings = settingsOf(device, { loss: makeLoss("deer", true), batches, steps: 30 });
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  const cold = await finish(train(settings));
  const warm = await finish(train({ ...settings, warmStarts: store, ids: ({ ids }) => ids }));
  assertClose(warm.losses, cold.losses, tolerance, "losses");
  assertEquals(store.counts, { asked: 90, found: 84 });
  const total = ({ steps }: typeof cold): number => steps.slice(2).reduce((sum, { sweeps }) => sum + sweeps, 0);
  assert(total(warm) <= 0.8 * total(cold), `${total(warm)} sweeps warm, ${total(cold)} cold`);
});
