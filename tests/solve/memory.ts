import type { Device } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Memory } from "../../src/engine/engine.ts";

/** Counts what is asked of an engine and not yet given back. */
export interface Ledger {
  /** Labels of the memory that is held, sorted. */
  held(): string[];
}

/** Watches the engine of a device from now on. */
export function watchMemory(device: Device): Ledger {
  const engine = engineOf(device);
  const held = new Map<Memory, string>();
  const { allocate, upload, free } = engine;
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
