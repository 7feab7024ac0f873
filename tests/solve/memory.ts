import type { Device } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Engine, Memory } from "../../src/engine/engine.ts";

/** Counts what is asked of an engine and not yet given back. */
export interface Ledger {
  /** Labels of the memory that is held, sorted. */
  held(): string[];
}

/** Engines that are watched, and what they did before. */
const originals = new WeakMap<Engine, Pick<Engine, "allocate" | "upload" | "free">>();

/** Watches the engine of a device from now on; a ledger from before sees no more. */
export function watchMemory(device: Device): Ledger {
  const engine = engineOf(device);
  const held = new Map<Memory, string>();
  const { allocate, upload, free } = originals.get(engine) ?? engine;
  originals.set(engine, { allocate, upload, free });
  engine.allocate = (dtype, length, label = "unlabelled"): Memory => {
    const memory = allocate.call(engine, dtype, length, label);
    held.set(memory, label);
    return memory;
  };
  engine.upload = (data, label = "unlabelled"): Memory => {
    const memory = upload.call(engine, data, label);
    held.set(memory, label);
    return memory;
  };
  engine.free = (memory): void => {
    held.delete(memory);
    free.call(engine, memory);
  };
  return { held: () => [...held.values()].sort() };
}

/**
 * Runs something again and again: the first, the second, ... allocation of the engine fails, until none is left to fail.
 * `check` is called after each run, with the number of the allocation that was to fail.
 */
export function failEachAllocation(device: Device, run: () => void, check: (failing: number) => void): void {
  const engine = engineOf(device);
  const { allocate } = engine;
  for (let failing = 0, failed = true; failed; failing++) {
    let count = 0;
    failed = false;
    engine.allocate = (...args): Memory => {
      if (count++ === failing) {
        failed = true;
        throw new Error("no memory");
      }
      return allocate.apply(engine, args);
    };
    try {
      run();
    } catch (error) {
      if (!(error instanceof Error) || error.message !== "no memory") throw error;
    } finally {
      engine.allocate = allocate;
    }
    check(failing);
  }
}
