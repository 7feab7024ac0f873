import type { ErrorKind, Memory, SequenceVerdict, SweepJob, SweepRun, Verdict } from "../engine.ts";
import { createTrust, type TrustHistory, weigh } from "../trust.ts";
import { createHistory, HUGE, judge, type UpdateHistory } from "../verdict.ts";
import type { HostArray } from "../../core/types.ts";
import { allocateArray, type CpuMemory } from "./memory.ts";
import { RunArrays, SEQUENTIAL_CHUNK } from "./run_arrays.ts";
import { type StepKernels, stepKernels } from "./step_kernels.ts";
import { createReport, type SweepReport } from "./sweep_kernel.ts";
import { TrustMemory } from "./trust_memory.ts";

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
  trust: TrustHistory;
}

/** A solve on the CPU engine: per-sequence state, working memory, and the loop over the batch. */
export class CpuRun implements SweepRun {
  residual: number = NaN;
  readonly residuals: number[] = [];
  readonly iterates: Memory[] = [];
  readonly #kernels: StepKernels;
  readonly #sequences: Sequence[];
  readonly #arrays: RunArrays;
  readonly #trust: TrustMemory | null;
  readonly #report: SweepReport = createReport();
  #errors: Float64Array | undefined;
  #errorBound: number[] | undefined;
  #fresh = true;

  constructor(readonly job: SweepJob, readonly dtype: "f32" | "f64") {
    const { program, transition, batch } = job;
    this.#kernels = stepKernels(program, transition, dtype);
    this.#sequences = Array.from({ length: batch }, () => ({
      status: "running",
      exact: 0,
      sweeps: 0,
      firstNonfinite: -1,
      unsolvedFrom: 0,
      limit: HUGE,
      history: createHistory(),
      trust: createTrust(),
    }));
    this.#arrays = new RunArrays(job, this.#kernels, dtype);
    this.#trust = transition.trust?.damping === "adaptive" ? new TrustMemory(job, dtype) : null;
  }

  enterWindow(start: number, length: number): "done" | "running" {
    for (const sequence of this.#sequences) {
      if (sequence.status === "running" && start > 0) sequence.status = "max-sweeps-reached";
      else if (sequence.status === "converged") sequence.status = "running";
      if (sequence.status === "running") sequence.unsolvedFrom = start;
      sequence.exact = 0;
      sequence.history = createHistory();
      sequence.trust = createTrust();
    }
    if (start > 0 && this.#sequences.every(({ status }) => status !== "running")) return "done";
    const arrays = this.#arrays;
    [arrays.start, arrays.length] = [start, length];
    this.#fresh = true;
    if (this.job.transition.kind === "sequential") return "running";
    for (const [b, sequence] of this.#sequences.entries()) {
      if (sequence.status !== "running") continue;
      arrays.hoist(b, 0, length, b * length);
      sequence.limit = arrays.writeGuess(b);
    }
    if (this.job.keepIterates) this.#keep(arrays.guess);
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
      if (sequence.firstNonfinite >= 0) this.#arrays.blank(b, sequence.firstNonfinite);
      running ||= (sequence.status as Sequence["status"]) === "running";
    }
    this.#fresh = false;
    this.residual = worst;
    if (this.job.transition.kind !== "sequential") this.residuals.push(worst);
    if (this.job.keepIterates) this.#keep(this.#arrays.ys);
    return running ? "running" : "done";
  }

  #sweepSequence(b: number, sequence: Sequence): number {
    const { rule, transition: { trust } } = this.job;
    const [arrays, report, memory] = [this.#arrays, this.#report, this.#trust];
    const { whole = true } = trust ?? {};
    const { range, length, ys } = arrays;
    arrays.locate(b);
    range.from = sequence.exact;
    range.limit = sequence.limit;
    range.to = length;
    range.damping = trust?.damping === "adaptive" ? sequence.trust.damping : trust?.damping ?? 0;
    const old = this.#fresh ? arrays.guess : ys;
    range.old = this.#fresh ? range.guess : range.out;
    const [start, first] = arrays.stateBefore(b, range.from);
    range.start = first;
    const kept = memory?.arrays(sequence.sweeps);
    this.#kernels.sweep(arrays.inputs, old, ys, arrays.guess, start, range, rule, report, kept);
    sequence.sweeps++;
    if (report.failed >= 0) return this.#fail(sequence, report.failed);
    sequence.exact = report.exact;
    if (memory !== null && !weigh(sequence.trust, report, report.worst, { whole, floor: rule.floor })) {
      memory.restore(sequence.sweeps - 1, range.guess, ys, range.out, sequence.exact, length);
      // It says nothing about convergence.
      judge(rule, sequence.history, Infinity, 1, length - report.exact);
      if (sequence.exact >= length) sequence.status = "converged";
      return Infinity;
    }
    const solved = judge(rule, sequence.history, report.worst, report.resets, length - report.exact);
    if (sequence.history.settled && report.lost >= 0) return this.#fail(sequence, report.lost);
    if (solved || sequence.exact >= length) sequence.status = "converged";
    return report.worst;
  }

  #fail(sequence: Sequence, row: number): number {
    sequence.status = "nonfinite";
    sequence.firstNonfinite = this.#arrays.start + row;
    return Infinity;
  }

  #sequential(b: number, sequence: Sequence): void {
    const [arrays, report] = [this.#arrays, this.#report];
    const { range, length, ys } = arrays;
    const { hoistedSize } = this.#kernels.stages;
    for (let from = 0; from < length; from += SEQUENTIAL_CHUNK) {
      const to = Math.min(length, from + SEQUENTIAL_CHUNK);
      arrays.hoist(b, from, to - from, 0);
      arrays.locate(b);
      range.from = from;
      range.to = to;
      range.z = -from * hoistedSize;
      const [start, first] = arrays.stateBefore(b, from);
      range.start = first;
      this.#kernels.sweep(arrays.inputs, ys, ys, ys, start, range, this.job.rule, report);
      if (report.failed >= 0) return void this.#fail(sequence, report.failed);
    }
    sequence.status = "converged";
  }

  /** Sweeps write to `ys` itself: what is left is to blank what they did not solve, where nobody will ask. */
  leaveWindow(): void {
    if (this.job.strict !== true) return;
    for (const [b, sequence] of this.#sequences.entries()) {
      if (sequence.status !== "running") continue;
      sequence.status = "max-sweeps-reached";
      this.#arrays.blank(b, this.#arrays.start);
    }
  }

  /** The error of every sequence over the present window, continued from the window before. */
  measureError(kind: ErrorKind): void {
    const { batch, transition, program: { state }, rule } = this.job;
    this.#errorBound ??= new Array<number>(batch).fill(0);
    this.#errors ??= new Float64Array(batch * state);
    const [arrays, report] = [this.#arrays, this.#report];
    const { range, ys } = arrays;
    for (const [b, { status }] of this.#sequences.entries()) {
      if (status === "nonfinite" || this.#errorBound[b] === Infinity) {
        this.#errorBound[b] = Infinity;
        continue;
      }
      // It has no residual: f was evaluated at the answer itself.
      if (transition.kind === "sequential") continue;
      arrays.locate(b);
      range.from = 0;
      range.to = arrays.length;
      range.old = range.out;
      range.guess = b * state;
      const [start, first] = arrays.stateBefore(b, 0);
      range.start = first;
      this.#kernels.measure(kind)(arrays.inputs, ys, ys, this.#errors, start, range, rule, report);
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
      const { unsolvedFrom = this.#arrays.start } = sequences[b]!;
      return unsolvedFrom < this.#lastWindow ? Infinity : worst;
    });
    return { sequences, residuals: this.residuals, ...(bound === undefined ? {} : { errorBound: bound }) };
  }

  /** The first step of the last window. */
  get #lastWindow(): number {
    const { time, window } = this.job;
    return time - 1 - (time - 1) % window;
  }

  #keep(from: HostArray): void {
    const copy = allocateArray(this.dtype, from.length, "an iterate") as CpuMemory;
    copy.array.set(from);
    this.iterates.push(copy);
  }
}
