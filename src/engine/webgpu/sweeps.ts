import { emitBlank, emitGuess, GUESS_LANES } from "../../../kernels/guess.ts";
import type { Kernel } from "../../../kernels/kernel.ts";
import { packInfo } from "../../../kernels/traced.ts";
import { DeviceError } from "../../core/errors.ts";
import type { ErrorKind, Memory, SweepJob, Verdict } from "../engine.ts";
import { recordFill } from "./arrays.ts";
import { Control, type Status } from "./control.ts";
import type { EngineRun } from "./empty_run.ts";
import type { Machine, Region } from "./machine.ts";
import { bufferOf, floatsIn, WORD_BYTES } from "./memory.ts";
import { Pass } from "./pass.ts";
import { errorTransition, stepPlan } from "./step_plan.ts";
import { copyWindow, type WindowBuffers } from "./window.ts";

/** Bytes beyond which the copies of `keepIterates` are refused. */
const ITERATES_BYTES = 2 ** 30;
const NAN_BITS = 0x7fc00000;

/** A solve on a WebGPU device: all is recorded, nothing awaited before the verdict. */
export class GpuRun implements EngineRun {
  readonly residual: number = NaN;
  readonly iterates: Memory[] = [];
  readonly #machine: Machine;
  readonly #owned: GPUBuffer[] = [];
  readonly #buffers: WindowBuffers;
  readonly #control: Control;
  readonly #pass: Pass;
  readonly #blank: Kernel;
  readonly #guessing: Kernel;
  /** There are several windows: their rows are copied in and out. */
  readonly #staged: boolean;
  #errorPass: Pass | undefined;
  #measured: ErrorKind | undefined;
  #start = 0;
  #length = 0;

  constructor(readonly job: SweepJob, machine: Machine) {
    this.#machine = machine;
    const { batch, time, window, program, transition } = job;
    const { state, input } = program;
    this.#staged = window < time;
    const words = batch * window * state;
    const { kind } = job.guess;
    this.#blank = emitBlank(state);
    this.#guessing = emitGuess(kind === "zeros" ? "zeros" : kind === "h0" ? "start" : "buffer", state);
    this.#checkIterates(words);
    const control = this.#control = new Control(machine, job);
    try {
      const allocate = (words: number, label: string): Region => this.#region(words, label);
      const whole = (memory: Memory, words: number): Region => ({ buffer: bufferOf(memory), size: words * WORD_BYTES });
      const inputs = job.xs === null
        ? null
        : this.#staged
        ? allocate(batch * window * input, "inputs of a window")
        : whole(job.xs, batch * time * input);
      this.#buffers = {
        start: allocate(batch * state, "start states"),
        xs: inputs,
        ys: this.#staged ? allocate(words, "states of a window") : whole(job.ys, words),
        guess: transition.kind === "sequential" ? null : allocate(words, "the guess"),
        status: control.status,
      };
      // What no window reaches after an abort reads as missing.
      if (this.#staged) recordFill(machine, bufferOf(job.ys), 0, batch * time * state, NAN_BITS);
      machine.copy(bufferOf(job.h0), 0, this.#buffers.start.buffer, 0, batch * state * WORD_BYTES);
      this.#pass = new Pass(machine, stepPlan(program, transition), job, this.#buffers, "update", allocate);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  enterWindow(start: number, length: number): "later" {
    const { batch, time, program: { state, input }, xs, ys, transition } = this.job;
    const machine = this.#machine;
    const buffers = this.#buffers;
    [this.#start, this.#length] = [start, length];
    if (this.#staged) {
      if (xs !== null) this.#copyRows(bufferOf(xs), start, time, buffers.xs!.buffer, length, input);
      if (start > 0) this.#copyRows(bufferOf(ys), start - 1, time, buffers.start.buffer, 1, state);
    }
    this.#pass.enter(start, length);
    const blank = this.#blank;
    const info = machine.uniform(packInfo({ batch, rows: length, t0: start }));
    const group = machine.bind(blank, [info, buffers.status, buffers.ys]);
    const count = Math.ceil(batch * length * state / GUESS_LANES);
    this.#control.enter(start, length, this.#pass.sweep, { kernel: blank, group, count });
    this.#control.decide("enter");
    this.#pass.hoist();
    if (transition.kind !== "sequential") this.#guess(info);
    return "later";
  }

  sweep(): "done" | "later" {
    const sequential = this.job.transition.kind === "sequential";
    this.#control.sweep();
    this.#control.decide(sequential ? "conclude" : "judge");
    if (this.job.keepIterates) this.#keep();
    return sequential ? "done" : "later";
  }

  async settled(): Promise<boolean> {
    return (await this.#control.read()).running === 0;
  }

  /** Blanks what has no answer, and hands the rows on. */
  leaveWindow(): void {
    if (this.job.strict === true) this.#control.decide("abandon");
    this.#control.afterFailure();
    if (!this.#staged) return;
    const { batch, ys, time, program: { state } } = this.job;
    const length = this.#length;
    const from = { buffer: this.#buffers.ys.buffer, first: 0, time: length };
    const to = { buffer: bufferOf(ys), first: this.#start, time };
    copyWindow(this.#machine, from, to, { batch, rows: length, width: state });
  }

  measureError(kind: ErrorKind): void {
    const { transition, program } = this.job;
    this.#measured = kind;
    // Its residual is zero: f was evaluated at the answer itself.
    if (transition.kind === "sequential") return;
    if (this.#errorPass === undefined) {
      const plan = stepPlan(program, errorTransition(program), kind);
      const allocate = (words: number, label: string): Region => this.#region(words, label);
      this.#errorPass = new Pass(this.#machine, plan, this.job, this.#buffers, kind, allocate);
    }
    const pass = this.#errorPass;
    pass.enter(this.#start, this.#length);
    pass.hoist();
    for (const { kernel, group, count } of pass.sweep) this.#machine.dispatch(kernel, group, count);
    this.#control.decide("measured");
  }

  async verdict(): Promise<Verdict> {
    return await tell(this.#machine, this.job, this.#measured, this.iterates, await this.#control.read());
  }

  /** Frees all but the answer and the iterates. */
  end(): void {
    this.#endPasses();
    this.#control.dispose();
  }

  /** The same, but for the few words that the verdict reads. */
  close(): () => Promise<Verdict> {
    this.#endPasses();
    const status = this.#control.close();
    const [machine, job, measured, iterates] = [this.#machine, this.job, this.#measured, this.iterates];
    let verdict: Promise<Verdict> | undefined;
    return () => verdict ??= status().then((told) => tell(machine, job, measured, iterates, told));
  }

  #endPasses(): void {
    this.#pass?.dispose();
    this.#errorPass?.dispose();
    for (const buffer of this.#owned.splice(0)) this.#machine.pool.release(buffer);
  }

  /** The first iterate, finite everywhere, and the limit that follows from it. */
  #guess(info: Region): void {
    const { batch, time, guess, program: { state } } = this.job;
    const { start, guess: into, ys, status } = this.#buffers;
    const each = guess.kind === "each" ? guess.memories : [];
    if (guess.kind === "f0" || each.includes(null)) this.#pass.value(into!);
    if (guess.kind === "given") {
      this.#copyRows(bufferOf(guess.memory), this.#start, time, into!.buffer, this.#length, state);
    }
    const rows = this.#length;
    for (const [b, memory] of each.entries()) {
      if (memory === null) continue;
      const from = { buffer: bufferOf(memory), first: this.#start, time };
      const to = { buffer: into!.buffer, first: b * rows, time: rows };
      copyWindow(this.#machine, from, to, { batch: 1, rows, width: state });
    }
    const kernel = this.#guessing;
    const group = this.#machine.bind(kernel, [info, start, into!, ys, status]);
    this.#machine.dispatch(kernel, group, Math.ceil(batch * this.#length * state / GUESS_LANES));
    this.#control.decide("begin");
    if (this.job.keepIterates) this.#keep();
  }

  /** Copies rows of every sequence to the beginning of `target`, sequences one after the other. */
  #copyRows(source: GPUBuffer, first: number, time: number, target: GPUBuffer, rows: number, width: number): void {
    const to = { buffer: target, first: 0, time: rows };
    copyWindow(this.#machine, { buffer: source, first, time }, to, { batch: this.job.batch, rows, width });
  }

  #keep(): void {
    const { batch, window, program: { state } } = this.job;
    const length = batch * window * state;
    const buffer = this.#machine.pool.allocate(length * WORD_BYTES, "an iterate");
    this.#machine.copy(this.#buffers.ys.buffer, 0, buffer, 0, length * WORD_BYTES);
    this.iterates.push(floatsIn(buffer, length));
  }

  #checkIterates(words: number): void {
    const { keepIterates, maxSweeps } = this.job;
    const bytes = (maxSweeps + 1) * words * WORD_BYTES;
    if (!keepIterates || bytes <= ITERATES_BYTES) return;
    throw new DeviceError(
      `Cannot keep the iterates: ${bytes} bytes would be held for ${maxSweeps} sweeps, as only the device counts them; ` +
        "give a smaller maxSweeps, or solve fewer steps or sequences at a time",
    );
  }

  #region(words: number, label: string): Region {
    const { pool, limits: { bindingBytes } } = this.#machine;
    const size = Math.max(1, words) * WORD_BYTES;
    if (size > bindingBytes) {
      throw new DeviceError(
        `Cannot solve on this device: ${label} would take ${size} bytes, and a binding at most ${bindingBytes}; ` +
          "solve fewer sequences at a time",
      );
    }
    const buffer = pool.allocate(size, label);
    this.#owned.push(buffer);
    return { buffer, size };
  }
}

/** What a status says; releases the iterates that are none. */
async function tell(
  machine: Machine,
  { time, window, transition }: SweepJob,
  measured: ErrorKind | undefined,
  iterates: Memory[],
  { sequences, residuals, errors }: Status,
): Promise<Verdict> {
  for (const extra of iterates.splice(residuals.length + 1)) machine.pool.release(bufferOf(extra));
  const lastWindow = time - 1 - (time - 1) % window;
  const errorBound = measured && sequences.map(({ result, unsolvedFrom = lastWindow }, b) => {
    const bound = transition.kind === "sequential" ? 0 : errors[b]!;
    const missing = result === "nonfinite" || unsolvedFrom < lastWindow;
    return missing || !Number.isFinite(bound) ? Infinity : bound;
  });
  const gpuMs = machine.profiles ? await machine.takeTimes() : undefined;
  return { sequences, residuals, ...(errorBound && { errorBound }), ...(gpuMs && { gpuMs }) };
}
