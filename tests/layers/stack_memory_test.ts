import { assertEquals } from "@std/assert";
import { dense, stack, tensor } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { host, numbers } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";

testOn(MACHINES, "stack: the outputs of a layer go when the next one has read them", (device) => {
  const engine = engineOf(device);
  const { allocate, free } = engine;
  const xs = tensor(device, host(numbers(2 * 64 * 8), [2, 64, 8]));
  const peakOf = (depth: number): number => {
    const layers = stack(Array.from({ length: depth }, () => dense({ input: 8, output: 8 })));
    const params = layers.init(device, { seed: 1 });
    const lengths = new Map<unknown, number>();
    let [now, peak] = [0, 0];
    engine.allocate = (...args) => {
      const memory = allocate.apply(engine, args);
      lengths.set(memory, memory.length);
      peak = Math.max(peak, now += memory.length);
      return memory;
    };
    engine.free = (memory) => {
      now -= lengths.get(memory) ?? 0;
      free.call(engine, memory);
    };
    try {
      layers.apply(params, xs).dispose();
    } finally {
      Object.assign(engine, { allocate, free });
    }
    return peak;
  };
  assertEquals(peakOf(7), peakOf(3));
  return Promise.resolve();
});
