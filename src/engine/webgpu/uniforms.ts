import type { Region } from "./machine.ts";
import { USAGE } from "./usage.ts";

const SLOT_BYTES = 256;
const ARENA_BYTES = 64 * 1024;
/** Contents that are remembered: of the oldest arenas none is handed out again, so that they can be collected. */
const MOST_ARENAS = 64;

interface Arena {
  readonly buffer: GPUBuffer;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly keys: string[];
  usedBytes: number;
  writtenBytes: number;
}

/** Small immutable uniforms. Equal contents share a slot; a slot is written once, before anything that reads it runs. */
export class Uniforms {
  readonly #device: GPUDevice;
  readonly #regions = new Map<string, Region>();
  readonly #arenas: Arena[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Where these words stand, padded to 16 bytes. */
  region(words: Uint32Array): Region {
    const key = words.join(",");
    const known = this.#regions.get(key);
    if (known !== undefined) return known;
    const size = Math.max(16, Math.ceil(words.byteLength / 16) * 16);
    if (size > ARENA_BYTES) {
      throw new RangeError(`Cannot make a uniform: at most ${ARENA_BYTES} bytes are expected, got ${size}`);
    }
    const arena = this.#arenaFor(size);
    const offset = arena.usedBytes;
    arena.words.set(words, offset / 4);
    arena.usedBytes += Math.ceil(size / SLOT_BYTES) * SLOT_BYTES;
    arena.keys.push(key);
    const region: Region = { buffer: arena.buffer, offset, size };
    this.#regions.set(key, region);
    return region;
  }

  /** Writes what is new. Safe ahead of recorded work: nothing recorded before reads the new slots. */
  upload(): void {
    const arena = this.#arenas.at(-1);
    if (arena === undefined || arena.writtenBytes === arena.usedBytes) return;
    const { buffer, words, writtenBytes, usedBytes } = arena;
    this.#device.queue.writeBuffer(buffer, writtenBytes, words.buffer, writtenBytes, usedBytes - writtenBytes);
    arena.writtenBytes = usedBytes;
  }

  dispose(): void {
    for (const { buffer } of this.#arenas) buffer.destroy();
    this.#arenas.length = 0;
    this.#regions.clear();
  }

  #arenaFor(size: number): Arena {
    const last = this.#arenas.at(-1);
    if (last !== undefined && last.usedBytes + size <= ARENA_BYTES) return last;
    this.upload();
    if (this.#arenas.length === MOST_ARENAS) {
      for (const key of this.#arenas.shift()!.keys) this.#regions.delete(key);
    }
    const buffer = this.#device.createBuffer({
      label: "uniforms",
      size: ARENA_BYTES,
      usage: USAGE.UNIFORM | USAGE.COPY_DST,
    });
    const arena = { buffer, words: new Uint32Array(ARENA_BYTES / 4), keys: [], usedBytes: 0, writtenBytes: 0 };
    this.#arenas.push(arena);
    return arena;
  }
}
