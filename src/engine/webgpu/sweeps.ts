import { emitBlank, emitGuess, GUESS_LANES } from "../../../kernels/guess.ts";
import { STATE, STATE_WORDS, STATUS } from "../../../kernels/sequence.ts";
import { packInfo } from "../../../kernels/traced.ts";
import { emitVerdict, HEAD_WORDS, packRule, type VerdictMode } from "../../../kernels/verdict.ts";
import { DeviceError } from "../../core/errors.ts";
import type { ErrorKind, Memory, SequenceVerdict, SweepJob, SweepRun, Verdict } from "../engine.ts";
import { HUGE } from "../verdict.ts";
import type { Machine, Region } from "./machine.ts";
import { copyRows } from "./map.ts";
import { bufferOf, type GpuMemory, WORD_BYTES } from "./memory.ts";
import { Pass } from "./pass.ts";
import { errorTransition, stepPlan } from "./step_plan.ts";
import type { Recorded, WindowBuffers } from "./window.ts";

/** Arguments of a dispatch, in words. */
const GRID_WORDS = 3;
/** Bytes beyond which the copies of `keepIterates` are refused. */
const ITERATES_BYTES = 2 ** 30;

const aligned = (bytes: number): number => 256 * Math.ceil(bytes / 256);

/** A solve on a WebGPU device: all is recorded, nothing awaited before the verdict. */
export class GpuRun implements SweepRun {
  readonly residual: number = NaN;
  readonly iterates: Memory[] = [];
  readonly #machine: Machine;
  readonly #owned: GPUBuffer[] = [];
  readonly #buffers: WindowBuffers;
  readonly #pass: Pass;
  readonly #staged: boolean;
  readonly #statusBytes: number;
  readonly #headOffset: number;
  #grids: { readonly arguments: GPUBuffer; readonly template: GPUBuffer } | undefined;
  #verdicts: Partial<Record<VerdictMode, Recorded>> = {};
  #sweepDispatches: readonly Recorded[] = [];
  #blank: Recorded | undefined;
  #errorPass: Pass | undefined;
  #measured: ErrorKind | undefined;
  #start = 0;
  #length = 0;
  #swept = 0;
  #finished = true;

  constructor(readonly job: SweepJob, machine: Machine) {
    this.#machine = machine;
    const { batch, time, window, maxSweeps, program, keepIterates } = job;
    const { state, input } = program;
    this.#staged = window < time;
    const words = batch * window * state;
    if (keepIterates && (maxSweeps + 1) * words * WORD_BYTES > ITERATES_BYTES) {
      throw new DeviceError(
        `Cannot keep the iterates: ${
          (maxSweeps + 1) * words * WORD_BYTES
        } bytes would be held for ${maxSweeps} sweeps, ` +
          "which only the device counts; give a smaller maxSweeps, or solve fewer steps or sequences at a time",
      );
    }
    try {
      const plan = stepPlan(program, job.transition);
      const sequential = job.transition.kind === "sequential";
      this.#headOffset = aligned(batch * STATE_WORDS * WORD_BYTES);
      const sweeps = sequential ? 0 : Math.ceil(time / window) * maxSweeps;
      this.#statusBytes = this.#headOffset + (HEAD_WORDS + sweeps) * WORD_BYTES;
      const status = this.#allocate(this.#statusBytes, "status");
      machine.clear(status, 0, this.#statusBytes);
      const allocate = (words: number, label: string): Region => this.#region(words, label);
      this.#buffers = {
        start: allocate(batch * state, "start states"),
        xs: job.xs === null
          ? null
          : this.#staged
          ? allocate(batch * window * input, "inputs of a window")
          : { buffer: bufferOf(job.xs), size: batch * time * input * WORD_BYTES },
        ys: this.#staged
          ? allocate(words, "states of a window")
          : { buffer: bufferOf(job.ys), size: words * WORD_BYTES },
        guess: sequential ? null : allocate(words, "the guess"),
        status: { buffer: status, size: batch * STATE_WORDS * WORD_BYTES },
      };
      machine.copy(bufferOf(job.h0), 0, this.#buffers.start.buffer, 0, batch * state * WORD_BYTES);
      this.#pass = new Pass(machine, plan, job, this.#buffers, "update", allocate);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  enterWindow(start: number, length: number): "running" | "later" {
    const { batch, program: { state, input }, guess, xs, transition } = this.job;
    const machine = this.#machine;
    const buffers = this.#buffers;
    [this.#start, this.#length, this.#swept, this.#finished] = [start, length, 0, false];
    if (this.#staged) {
      if (xs !== null) {
        copyRows(
          this.#machine,
          bufferOf(xs),
          start,
          this.job.time,
          buffers.xs!.buffer,
          0,
          length,
          length,
          input,
          this.job.batch,
        );
      }
      if (start > 0) {
        copyRows(
          this.#machine,
          bufferOf(this.job.ys),
          start - 1,
          this.job.time,
          buffers.start.buffer,
          0,
          1,
          1,
          state,
          this.job.batch,
        );
      }
    }
    this.#pass.enter(start, length);
    this.#sweepDispatches = this.#pass.sweep;
    this.#prepareVerdicts();
    this.#dispatch(this.#verdicts.enter!);
    this.#pass.hoist();
    if (transition.kind !== "sequential") {
      const into = buffers.guess!;
      if (guess.kind === "f0") this.#pass.value(into);
      else if (guess.kind === "given") {
        copyRows(
          this.#machine,
          bufferOf(guess.memory),
          start,
          this.job.time,
          into.buffer,
          0,
          length,
          length,
          state,
          this.job.batch,
        );
      }
      const source = guess.kind === "zeros" ? "zeros" : guess.kind === "h0" ? "start" : "buffer";
      const kernel = emitGuess(source, state);
      const info = machine.uniform(packInfo({ batch, rows: length, t0: start }));
      const group = machine.bind(kernel, [info, buffers.start, into, buffers.ys, buffers.status]);
      machine.dispatch(kernel, group, Math.ceil(batch * length * state / GUESS_LANES));
      this.#dispatch(this.#verdicts.begin!);
      if (this.job.keepIterates) this.#keep();
    }
    return "later";
  }

  sweep(): "done" | "later" {
    const { transition, maxSweeps } = this.job;
    const sequential = transition.kind === "sequential";
    for (const [i, { kernel, group }] of this.#sweepDispatches.entries()) {
      this.#machine.dispatch(kernel, group, { indirect: this.#grids!.arguments, offset: i * GRID_WORDS * WORD_BYTES });
    }
    this.#dispatch(this.#verdicts[sequential ? "conclude" : "judge"]!);
    this.#swept++;
    if (this.job.keepIterates) this.#keep();
    if (sequential || this.#swept === maxSweeps) this.#finish();
    return sequential ? "done" : "later";
  }

  measureError(kind: ErrorKind): void {
    const { transition, program, batch } = this.job;
    this.#measured = kind;
    if (transition.kind === "sequential") return;
    if (this.#errorPass === undefined) {
      const plan = stepPlan(program, errorTransition(program), kind);
      this.#errorPass = new Pass(
        this.#machine,
        plan,
        this.job,
        this.#buffers,
        kind,
        (words, label) => this.#region(words, label),
      );
    }
    const pass = this.#errorPass;
    pass.enter(this.#start, this.#length);
    pass.hoist();
    for (const recorded of pass.sweep) this.#dispatch(recorded);
    if (batch > 0) this.#dispatch(this.#verdicts.measured!);
  }

  async verdict(): Promise<Verdict> {
    const { batch, time, window, transition } = this.job;
    if (!this.#finished) this.#finish();
    const machine = this.#machine;
    const data = await machine.read(this.#buffers.status.buffer, 0, this.#statusBytes);
    const words = new Uint32Array(data, 0, batch * STATE_WORDS);
    const floats = new Float32Array(data, 0, batch * STATE_WORDS);
    const head = new Uint32Array(data, this.#headOffset, 1);
    const done = head[0]!;
    const residuals = Array.from(new Float32Array(data, this.#headOffset + HEAD_WORDS * WORD_BYTES, done));
    for (const extra of this.iterates.splice(done + 1)) this.#machine.pool.release(bufferOf(extra));
    const lastWindow = time - 1 - (time - 1) % window;
    const at = (b: number, field: keyof typeof STATE): number => words[b * STATE_WORDS + STATE[field]]!;
    const sequences = Array.from({ length: batch }, (_, b): SequenceVerdict => {
      const [status, sweeps] = [at(b, "status"), at(b, "sweeps")];
      if (status === STATUS.nonfinite) return { result: "nonfinite", sweeps, firstNonfinite: at(b, "failed") };
      return status === STATUS.converged
        ? { result: "successful", sweeps }
        : { result: "max-sweeps-reached", sweeps, unsolvedFrom: at(b, "unsolvedFrom") };
    });
    const errorBound = this.#measured && sequences.map((sequence, b) => {
      const lost = sequence.result === "nonfinite" || (sequence.unsolvedFrom ?? lastWindow) < lastWindow;
      const bound = transition.kind === "sequential" ? 0 : floats[b * STATE_WORDS + STATE.error]!;
      return lost || !Number.isFinite(bound) ? Infinity : bound;
    });
    const gpuMs = machine.profiles ? await machine.takeTimes() : undefined;
    return { sequences, residuals, ...(errorBound && { errorBound }), ...(gpuMs && { gpuMs }) };
  }

  /** Frees all but the answer and the iterates. */
  end(): void {
    this.#pass?.dispose();
    this.#errorPass?.dispose();
    for (const buffer of this.#owned.splice(0)) this.#machine.pool.release(buffer);
  }

  /** The window is done as far as it will be: blanks what has no answer, and hands the rows on. */
  #finish(): void {
    this.#finished = true;
    const { kernel, group } = this.#blank!;
    const offset = this.#sweepDispatches.length * GRID_WORDS * WORD_BYTES;
    this.#machine.dispatch(kernel, group, { indirect: this.#grids!.arguments, offset });
    if (!this.#staged) return;
    const { ys, time, program: { state } } = this.job;
    copyRows(
      this.#machine,
      this.#buffers.ys.buffer,
      0,
      this.#length,
      bufferOf(ys),
      this.#start,
      time,
      this.#length,
      state,
      this.job.batch,
    );
  }

  /** The dispatches that decide, and the grids that they decide about: those of the present window. */
  #prepareVerdicts(): void {
    const { batch, program: { state }, rule } = this.job;
    const machine = this.#machine;
    const [rows, t0] = [this.#length, this.#start];
    const info = machine.uniform(packInfo({ batch, rows, t0 }));
    const blank = emitBlank(state);
    const { status, ys } = this.#buffers;
    this.#blank = {
      kernel: blank,
      group: machine.bind(blank, [info, status, ys]),
      count: Math.ceil(batch * rows * state / GUESS_LANES),
    };
    const dispatches = [...this.#sweepDispatches, this.#blank];
    const folded = dispatches.flatMap(({ count }) => {
      const y = Math.max(1, Math.ceil(count / machine.limits.groups));
      return [Math.ceil(count / y), y, 1];
    });
    if (this.#grids === undefined) {
      const bytes = folded.length * WORD_BYTES;
      this.#grids = { arguments: this.#allocateIndirect(bytes), template: this.#allocate(bytes, "grids") };
    }
    machine.write(this.#grids.template, Uint32Array.from(folded));
    const uniform = machine.uniform(packRule({
      batch,
      rows,
      t0,
      grids: this.#sweepDispatches.length,
      failureGrids: 1,
      affine: rule.affine,
      newton: rule.newton,
      floor: rule.floor,
      share: rule.share,
      epsilon: rule.epsilon,
      huge: HUGE,
    }));
    const head = { buffer: status.buffer, offset: this.#headOffset, size: this.#statusBytes - this.#headOffset };
    const bytes = folded.length * WORD_BYTES;
    const regions = [uniform, status, head, { buffer: this.#grids.arguments, size: bytes }, {
      buffer: this.#grids.template,
      size: bytes,
    }];
    for (const mode of ["enter", "begin", "judge", "conclude", "measured"] as const) {
      const kernel = emitVerdict(mode);
      this.#verdicts[mode] = { kernel, group: machine.bind(kernel, regions), count: 1 };
    }
  }

  #dispatch({ kernel, group, count }: Recorded): void {
    this.#machine.dispatch(kernel, group, count);
  }

  #keep(): void {
    const { batch, window, program: { state } } = this.job;
    const length = batch * window * state;
    const buffer = this.#machine.pool.allocate(length * WORD_BYTES, "an iterate");
    this.#machine.copy(this.#buffers.ys.buffer, 0, buffer, 0, length * WORD_BYTES);
    this.iterates.push({ dtype: "f32", length, buffer } as GpuMemory);
  }

  #allocate(bytes: number, label: string): GPUBuffer {
    const buffer = this.#machine.pool.allocate(bytes, label);
    this.#owned.push(buffer);
    return buffer;
  }

  #allocateIndirect(bytes: number): GPUBuffer {
    const buffer = this.#machine.pool.allocate(bytes, "arguments of dispatches", true);
    this.#owned.push(buffer);
    return buffer;
  }

  #region(words: number, label: string): Region {
    const size = Math.max(WORD_BYTES, words * WORD_BYTES);
    if (size > this.#machine.limits.bindingBytes) {
      throw new DeviceError(
        `Cannot solve on this device: ${label} would take ${size} bytes, and a binding at most ` +
          `${this.#machine.limits.bindingBytes}; solve fewer sequences at a time`,
      );
    }
    return { buffer: this.#allocate(size, label), size };
  }
}
