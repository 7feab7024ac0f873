import { packScanParams, type ScanElements } from "../../../kernels/scan_elements.ts";
import type { Machine, Region } from "./machine.ts";
import { type Operand, operandOf, WORD_BYTES } from "./memory.ts";
import { scanForm, type ScanKernel } from "./scan_forms.ts";
import { planSpine, type ScanLevel } from "./scan_plan.ts";
import type { Recorded } from "./window.ts";

/** Affine maps of the chunks of each sequence, in order. */
export interface SpineSpec {
  readonly batch: number;
  readonly chunks: number;
  /** n of the n × n matrices. */
  readonly size: number;
}

/**
 * The state before each chunk from the maps of the chunks, `(B, K, n² + n)` words: the vectors become those states. The
 * scan one level up, over maps that something else than a scan has reduced.
 */
export class Spine {
  readonly dispatches: readonly Recorded[];
  readonly #machine: Machine;
  readonly #owned: GPUBuffer[] = [];

  constructor(machine: Machine, { batch, chunks, size }: SpineSpec, aggregates: Region, start: Region | null) {
    this.#machine = machine;
    const elements: ScanElements = { sink: "update", matrix: "full", size, layout: "contiguous", reverse: false };
    const kernels = scanForm(size <= 4 ? "lanes" : "tile", elements);
    const levels = planSpine(chunks);
    const memory = levels.map(({ rows }, i): Operand => {
      const words = batch * rows * kernels.words;
      if (i === 0) return operandOf(machine, aggregates, words, "the maps of chunks");
      const buffer = machine.pool.allocate(words * WORD_BYTES, "the maps of chunks of chunks");
      this.#owned.push(buffer);
      return operandOf(machine, { buffer }, words, "the maps of chunks of chunks");
    });
    const before = start === null ? undefined : operandOf(machine, start, batch * size, "the start of a scan");
    const dispatches: Recorded[] = [];
    const add = ({ kernel, arrays, perGroup }: ScanKernel, i: number): void => {
      const { rows, chunks, chunkRows }: ScanLevel = levels[i]!;
      const named: Readonly<Record<string, Operand | undefined>> = {
        LOWER: memory[i],
        AGG: memory[i + 1],
        START: before,
      };
      const params = { batch, units: 1, stride: rows, rows, chunks, chunkRows, startBase: before?.base ?? 0 };
      const regions = arrays.map((name) => named[name]!.region);
      const group = machine.bind(kernel, [machine.uniform(packScanParams(params)), ...regions]);
      dispatches.push({ kernel, group, count: Math.ceil(batch * chunks / perGroup) });
    };
    const last = levels.length - 1;
    for (let i = 0; i < last; i++) add(kernels.reduceSpine(), i);
    for (let i = last; i >= 0; i--) {
      add(kernels.applySpine(i < last ? "aggregates" : before === undefined ? "zeros" : "vector"), i);
    }
    this.dispatches = dispatches;
  }

  dispose(): void {
    for (const buffer of this.#owned.splice(0)) this.#machine.pool.release(buffer);
  }
}
