import type { Machine } from "./machine.ts";

/** Words of many runs share a buffer of this size. */
const PAGE_BYTES = 2 ** 14;
/** What may lie on the device: thousands of verdicts. */
const MOST_BYTES = 2 ** 22;

interface Page {
  readonly buffer: GPUBuffer;
  readonly size: number;
  used: number;
  /** Words of so many runs were not asked for yet. */
  unread: number;
  /** All its words, once they had to leave the device. */
  data: Promise<ArrayBuffer> | undefined;
}

/**
 * What ended runs say of themselves, until somebody asks: perhaps nobody ever does, so that what is held is bounded. Words
 * share buffers, which go when all of them were asked for; beyond {@linkcode MOST_BYTES} the oldest are read to host memory.
 */
export class UnreadWords {
  readonly #machine: Machine;
  /** Those that have a buffer, the oldest first. */
  readonly #pages: Page[] = [];
  #bytes = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Copies the first `bytes` bytes, a multiple of 4, of a buffer that is about to be released; the answer reads them, once. */
  keep(from: GPUBuffer, bytes: number): () => Promise<ArrayBuffer> {
    const last = this.#pages.at(-1);
    const page = last !== undefined && last.used + bytes <= last.size ? last : this.#open(bytes);
    const offset = page.used;
    this.#machine.copy(from, 0, page.buffer, offset, bytes);
    page.used += bytes;
    page.unread++;
    while (this.#bytes > MOST_BYTES && this.#pages[0] !== page) this.#evict(this.#pages[0]!);
    return () => {
      if (page.data !== undefined) return page.data.then((data) => data.slice(offset, offset + bytes));
      const reading = this.#machine.read(page.buffer, offset, bytes);
      // The copy that is read is recorded already.
      if (--page.unread === 0) this.#close(page);
      return reading;
    };
  }

  #open(bytes: number): Page {
    const buffer = this.#machine.pool.allocate(Math.max(PAGE_BYTES, bytes), "verdicts");
    const { size } = buffer;
    const page: Page = { buffer, size, used: 0, unread: 0, data: undefined };
    this.#pages.push(page);
    this.#bytes += size;
    return page;
  }

  #evict(page: Page): void {
    page.data = this.#machine.read(page.buffer, 0, page.used);
    // Told to those who ask.
    page.data.catch(() => {});
    this.#close(page);
  }

  #close(page: Page): void {
    this.#pages.splice(this.#pages.indexOf(page), 1);
    this.#bytes -= page.size;
    this.#machine.pool.release(page.buffer);
  }
}

const stores = new WeakMap<Machine, UnreadWords>();

/** The words that are kept on a machine. */
export function unreadWords(machine: Machine): UnreadWords {
  let store = stores.get(machine);
  if (store === undefined) stores.set(machine, store = new UnreadWords(machine));
  return store;
}
