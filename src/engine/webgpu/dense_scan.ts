import { denseWords } from "../../../kernels/dense.ts";
import { packInfo } from "../../../kernels/traced.ts";
import { type DensePlan, denseSpine, planChunks } from "./dense_plan.ts";
import type { Machine, Region } from "./machine.ts";
import { BINDING_STEP, operandOf, WORD_BYTES } from "./memory.ts";
import { Spine } from "./spine.ts";
import type { Recorded } from "./window.ts";

/** What a window of it works on. */
export interface DenseSizes {
  readonly batch: number;
  readonly rows: number;
  readonly state: number;
}

/** The scan of a sweep over matrices that are evaluated in place, for windows of one length. */
export class DenseScan {
  readonly #machine: Machine;
  readonly #plan: DensePlan;
  readonly #sizes: DenseSizes;
  readonly #chunk: number;
  readonly #chunks: number;
  /** Maps of chunks, and behind them, from word `second` on, the last row of each; none of a single chunk. */
  readonly #maps: Region | undefined;
  readonly #second: number;
  readonly #spine: Spine | undefined;

  constructor(machine: Machine, plan: DensePlan, sizes: DenseSizes, carry: Region | null) {
    this.#machine = machine;
    this.#plan = plan;
    this.#sizes = sizes;
    const { batch, rows, state } = sizes;
    const { units } = plan;
    this.#chunk = planChunks(plan, batch, rows, state);
    const chunks = this.#chunks = Math.ceil(rows / this.#chunk);
    const words = batch * chunks * units * denseWords(state / units);
    const step = BINDING_STEP / WORD_BYTES;
    this.#second = step * Math.ceil(words / step);
    if (chunks === 1) return;
    const size = (this.#second + batch * chunks * state) * WORD_BYTES;
    const buffer = machine.pool.allocate(size, "maps of chunks");
    this.#maps = { buffer, size };
    this.#spine = new Spine(
      machine,
      { batch, chunks, units, kernels: denseSpine(state / units) },
      operandOf(machine, { buffer }, words, "the maps of chunks"),
      carry === null ? undefined : operandOf(machine, carry, batch * state, "the carried error"),
    );
  }

  /** One sweep: `traced` are the regions that every traced kernel reads, `arrays` the others by name. */
  dispatches(
    { t0, atol, rtol }: { readonly t0: number; readonly atol: number; readonly rtol: number },
    traced: readonly Region[],
    arrays: Readonly<Record<string, Region | null>>,
  ): Recorded[] {
    const { batch, rows } = this.#sizes;
    const { reduce, single, apply, units, perGroup } = this.#plan;
    const [chunk, chunks, second] = [this.#chunk, this.#chunks, this.#second];
    const info = this.#machine.uniform(packInfo({ batch, rows, t0, chunk, chunks, second, atol, rtol }));
    const record = ({ kernel, arrays: names }: DensePlan["reduce"]): Recorded => {
      const own = names.map((name) => name === "AGG" ? this.#maps! : arrays[name]!);
      const group = this.#machine.bind(kernel, [info, ...traced, ...own]);
      return { kernel, group, count: Math.ceil(batch * chunks * units / perGroup) };
    };
    if (this.#spine === undefined) return [record(single)];
    return [record(reduce), ...this.#spine.dispatches, record(apply)];
  }

  dispose(): void {
    this.#spine?.dispose();
    if (this.#maps !== undefined) this.#machine.pool.release(this.#maps.buffer);
  }
}
