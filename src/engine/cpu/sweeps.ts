import type { HostArray } from "../../core/types.ts";
import type { ErrorKind, Memory, SequenceVerdict, SweepJob, SweepRun, Verdict } from "../engine.ts";
import { createHistory, HUGE, judge, type UpdateHistory } from "../verdict.ts";
import type { KernelArrays } from "./kernel.ts";
import { allocateArray, arrayOf, type CpuMemory, parameterArray } from "./memory.ts";
import { type StepKernels, stepKernels } from "./step_kernels.ts";
import type { SweepRange, SweepReport } from "./sweep_kernel.ts";

/** Rows that the sequential method hoists at a time: they stay in the cache. */
const SEQUENTIAL_CHUNK = 256;

/** One sequence of the batch. */
interface Sequence {
  status: "running" | "converged" | "max-sweeps-reached" | "nonfinite";
  /** Steps of the window that are exact. */
  exact: number;
  sweeps: number;
  firstNonfinite: number;
  unsolvedFrom: number;
  /** Iterates beyond this are replaced. */
  limit: number;
  history: UpdateHistory;
}

const EMPTY = new Float64Array(0);

/** A solve on the CPU engine: per-sequence state, working memory, and the loop over the batch. */
export class CpuRun implements SweepRun {
  residual: number = NaN;
  readonly residuals: number[] = [];
  readonly iterates: Memory[] = [];
  readonly #kernels: StepKernels;
  readonly #sequences: Sequence[];
  readonly #arrays: { -readonly [K in keyof KernelArrays]: KernelArrays[K] };
  readonly #guess: HostArray;
  readonly #zeros: HostArray;
  readonly #report: SweepReport = { worst: 0, resets: 0, exact: 0, lost: -1, failed: -1 };
  readonly #range: SweepRange = { z: 0, x: 0, old: 0, out: 0, guess: 0, start: 0, from: 0, to: 0, t: 0, limit: HUGE };
  #errors: Float64Array | undefined;
  #errorBound: number[] | undefined;
  #start = 0;
  #length = 0;
  #fresh = true;

  constructor(readonly job: SweepJob, readonly dtype: "f32" | "f64") {
    const { program, transition, batch, window } = job;
    this.#kernels = stepKernels(program, transition, dtype);
    const { stages, shared } = this.#kernels;
    const sequential = transition.kind === "sequential";
    const allocate = (length: number, label: string): HostArray => allocateArray(dtype, length, label).array;
    this.#sequences = Array.from({ length: batch }, () => ({
      status: "running",
      exact: 0,
      sweeps: 0,
      firstNonfinite: -1,
      unsolvedFrom: 0,
      limit: HUGE,
      history: createHistory(),
    }));
    const hoistedRows = sequential ? Math.min(SEQUENTIAL_CHUNK, window) : batch * window;
    this.#arrays = {
      params: job.params.map(parameterArray),
      shared: new Float64Array(stages.sharedSize),
      hoisted: allocate(stages.hoistedSize * hoistedRows, "hoisted values"),
      xs: job.xs === null ? EMPTY : arrayOf(job.xs),
    };
    this.#zeros = allocate(program.state, "zeros");
    this.#guess = sequential ? EMPTY : allocate(batch * window * program.state, "the guess");
    // What no sweep reaches, windows after a failure or an abort, reads as missing, not as zero.
    arrayOf(job.ys).fill(NaN);
    if (stages.shared.length > 0) {
      shared(this.#arrays, this.#arrays.shared, this.#zeros, { z: 0, x: 0, out: 0, h: 0, t: 0 }, 1);
    }
  }

  enterWindow(start: number, length: number): "done" | "running" {
    for (const sequence of this.#sequences) {
      if (sequence.status === "running" && start > 0) sequence.status = "max-sweeps-reached";
      else if (sequence.status === "converged") sequence.status = "running";
      if (sequence.status === "running") sequence.unsolvedFrom = start;
      sequence.exact = 0;
      sequence.history = createHistory();
    }
    if (start > 0 && this.#sequences.every(({ status }) => status !== "running")) return "done";
    this.#start = start;
    this.#length = length;
    this.#fresh = true;
    if (this.job.transition.kind === "sequential") return "running";
    for (const [b, { status }] of this.#sequences.entries()) {
      if (status !== "running") continue;
      this.#hoist(b, 0, length, b * length);
      this.#writeGuess(b);
    }
    if (this.job.keepIterates) this.#keep(this.#guess);
    return "running";
  }

  /** One sweep over every running sequence. */
  sweep(): "done" | "running" {
    const { batch } = this.job;
    let worst = 0;
    let running = false;
    for (let b = 0; b < batch; b++) {
      const sequence = this.#sequences[b]!;
      if (sequence.status !== "running") continue;
      if (this.job.transition.kind === "sequential") this.#sequential(b, sequence);
      else worst = Math.max(worst, this.#sweepSequence(b, sequence));
      if (sequence.firstNonfinite >= 0) this.#blank(b, sequence.firstNonfinite);
      running ||= (sequence.status as Sequence["status"]) === "running";
    }
    this.#fresh = false;
    this.residual = worst;
    if (this.job.transition.kind !== "sequential") this.residuals.push(worst);
    if (this.job.keepIterates) this.#keep(arrayOf(this.job.ys));
    return running ? "running" : "done";
  }

  #sweepSequence(b: number, sequence: Sequence): number {
    const { rule, ys } = this.job;
    const [range, report, length] = [this.#range, this.#report, this.#length];
    const out = arrayOf(ys);
    this.#locate(b);
    range.from = sequence.exact;
    range.limit = sequence.limit;
    range.to = length;
    const old = this.#fresh ? this.#guess : out;
    range.old = this.#fresh ? range.guess : range.out;
    const [start, first] = this.#stateBefore(b, range.from);
    range.start = first;
    this.#kernels.sweep(this.#arrays, old, out, this.#guess, start, range, rule, report);
    sequence.sweeps++;
    if (report.failed >= 0) {
      sequence.status = "nonfinite";
      sequence.firstNonfinite = this.#start + report.failed;
      return Infinity;
    }
    sequence.exact = report.exact;
    const solved = judge(rule, sequence.history, report.worst, report.resets, length - report.exact);
    if (sequence.history.settled && report.lost >= 0) {
      sequence.status = "nonfinite";
      sequence.firstNonfinite = this.#start + report.lost;
      return Infinity;
    }
    if (solved || sequence.exact >= length) sequence.status = "converged";
    return report.worst;
  }

  #sequential(b: number, sequence: Sequence): void {
    const [range, report, length] = [this.#range, this.#report, this.#length];
    const out = arrayOf(this.job.ys);
    const { hoistedSize } = this.#kernels.stages;
    for (let from = 0; from < length; from += SEQUENTIAL_CHUNK) {
      const to = Math.min(length, from + SEQUENTIAL_CHUNK);
      this.#hoist(b, from, to - from, 0);
      this.#locate(b);
      range.from = from;
      range.to = to;
      range.z = -from * hoistedSize;
      const [start, first] = this.#stateBefore(b, from);
      range.start = first;
      this.#kernels.sweep(this.#arrays, out, out, out, start, range, this.job.rule, report);
      if (report.failed >= 0) {
        sequence.status = "nonfinite";
        sequence.firstNonfinite = this.#start + report.failed;
        return;
      }
    }
    sequence.status = "converged";
  }

  /** The error of every sequence over the present window, continued from the window before. */
  measureError(kind: ErrorKind): void {
    const { batch, transition, program: { state }, rule, ys } = this.job;
    this.#errorBound ??= new Array<number>(batch).fill(0);
    this.#errors ??= new Float64Array(batch * state);
    const [range, report, out] = [this.#range, this.#report, arrayOf(ys)];
    for (const [b, { status }] of this.#sequences.entries()) {
      if (status === "nonfinite" || this.#errorBound[b] === Infinity) {
        this.#errorBound[b] = Infinity;
        continue;
      }
      // It has no residual: f was evaluated at the answer itself.
      if (transition.kind === "sequential") continue;
      this.#locate(b);
      range.from = 0;
      range.to = this.#length;
      range.old = range.out;
      range.guess = b * state;
      const [start, first] = this.#stateBefore(b, 0);
      range.start = first;
      this.#kernels.measure(kind)(this.#arrays, out, out, this.#errors, start, range, rule, report);
      const worst = report.resets > 0 || Number.isNaN(report.worst) ? Infinity : report.worst;
      this.#errorBound[b] = Math.max(this.#errorBound[b]!, worst);
    }
  }

  verdict(): Verdict {
    const sequences = this.#sequences.map(({ status, sweeps, firstNonfinite, unsolvedFrom }): SequenceVerdict => {
      if (status === "nonfinite") return { result: status, sweeps, firstNonfinite };
      return status === "converged"
        ? { result: "successful", sweeps }
        : { result: "max-sweeps-reached", sweeps, unsolvedFrom };
    });
    // A trajectory of which windows are missing has no bound.
    const bound = this.#errorBound?.map((worst, b) => {
      const { unsolvedFrom = this.#start } = sequences[b]!;
      return unsolvedFrom < this.#lastWindow ? Infinity : worst;
    });
    return { sequences, residuals: this.residuals, ...(bound === undefined ? {} : { errorBound: bound }) };
  }

  /** The first step of the last window. */
  get #lastWindow(): number {
    const { time, window } = this.job;
    return time - 1 - (time - 1) % window;
  }

  /** Where sequence `b` begins in each array, for the present window. */
  #locate(b: number): void {
    const { time, program: { state, input } } = this.job;
    const row = b * time + this.#start;
    const range = this.#range;
    range.z = b * this.#length * this.#kernels.stages.hoistedSize;
    range.x = row * input;
    range.out = row * state;
    range.guess = b * this.#length * state;
    range.t = this.#start;
  }

  /** The array and the offset of the exact state before row `from` of the window. */
  #stateBefore(b: number, from: number): [HostArray, number] {
    const { time, h0, ys, program: { state } } = this.job;
    const t = this.#start + from;
    return t === 0 ? [arrayOf(h0), b * state] : [arrayOf(ys), (b * time + t - 1) * state];
  }

  #hoist(b: number, from: number, rows: number, toRow: number): void {
    const { hoist, stages } = this.#kernels;
    if (stages.hoisted.length === 0) return;
    const t = this.#start + from;
    const x = (b * this.job.time + t) * this.job.program.input;
    const out = toRow * stages.hoistedSize;
    hoist(this.#arrays, this.#arrays.hoisted, this.#zeros, { z: 0, x, out, h: 0, t }, rows);
  }

  #writeGuess(b: number): void {
    const { guess, time, program: { state, input } } = this.job;
    const [to, length] = [this.#guess, this.#length];
    const first = b * length * state;
    const [start, offset] = this.#stateBefore(b, 0);
    if (guess.kind === "given") {
      const from = arrayOf(guess.memory);
      const base = (b * time + this.#start) * state;
      for (let i = 0; i < length * state; i++) to[first + i] = from[base + i]!;
    } else if (guess.kind === "zeros") to.fill(0, first, first + length * state);
    else if (guess.kind === "h0") {
      for (let i = 0; i < length * state; i++) to[first + i] = start[offset + i % state]!;
    } else {
      const { stages, value } = this.#kernels;
      const x = (b * time + this.#start) * input;
      const z = b * length * stages.hoistedSize;
      value(this.#arrays, to, start, { z, x, out: first, h: offset, t: this.#start }, length);
    }
    // A guess is finite, so that what replaces a non-finite entry is too.
    let largest = 1;
    for (let i = first; i < first + length * state; i++) {
      if (!Number.isFinite(to[i])) to[i] = 0;
      largest = Math.max(largest, Math.abs(to[i]!));
    }
    this.#sequences[b]!.limit = HUGE * Math.min(HUGE, largest);
  }

  /** A trajectory that is not finite has no values from there on. */
  #blank(b: number, t: number): void {
    const { time, ys, program: { state } } = this.job;
    arrayOf(ys).fill(NaN, (b * time + t) * state, (b + 1) * time * state);
  }

  #keep(from: HostArray): void {
    const copy = allocateArray(this.dtype, from.length, "an iterate") as CpuMemory;
    copy.array.set(from);
    this.iterates.push(copy);
  }
}
