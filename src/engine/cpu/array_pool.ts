import type { DType, HostArray } from "../../core/types.ts";
import type { Memory } from "../engine.ts";
import { allocateArray, type CpuMemory } from "./memory.ts";

/** Smaller arrays are the garbage collector's work. */
const LEAST_BYTES = 2 ** 16;
/** What is kept for others at most. */
const MOST_BYTES = 2 ** 28;

/**
 * Arrays that were freed, for the next who asks for as many elements: a fresh array is zeroed page by page, which costs as
 * much as a pass over it, and waits for the garbage collector when it is done.
 */
export class ArrayPool {
  readonly #spare = new Map<string, HostArray[]>();
  /** A memory that is freed twice must not be handed out twice. */
  readonly #freed = new WeakSet<Memory>();
  #bytes = 0;

  /** Memory with unspecified contents. */
  take(dtype: DType, length: number, label: string): CpuMemory {
    const array = this.#spare.get(`${dtype}|${length}`)?.pop();
    if (array === undefined) return allocateArray(dtype, length, label);
    this.#bytes -= array.byteLength;
    return { dtype, length, array };
  }

  give(memory: Memory): void {
    const { dtype, length, array } = memory as CpuMemory;
    if (this.#freed.has(memory)) return;
    this.#freed.add(memory);
    if (array.byteLength < LEAST_BYTES || this.#bytes + array.byteLength > MOST_BYTES) return;
    const key = `${dtype}|${length}`;
    const spare = this.#spare.get(key);
    if (spare === undefined) this.#spare.set(key, [array]);
    else spare.push(array);
    this.#bytes += array.byteLength;
  }
}
