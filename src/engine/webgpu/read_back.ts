import { deviceError, type ErrorKeeper } from "./errors.ts";
import { sizeClass } from "./pool.ts";
import { MAP_MODE_READ, USAGE } from "./usage.ts";

/** The smallest staging buffer: most answers fit, so that one that is warm serves them all. */
const SMALLEST_BYTES = 2 ** 20;
const MOST_FREE_BYTES = 64 * 2 ** 20;

/** What reading must know of its device. */
export interface ReadBackOptions {
  readonly device: GPUDevice;
  readonly errors: ErrorKeeper;
  readonly bufferBytes: number;
  /** Submits a copy to the start of `to`, after all that was recorded. */
  readonly submitCopy: (from: GPUBuffer, fromByte: number, to: GPUBuffer, bytes: number) => void;
}

/** A staging buffer; warm once it was mapped and the map was awaited. */
interface Staging {
  readonly buffer: GPUBuffer;
  isWarm: boolean;
}

/**
 * Reads through staging buffers that are used again.
 *
 * In Deno `mapAsync` waits for the queue before it returns, and then sleeps for 10 ms. What has arrived can be taken
 * without sleeping, but only from a warm buffer: an untouched one ends the process.
 */
export class ReadBack {
  readonly #options: ReadBackOptions;
  readonly #free: Staging[] = [];
  readonly #running = new Set<Promise<ArrayBuffer>>();
  readonly #isDeno: boolean;
  #canTakeNow: boolean;

  constructor(options: ReadBackOptions) {
    this.#options = options;
    // Deno's own devices carry the symbol; those of Dawn, which run in Deno too, do not.
    this.#isDeno = "Deno" in globalThis && Symbol.for("Deno.privateCustomInspect") in options.device;
    this.#canTakeNow = this.#isDeno;
  }

  /** Makes the usual staging buffer warm, where that makes reading faster. */
  async warm(): Promise<void> {
    if (!this.#canTakeNow) return;
    const staging = this.#take(SMALLEST_BYTES);
    await staging.buffer.mapAsync(MAP_MODE_READ, 0, 4);
    staging.buffer.unmap();
    staging.isWarm = true;
    this.#free.push(staging);
  }

  read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    const reading = this.#read(buffer, offset, bytes).finally(() => this.#running.delete(reading));
    this.#running.add(reading);
    return reading;
  }

  /** The same without a promise: null where that is not possible. */
  readNow(buffer: GPUBuffer, offset: number, bytes: number): ArrayBuffer | null {
    if (bytes === 0) return new ArrayBuffer(0);
    if (!this.#canTakeNow) return null;
    const range = aligned(offset, bytes);
    const staging = this.#take(range.bytes);
    if (!staging.isWarm) {
      this.#putBack(staging);
      return null;
    }
    this.#options.submitCopy(buffer, range.offset, staging.buffer, range.bytes);
    const mapping = staging.buffer.mapAsync(MAP_MODE_READ, 0, range.bytes);
    const data = this.#takeNow(staging, range.bytes);
    if (data === null) mapping.then(() => this.#unmap(staging), () => staging.buffer.destroy());
    else mapping.catch(() => {/* unmapped already */});
    return data && cut(data, range, bytes);
  }

  /** Resolves when nothing is being read. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** After {@linkcode settle}. */
  dispose(): void {
    for (const { buffer } of this.#free) buffer.destroy();
    this.#free.length = 0;
  }

  async #read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    if (bytes === 0) return new ArrayBuffer(0);
    const range = aligned(offset, bytes);
    const staging = this.#take(range.bytes);
    this.#options.submitCopy(buffer, range.offset, staging.buffer, range.bytes);
    const mapping = staging.buffer.mapAsync(MAP_MODE_READ, 0, range.bytes);
    if (staging.isWarm && this.#canTakeNow) {
      const data = this.#takeNow(staging, range.bytes);
      if (data !== null) {
        mapping.catch(() => {/* unmapped already */});
        return cut(data, range, bytes);
      }
    }
    try {
      await mapping;
    } catch (error) {
      staging.buffer.destroy();
      throw error;
    }
    staging.isWarm = true;
    const data = this.#copyOut(staging, range.bytes);
    this.#unmap(staging);
    return cut(data, range, bytes);
  }

  /** What a map under way has brought; null, and never again, if the map goes on behind our back. */
  #takeNow(staging: Staging, bytes: number): ArrayBuffer | null {
    try {
      const data = this.#copyOut(staging, bytes);
      this.#unmap(staging);
      return data;
    } catch {
      this.#canTakeNow = false;
      return null;
    }
  }

  #copyOut({ buffer }: Staging, bytes: number): ArrayBuffer {
    const range = buffer.getMappedRange(0, bytes);
    // Deno hands out a copy, which needs no other one; elsewhere it is the mapped memory itself.
    return this.#isDeno ? range.transfer() : range.slice(0);
  }

  #unmap(staging: Staging): void {
    staging.buffer.unmap();
    this.#putBack(staging);
  }

  /** A warm one if there is one. */
  #take(bytes: number): Staging {
    const { device, errors, bufferBytes } = this.#options;
    const size = Math.min(sizeClass(Math.max(bytes, SMALLEST_BYTES)), bufferBytes);
    const fitting = this.#free.filter(({ buffer }) => buffer.size === size);
    const staging = fitting.find(({ isWarm }) => isWarm) ?? fitting[0];
    if (staging !== undefined) {
      this.#free.splice(this.#free.indexOf(staging), 1);
      return staging;
    }
    const buffer = errors.watch(
      () => device.createBuffer({ label: "staging", size, usage: USAGE.MAP_READ | USAGE.COPY_DST }),
      (report, kind) => deviceError(`Cannot allocate ${size} bytes to read into`, report, kind),
    );
    return { buffer, isWarm: false };
  }

  #putBack(staging: Staging): void {
    this.#free.push(staging);
    let bytes = this.#free.reduce((sum, { buffer }) => sum + buffer.size, 0);
    while (bytes > MOST_FREE_BYTES) {
      const largest = this.#free.reduce((a, b) => b.buffer.size > a.buffer.size ? b : a);
      this.#free.splice(this.#free.indexOf(largest), 1);
      bytes -= largest.buffer.size;
      largest.buffer.destroy();
    }
  }
}

/** A range in whole words, and how many bytes of it come before what was asked for. */
interface AlignedRange {
  readonly offset: number;
  readonly bytes: number;
  readonly before: number;
}

function aligned(offset: number, bytes: number): AlignedRange {
  const before = offset % 4;
  return { offset: offset - before, bytes: Math.ceil((before + bytes) / 4) * 4, before };
}

function cut(data: ArrayBuffer, range: AlignedRange, bytes: number): ArrayBuffer {
  return range.bytes === bytes ? data : data.slice(range.before, range.before + bytes);
}
