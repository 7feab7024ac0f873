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
