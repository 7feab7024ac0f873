import { DeviceError } from "../../core/errors.ts";
import { deviceError, type ErrorKeeper } from "./errors.ts";
import { USAGE } from "./usage.ts";

const SMALLEST_BYTES = 256;
/** What may lie free: as much as was ever in use, but not less or more than this. */
const LEAST_FREE_BYTES = 64 * 2 ** 20;
const MOST_FREE_BYTES = 2 ** 30;

/** What a pool must know of its device. */
export interface PoolOptions {
  readonly device: GPUDevice;
  readonly errors: ErrorKeeper;
  readonly bufferBytes: number;
  readonly bindingBytes: number;
  /** Submits what was recorded: it may use buffers that are about to be destroyed. */
  readonly flush: () => void;
}

interface Slot {
  readonly kind: string;
  label: string;
  isFree: boolean;
}

/** Bytes of a buffer that holds `bytes`: eight sizes to an octave, so that at most 1/8 is wasted. */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/**
 * Storage buffers that are used again. A released one may be handed out at once, because work is queued in order; it
 * holds what was last written.
 */
export class BufferPool {
  readonly #options: PoolOptions;
  readonly #slots = new Map<GPUBuffer, Slot>();
  /** Free buffers, the oldest first. */
  readonly #free = new Set<GPUBuffer>();
  readonly #freeByKind = new Map<string, GPUBuffer[]>();
  #freeBytes = 0;
  bytesInUse = 0;
  highWaterBytes = 0;
  buffersInUse = 0;
  #isDisposed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** A buffer of at least `bytes` bytes, with what its last user left in it. `indirect`: may hold dispatch arguments. */
  allocate(bytes: number, label: string, indirect = false): GPUBuffer {
    const { errors } = this.#options;
    errors.checkAlive();
    const capacity = this.#capacity(bytes, label);
    const kind = `${capacity}${indirect ? " indirect" : ""}`;
    const buffer = this.#freeByKind.get(kind)?.pop() ?? this.#create(capacity, label, indirect, kind);
    const slot = this.#slots.get(buffer)!;
    if (slot.isFree) {
      this.#free.delete(buffer);
      this.#freeBytes -= buffer.size;
    }
    slot.isFree = false;
    slot.label = label;
    this.buffersInUse++;
    this.bytesInUse += buffer.size;
    this.highWaterBytes = Math.max(this.highWaterBytes, this.bytesInUse);
    return buffer;
  }

  /** Gives a buffer back; recorded work may still use it. */
  release(buffer: GPUBuffer): void {
    if (this.#isDisposed) return;
    const slot = this.#slots.get(buffer);
    if (slot === undefined || slot.isFree) {
      throw new DeviceError(
        `Cannot release buffer "${slot?.label ?? buffer.label}": ${
          slot === undefined ? "it is not of this pool" : "it was released before"
        }; release each buffer once`,
      );
    }
    slot.isFree = true;
    this.buffersInUse--;
    this.bytesInUse -= buffer.size;
    this.#free.add(buffer);
    this.#freeBytes += buffer.size;
    const siblings = this.#freeByKind.get(slot.kind);
    if (siblings === undefined) this.#freeByKind.set(slot.kind, [buffer]);
    else siblings.push(buffer);
    this.#trim(Math.min(MOST_FREE_BYTES, Math.max(LEAST_FREE_BYTES, this.highWaterBytes)));
  }

  /** Bytes that lie free. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Measures the high water anew. */
  resetHighWater(): void {
    this.highWaterBytes = this.bytesInUse;
  }

  dispose(): void {
    this.#isDisposed = true;
    for (const buffer of this.#slots.keys()) buffer.destroy();
    this.#slots.clear();
    this.#free.clear();
    this.#freeByKind.clear();
    this.#freeBytes = this.bytesInUse = this.buffersInUse = 0;
  }

  #capacity(bytes: number, label: string): number {
    const { bufferBytes, bindingBytes } = this.#options;
    if (!(bytes <= bufferBytes)) {
      throw new DeviceError(
        `Cannot allocate "${label}": ${bytes} bytes are needed, and a buffer of this device holds at most ` +
          `${bufferBytes}; ask for fewer steps or sequences at a time`,
      );
    }
    const capacity = sizeClass(bytes);
    // Rounding up must not push a buffer beyond what could have been made or bound as it was asked for.
    for (const limit of [bindingBytes, bufferBytes]) {
      if (bytes <= limit && capacity > limit) return limit;
    }
    return capacity;
  }

  #create(capacity: number, label: string, indirect: boolean, kind: string): GPUBuffer {
    const { device, errors } = this.#options;
    const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST | (indirect ? USAGE.INDIRECT : 0);
    const buffer = errors.watch(
      () => device.createBuffer({ label, size: capacity, usage }),
      (report, kind) => deviceError(`Cannot allocate "${label}" of ${capacity} bytes`, report, kind),
    );
    this.#slots.set(buffer, { kind, label, isFree: false });
    return buffer;
  }

  #trim(bound: number): void {
    if (this.#freeBytes <= bound) return;
    this.#options.flush();
    for (const buffer of this.#free) {
      if (this.#freeBytes <= bound) return;
      const siblings = this.#freeByKind.get(this.#slots.get(buffer)!.kind)!;
      siblings.splice(siblings.indexOf(buffer), 1);
      this.#free.delete(buffer);
      this.#slots.delete(buffer);
      this.#freeBytes -= buffer.size;
      buffer.destroy();
    }
  }
}
