import type { HostArray } from "../../core/types.ts";
import type { SweepJob } from "../engine.ts";
import { allocateArray } from "./memory.ts";
import type { TrustArrays } from "./sweep_kernel.ts";

/** What an adaptive damping keeps of a window: two iterates, in turn, and what f was predicted to be. */
export class TrustMemory {
  readonly #saved: readonly [HostArray, HostArray];
  readonly #expected: HostArray;
  readonly #state: number;

  constructor({ batch, window, program: { state } }: SweepJob, dtype: "f32" | "f64") {
    const allocate = (label: string): HostArray => allocateArray(dtype, batch * window * state, label).array;
    this.#saved = [allocate("the iterate"), allocate("the iterate before")];
    this.#expected = allocate("predictions of f");
    this.#state = state;
  }

  /** The arrays of sweep number `sweep` of a sequence. */
  arrays(sweep: number): TrustArrays {
    return { saved: this.#saved[sweep & 1]!, expected: this.#expected };
  }

  /**
   * Sweep number `sweep` has found what it began with to be refused: rows `from` to `to` become again what the sweep before
   * it began with. `first` and `out` are the places of the sequence here and in `ys`.
   */
  restore(sweep: number, first: number, ys: HostArray, out: number, from: number, to: number): void {
    const before = this.#saved[(sweep & 1) ^ 1]!;
    ys.set(before.subarray(first + from * this.#state, first + to * this.#state), out + from * this.#state);
  }
}
