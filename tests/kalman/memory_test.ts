// What a filter and a smoother keep: their answers; what they take meanwhile goes back, also when they fail.

import { assertEquals, assertRejects } from "@std/assert";
import { type HostTensor, kalmanFilter, kalmanSmoother, type LinearGaussianModel, tensor, tidy } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { drawModel } from "./models.ts";

const { model, ys } = drawModel({ states: 2, measured: 1, time: 40, batch: 2, varying: ["f", "r"], missing: 0.2 });
const FILTERED = ["filtered covariances", "filtered means", "the marginal log-likelihood"];
const SMOOTHED = [...FILTERED, "smoothed covariances", "smoothed means"];

testOn(MACHINES, "kalman memory: the answers, and nothing once they are disposed", async (device) => {
  for (const parallel of [true, false]) {
    const ledger = watchMemory(device);
    const smoothed = await kalmanSmoother(model, ys, { device, parallel });
    const filtered = await kalmanFilter(model, ys, { device, parallel });
    assertEquals(ledger.held().length, SMOOTHED.length + FILTERED.length, `parallel ${parallel}`);
    smoothed.dispose();
    smoothed.dispose();
    assertEquals(ledger.held().length, FILTERED.length);
    filtered[Symbol.dispose]();
    assertEquals(ledger.held(), []);
  }
});

testOn(MACHINES, "kalman memory: tensors of the caller stay, and scopes keep what they return", async (device) => {
  const own = Object.fromEntries(
    Object.entries(model).map(([name, value]) => [name, tensor(device, value as HostTensor, name)]),
  ) as unknown as LinearGaussianModel;
  const measurements = tensor(device, ys, "ys");
  const ledger = watchMemory(device);
  const { marginalLogLik } = await tidy(device, async () => {
    const { marginalLogLik } = await kalmanSmoother(own, measurements);
    return { marginalLogLik };
  });
  assertEquals(ledger.held().length, 1);
  marginalLogLik.dispose();
  assertEquals(ledger.held(), []);
  // They are as they were.
  using again = await kalmanFilter(own, measurements);
  assertEquals(again.filteredMeans.shape, [2, 40, 2]);
  measurements.dispose();
});

testOn(MACHINES, "kalman memory: nothing is left where the engine fails, wherever that is", async (device) => {
  const engine = engineOf(device);
  const ledger = watchMemory(device);
  for (const parallel of [true, false]) {
    for (const name of ["allocate", "upload", "map", "scanWith", "reduce", "copy", "beginRun"] as const) {
      const original = engine[name] as (...args: unknown[]) => unknown;
      for (let failing = 0, failed = true; failed; failing++) {
        let calls = 0;
        const broken = (...args: unknown[]): unknown => {
          if (calls++ === failing) throw new Error("on purpose");
          return original.apply(engine, args);
        };
        (engine as unknown as Record<keyof Engine, unknown>)[name] = broken;
        try {
          const call = kalmanSmoother(model, ys, { device, parallel });
          // Each call of the engine fails once, until there are no more.
          failed = calls > failing;
          if (failed) await assertRejects(() => call, Error, "on purpose");
          else (await call).dispose();
        } finally {
          (engine as unknown as Record<keyof Engine, unknown>)[name] = original;
        }
        assertEquals(ledger.held(), [], `${name} ${failing}, parallel ${parallel}`);
      }
    }
  }
});

testOn(MACHINES, "kalman memory: the pool of WebGPU is as it was", async (device) => {
  const engine = engineOf(device);
  if (!(engine instanceof GpuEngine)) return;
  const { pool } = engine.machine;
  for (const parallel of [true, false]) {
    const run = async (): Promise<void> => (await kalmanSmoother(model, ys, { device, parallel })).dispose();
    await run();
    const before = pool.bytesInUse;
    for (let k = 0; k < 20; k++) await run();
    assertEquals(pool.bytesInUse, before, `parallel ${parallel}`);
  }
});
