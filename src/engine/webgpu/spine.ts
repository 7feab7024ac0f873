import { packScanParams } from "../../../kernels/scan_elements.ts";
import type { Machine } from "./machine.ts";
import { type Operand, operandOf, WORD_BYTES } from "./memory.ts";
import type { ScanForm, ScanKernel } from "./scan_forms.ts";
import { planSpine } from "./scan_plan.ts";
import type { Recorded } from "./window.ts";

/** Affine maps of the chunks of each sequence, in order. */
export interface SpineSpec {
  readonly batch: number;
  /** More than one. */
  readonly chunks: number;
  readonly units: number;
  readonly kernels: Pick<ScanForm, "words" | "reduceSpine" | "applySpine">;
}

/**
 * The state before each chunk, from the maps of the chunks, in their place: the scan one level up, of chunks of chunks
 * where there are many.
 */
export class Spine {
  readonly dispatches: readonly Recorded[];
  readonly #machine: Machine;
  readonly #owned: GPUBuffer[] = [];

  constructor(machine: Machine, spec: SpineSpec, aggregates: Operand, start: Operand | undefined) {
    this.#machine = machine;
    const { batch, units, kernels } = spec;
    const levels = planSpine(spec.chunks);
    const memory = levels.map(({ rows }, i): Operand => {
      if (i === 0) return aggregates;
      const words = batch * rows * units * kernels.words;
      const buffer = machine.pool.allocate(words * WORD_BYTES, "maps of chunks of chunks");
      this.#owned.push(buffer);
      return operandOf(machine, { buffer }, words, "the maps of chunks of chunks");
    });
    const dispatches: Recorded[] = [];
    const add = ({ kernel, arrays, perGroup }: ScanKernel, i: number): void => {
      const { rows, chunks, chunkRows } = levels[i]!;
      const named: Readonly<Record<string, Operand | undefined>> = {
        LOWER: memory[i],
        AGG: memory[i + 1],
        START: start,
      };
      const params = { batch, units, stride: rows, rows, chunks, chunkRows, startBase: start?.base ?? 0 };
      const group = machine.bind(kernel, [
        machine.uniform(packScanParams(params)),
        ...arrays.map((name) => named[name]!.region),
      ]);
      dispatches.push({ kernel, group, count: Math.ceil(batch * chunks * units / perGroup) });
    };
    const last = levels.length - 1;
    for (let i = 0; i < last; i++) add(kernels.reduceSpine(), i);
    for (let i = last; i >= 0; i--) {
      add(kernels.applySpine(i < last ? "aggregates" : start === undefined ? "zeros" : "vector"), i);
    }
    this.dispatches = dispatches;
  }

  dispose(): void {
    for (const buffer of this.#owned.splice(0)) this.#machine.pool.release(buffer);
  }
}
