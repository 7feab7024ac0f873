import {
  chunkWords,
  packTrustParams,
  TRUST_WORDS,
  type TrustKernel,
  type TrustParams,
} from "../../../kernels/trust.ts";
import { RULE_LANES, SUM_LANES } from "../../../kernels/trust_rule.ts";
import { trustGroups } from "../../../kernels/trust_scan.ts";
import type { SweepJob } from "../engine.ts";
import { BALANCE, FIRST_DAMPING, NEAR } from "../trust.ts";
import type { Machine, Region } from "./machine.ts";
import { BINDING_STEP, WORD_BYTES } from "./memory.ts";
import { sumRows, trustChunkRows, trustClimb, type TrustPlan } from "./trust_plan.ts";
import type { Recorded } from "./window.ts";

/** What a window of it works on. */
export interface TrustArrays {
  /** f, and from word `second` on the entries of G. */
  readonly values: Region;
  readonly second: number;
  readonly ys: Region;
  readonly guess: Region;
  readonly status: Region;
}

type TrustJob = Pick<SweepJob, "batch" | "program" | "rule" | "transition">;

/** The scan of a damped sweep, for windows of one length. */
export class TrustScan {
  readonly #machine: Machine;
  readonly #plan: TrustPlan;
  readonly #job: TrustJob;
  readonly #rows: number;
  readonly #owned: GPUBuffer[] = [];
  readonly #chunkRows: number;
  readonly #chunks: number;
  /** Maps of chunks, none of a single one. */
  readonly #maps: Region | null;
  /** λ and what is known of it. */
  readonly #rule: Region;
  /** Three arrays of `#second` words: f as predicted, and the last two iterates; sums of parts. */
  readonly #kept: Region | null;
  readonly #second: number;
  readonly #sums: Region | null;
  readonly #parts: number;
  readonly #partRows: number;

  constructor(machine: Machine, plan: TrustPlan, job: TrustJob, rows: number) {
    [this.#machine, this.#plan, this.#job, this.#rows] = [machine, plan, job, rows];
    const { batch, program: { state } } = job;
    const { size, adaptive } = plan.spec;
    this.#chunkRows = trustChunkRows(plan, batch, rows, state);
    this.#chunks = Math.ceil(rows / this.#chunkRows);
    this.#partRows = sumRows(rows, state);
    this.#parts = Math.ceil(rows / this.#partRows);
    const step = BINDING_STEP / WORD_BYTES;
    this.#second = step * Math.ceil(batch * rows * state / step);
    const allocate = (words: number, label: string): Region => {
      const bytes = words * WORD_BYTES;
      const buffer = machine.pool.allocate(bytes, label);
      this.#owned.push(buffer);
      return { buffer, size: bytes };
    };
    this.#rule = allocate(batch * TRUST_WORDS, "dampings");
    this.#maps = this.#chunks === 1
      ? null
      : allocate(batch * this.#chunks * (state / size) * chunkWords(size), "maps of chunks");
    this.#kept = adaptive ? allocate(3 * this.#second, "predictions, and the iterates before") : null;
    this.#sums = adaptive ? allocate(batch * this.#parts * 3, "sums of parts") : null;
  }

  /** Every sequence starts anew. */
  enter(): void {
    const { batch, transition: { trust } } = this.#job;
    const { damping } = trust!;
    const words = new Float32Array(batch * TRUST_WORDS);
    for (let b = 0; b < batch; b++) words[b * TRUST_WORDS] = damping === "adaptive" ? FIRST_DAMPING : damping;
    this.#machine.write(this.#rule.buffer, words);
  }

  /** One sweep, after the evaluation. */
  dispatches({ values, second, ys, guess, status }: TrustArrays): Recorded[] {
    const { batch, program: { state }, rule: { atol, rtol, floor }, transition: { trust } } = this.#job;
    const { reduce, spine, single, apply, adaptive, spec } = this.#plan;
    const [units, chunks] = [state / spec.size, this.#chunks];
    const base: TrustParams = {
      ...{ batch, rows: this.#rows, units, size: spec.size, chunks, chunkRows: this.#chunkRows, second: this.#second },
      ...{ parts: this.#parts, partRows: this.#partRows, atol, rtol },
      balance: trust!.whole ? BALANCE.whole : BALANCE.part,
      near: trust!.whole ? -1 : NEAR * floor,
    };
    const regions: Readonly<Record<string, Region | null>> = {
      F: values,
      A: { buffer: values.buffer, offset: second * WORD_BYTES },
      Y: ys,
      S: status,
      GUESS: guess,
      T: this.#rule,
      K: this.#kept,
      AGG: this.#maps,
      PARTS: this.#sums,
    };
    const record = (kernel: TrustKernel, count: number, range: TrustParams = {}): Recorded => {
      const uniform = this.#machine.uniform(packTrustParams({ ...base, ...range }));
      const group = this.#machine.bind(kernel, [uniform, ...kernel.arrays.map((name) => regions[name]!)]);
      return { kernel, group, count };
    };
    const groups = trustGroups(spec, batch * chunks * units);
    const before = adaptive === null ? [] : [record(adaptive.sums, batch * this.#parts)];
    const after = adaptive === null ? [] : [
      record(adaptive.weigh, Math.ceil(batch / RULE_LANES)),
      record(adaptive.restore, Math.ceil(batch * this.#rows * state / SUM_LANES)),
    ];
    if (chunks === 1) return [...before, record(single, groups), ...after];
    const most = trustClimb(this.#plan);
    const climbs: Recorded[] = [];
    for (let first = 0; first < chunks; first += most) {
      climbs.push(record(spine, trustGroups(spec, batch * units), { first, count: most }));
    }
    return [...before, record(reduce, groups), ...climbs, record(apply, groups), ...after];
  }

  dispose(): void {
    for (const buffer of this.#owned.splice(0)) this.#machine.pool.release(buffer);
  }
}
