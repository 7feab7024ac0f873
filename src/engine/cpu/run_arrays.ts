import type { HostArray } from "../../core/types.ts";
import type { SweepJob } from "../engine.ts";
import { HUGE } from "../verdict.ts";
import type { KernelArrays } from "./kernel.ts";
import { allocateArray, arrayOf, parameterArray } from "./memory.ts";
import type { StepKernels } from "./step_kernels.ts";
import type { SweepRange } from "./sweep_kernel.ts";

/** Rows that the sequential method hoists at a time: they stay in the cache. */
export const SEQUENTIAL_CHUNK = 256;

const EMPTY = new Float64Array(0);

/** The arrays of a solve, and where each sequence begins in them for the present window. */
export class RunArrays {
  /** What kernels read. */
  readonly inputs: { -readonly [K in keyof KernelArrays]: KernelArrays[K] };
  /** `(B, L, D)` */
  readonly guess: HostArray;
  /** `(B, T, D)` */
  readonly ys: HostArray;
  /** Of the sequence that was located last. */
  readonly range: SweepRange = {
    ...{ z: 0, x: 0, old: 0, out: 0, guess: 0, start: 0, from: 0, to: 0, t: 0 },
    ...{ limit: HUGE, damping: 0 },
  };
  /** The first step of the window, and how many there are. */
  start = 0;
  length = 0;
  readonly #job: SweepJob;
  readonly #kernels: StepKernels;
  readonly #zeros: HostArray;

  constructor(job: SweepJob, kernels: StepKernels, dtype: "f32" | "f64") {
    const { program, transition, batch, window } = job;
    const { stages, shared } = kernels;
    [this.#job, this.#kernels, this.ys] = [job, kernels, arrayOf(job.ys)];
    const sequential = transition.kind === "sequential";
    const allocate = (length: number, label: string): HostArray => allocateArray(dtype, length, label).array;
    const hoistedRows = sequential ? Math.min(SEQUENTIAL_CHUNK, window) : batch * window;
    this.inputs = {
      params: job.params.map(parameterArray),
      shared: new Float64Array(stages.sharedSize),
      hoisted: allocate(stages.hoistedSize * hoistedRows, "hoisted values"),
      xs: job.xs === null ? EMPTY : arrayOf(job.xs),
    };
    this.#zeros = allocate(program.state, "zeros");
    this.guess = sequential ? EMPTY : allocate(batch * window * program.state, "the guess");
    // What no sweep reaches, windows after a failure or an abort, reads as missing, not as zero.
    this.ys.fill(NaN);
    if (stages.shared.length > 0) {
      shared(this.inputs, this.inputs.shared, this.#zeros, { z: 0, x: 0, out: 0, h: 0, t: 0 }, 1);
    }
  }

  /** Where sequence `b` begins in each array. */
  locate(b: number): void {
    const { time, program: { state, input } } = this.#job;
    const row = b * time + this.start;
    const range = this.range;
    range.z = b * this.length * this.#kernels.stages.hoistedSize;
    range.x = row * input;
    range.out = row * state;
    range.guess = b * this.length * state;
    range.t = this.start;
  }

  /** The array and the offset of the exact state before row `from` of the window. */
  stateBefore(b: number, from: number): [HostArray, number] {
    const { time, h0, program: { state } } = this.#job;
    const t = this.start + from;
    return t === 0 ? [arrayOf(h0), b * state] : [this.ys, (b * time + t - 1) * state];
  }

  hoist(b: number, from: number, rows: number, toRow: number): void {
    const { hoist, stages } = this.#kernels;
    if (stages.hoisted.length === 0) return;
    const t = this.start + from;
    const x = (b * this.#job.time + t) * this.#job.program.input;
    const out = toRow * stages.hoistedSize;
    hoist(this.inputs, this.inputs.hoisted, this.#zeros, { z: 0, x, out, h: 0, t }, rows);
  }

  /** The first iterate of sequence `b`, finite everywhere; answers what its iterates may not exceed. */
  writeGuess(b: number): number {
    const { guess, time, program: { state, input } } = this.#job;
    const [to, length] = [this.guess, this.length];
    const first = b * length * state;
    const [start, offset] = this.stateBefore(b, 0);
    const given = guess.kind === "given" ? guess.memory : guess.kind === "each" ? guess.memories[b]! : null;
    if (given !== null) {
      const from = arrayOf(given);
      const base = ((guess.kind === "given" ? b * time : 0) + this.start) * state;
      for (let i = 0; i < length * state; i++) to[first + i] = from[base + i]!;
    } else if (guess.kind === "zeros") to.fill(0, first, first + length * state);
    else if (guess.kind === "h0") {
      for (let i = 0; i < length * state; i++) to[first + i] = start[offset + i % state]!;
    } else {
      const { stages, value } = this.#kernels;
      const x = (b * time + this.start) * input;
      const z = b * length * stages.hoistedSize;
      value(this.inputs, to, start, { z, x, out: first, h: offset, t: this.start }, length);
    }
    // A guess is finite, so that what replaces a non-finite entry is too.
    let largest = 1;
    for (let i = first; i < first + length * state; i++) {
      if (!Number.isFinite(to[i])) to[i] = 0;
      largest = Math.max(largest, Math.abs(to[i]!));
    }
    return HUGE * Math.min(HUGE, largest);
  }

  /** A trajectory that is not finite has no values from step `t` on. */
  blank(b: number, t: number): void {
    const { time, program: { state } } = this.#job;
    this.ys.fill(NaN, (b * time + t) * state, (b + 1) * time * state);
  }
}
