import type { Kernel } from "../../../kernels/kernel.ts";
import { STATE, STATE_WORDS, STATUS } from "../../../kernels/sequence.ts";
import { emitVerdict, HEAD_WORDS, packRule, type VerdictMode } from "../../../kernels/verdict.ts";
import type { SequenceVerdict, SweepJob } from "../engine.ts";
import { HUGE } from "../verdict.ts";
import type { Machine, Region } from "./machine.ts";
import { BINDING_STEP, WORD_BYTES } from "./memory.ts";
import { unreadWords } from "./unread.ts";
import type { Recorded } from "./window.ts";

/** Words of the arguments of a dispatch. */
const GRID_WORDS = 3;
/** About the largest number in f32. */
const LARGEST = 3e38;
const MODES = ["enter", "begin", "judge", "conclude", "abandon", "measured"] as const satisfies readonly VerdictMode[];

/** What a status says of all sequences. */
export interface Status {
  readonly sequences: readonly SequenceVerdict[];
  readonly residuals: readonly number[];
  /** How many are running. */
  readonly running: number;
  /** The largest |e| of the last error scan. */
  readonly errors: readonly number[];
}

/**
 * What the GPU knows of a solve, and decides by: the state of every sequence, the residuals so far, and the arguments of
 * the dispatches to come, which are zero when there is nothing left to do.
 */
export class Control {
  /** The state words of the sequences. */
  readonly status: Region;
  readonly #machine: Machine;
  readonly #job: SweepJob;
  readonly #buffer: GPUBuffer;
  readonly #headOffset: number;
  readonly #bytes: number;
  readonly #kernels: readonly (readonly [VerdictMode, Kernel])[] = MODES.map((mode) => [mode, emitVerdict(mode)]);
  #arguments: GPUBuffer | undefined;
  #template: GPUBuffer | undefined;
  #verdicts: Partial<Record<VerdictMode, Recorded>> = {};
  #sweep: readonly Recorded[] = [];
  #afterFailure: Recorded | undefined;
  /** What was read since the last decision. */
  #known: Status | undefined;

  constructor(machine: Machine, job: SweepJob) {
    this.#machine = machine;
    this.#job = job;
    const { batch, time, window, maxSweeps, transition } = job;
    const sweeps = transition.kind === "sequential" ? 0 : Math.ceil(time / window) * maxSweeps;
    const stateBytes = batch * STATE_WORDS * WORD_BYTES;
    this.#headOffset = BINDING_STEP * Math.ceil(stateBytes / BINDING_STEP);
    this.#bytes = this.#headOffset + (HEAD_WORDS + sweeps) * WORD_BYTES;
    this.#buffer = machine.pool.allocate(this.#bytes, "status");
    machine.clear(this.#buffer, 0, this.#bytes);
    this.status = { buffer: this.#buffer, size: stateBytes };
  }

  /** Prepares a window: the dispatches of a sweep, and the one for sequences that failed. */
  enter(t0: number, rows: number, sweep: readonly Recorded[], afterFailure: Recorded): void {
    const machine = this.#machine;
    const { batch, rule, strict } = this.#job;
    this.#sweep = sweep;
    this.#afterFailure = afterFailure;
    const folded = [...sweep, afterFailure].flatMap(({ count }) => {
      const y = Math.max(1, Math.ceil(count / machine.limits.groups));
      return [Math.ceil(count / y), y, 1];
    });
    const bytes = folded.length * WORD_BYTES;
    // Windows of equal length have the same grids; the last one may need fewer dispatches, never more.
    this.#arguments ??= machine.pool.allocate(bytes, "arguments of dispatches", true);
    this.#template ??= machine.pool.allocate(bytes, "grids");
    machine.write(this.#template, Uint32Array.from(folded));
    const { affine, newton, floor, share, epsilon } = rule;
    // What is affine and starts from zeros may grow as far as numbers go.
    const huge = strict === true && affine ? LARGEST : HUGE;
    const numbers = { batch, rows, t0, grids: sweep.length, failureGrids: 1 };
    const uniform = machine.uniform(packRule({ ...numbers, affine, newton, floor, share, epsilon, huge }));
    const regions = [
      uniform,
      this.status,
      { buffer: this.#buffer, offset: this.#headOffset, size: this.#bytes - this.#headOffset },
      { buffer: this.#arguments, size: bytes },
      { buffer: this.#template, size: bytes },
    ];
    for (const [mode, kernel] of this.#kernels) {
      this.#verdicts[mode] = { kernel, group: machine.bind(kernel, regions), count: 1 };
    }
  }

  decide(mode: VerdictMode): void {
    this.#known = undefined;
    const { kernel, group, count } = this.#verdicts[mode]!;
    this.#machine.dispatch(kernel, group, count);
  }

  /** One sweep, empty if no sequence is running. */
  sweep(): void {
    this.#sweep.forEach((recorded, i) => this.#dispatch(recorded, i));
  }

  /** What is to be done for sequences that failed, empty if none did. */
  afterFailure(): void {
    this.#dispatch(this.#afterFailure!, this.#sweep.length);
  }

  /** Waits; at once if nothing was decided since. */
  async read(): Promise<Status> {
    return this.#known ??= await this.#read();
  }

  async #read(): Promise<Status> {
    const data = await this.#machine.read(this.#buffer, 0, this.#bytes);
    return statusIn(data, this.#job.batch, this.#headOffset);
  }

  /** Frees everything, and answers with what reads the status later, once. */
  close(): () => Promise<Status> {
    const words = unreadWords(this.#machine).keep(this.#buffer, this.#bytes);
    this.dispose();
    const [{ batch }, offset] = [this.#job, this.#headOffset];
    return async () => statusIn(await words(), batch, offset);
  }

  dispose(): void {
    for (const buffer of [this.#buffer, this.#arguments, this.#template]) {
      if (buffer !== undefined) this.#machine.pool.release(buffer);
    }
  }

  #dispatch({ kernel, group }: Recorded, i: number): void {
    this.#machine.dispatch(kernel, group, { indirect: this.#arguments!, offset: i * GRID_WORDS * WORD_BYTES });
  }
}

function statusIn(data: ArrayBuffer, batch: number, headOffset: number): Status {
  const words = new Uint32Array(data, 0, batch * STATE_WORDS);
  const floats = new Float32Array(data, 0, batch * STATE_WORDS);
  const [done] = new Uint32Array(data, headOffset, 1);
  const at = (b: number, field: keyof typeof STATE): number => words[b * STATE_WORDS + STATE[field]]!;
  const sequences = Array.from({ length: batch }, (_, b): SequenceVerdict => {
    const [status, sweeps] = [at(b, "status"), at(b, "sweeps")];
    if (status === STATUS.nonfinite) return { result: "nonfinite", sweeps, firstNonfinite: at(b, "failed") };
    return status === STATUS.converged
      ? { result: "successful", sweeps }
      : { result: "max-sweeps-reached", sweeps, unsolvedFrom: at(b, "unsolvedFrom") };
  });
  return {
    sequences,
    running: sequences.filter((_, b) => at(b, "status") === STATUS.running).length,
    residuals: Array.from(new Float32Array(data, headOffset + HEAD_WORDS * WORD_BYTES, done)),
    errors: sequences.map((_, b) => floats[b * STATE_WORDS + STATE.error]!),
  };
}
