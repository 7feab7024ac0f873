import { memory, type Place } from "../../trace/places.ts";

/** Arrays of constants side by side: equal numbers, and the same array, are there once. */
export class Constants {
  readonly #entries = new Map<string | Float64Array, { readonly offset: number; readonly data: Float64Array }>();
  #words: number;

  /** The first of them after `first` words. */
  constructor(readonly first: number = 0) {
    this.#words = first;
  }

  /** Words up to the end of the last. */
  get words(): number {
    return this.#words;
  }

  get entries(): Iterable<{ readonly offset: number; readonly data: Float64Array }> {
    return this.#entries.values();
  }

  /** The place of an array of constants in the memory `name`. */
  place(data: Float64Array, name: string): Place {
    const key = data.length === 1 ? String(data[0]) : data;
    let known = this.#entries.get(key);
    if (known === undefined) {
      this.#entries.set(key, known = { offset: this.#words, data });
      this.#words += data.length;
    }
    return memory(name, "", known.offset);
  }

  /** Their words, from the first on. */
  pack(): Float32Array<ArrayBuffer> {
    const words = new Float32Array(this.#words - this.first);
    for (const { offset, data } of this.entries) words.set(data, offset - this.first);
    return words;
  }
}
