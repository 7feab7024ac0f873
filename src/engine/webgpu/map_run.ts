import { MAP_LANES, packMapInfo } from "../../../kernels/map.ts";
import { LANE_ROWS } from "../../../kernels/rows.ts";
import type { MapJob } from "../engine.ts";
import { recordCopy } from "./arrays.ts";
import { STORAGE_GROUPS, tileParts } from "./evaluation_dispatch.ts";
import type { Machine, Region } from "./machine.ts";
import type { MapKernel } from "./map_code.ts";
import type { Slot } from "./map_layout.ts";
import type { MapPlan, ProductStep } from "./map_plan.ts";
import { type MapPart, partsOf, type RowRange, rowsRead } from "./map_parts.ts";
import type { MapVariant } from "./map_variant.ts";
import { bufferOf, floatsIn, type Operand, operandOf, regionAt, WORD_BYTES, wordsPerBinding } from "./memory.ts";
import { recordProduct } from "./products.ts";

/** Memory that holds some rows of an array, from row `first` on at `region`. */
interface Held {
  readonly region: Region;
  readonly first: number;
}

/** One call of a map: its memory, and the work that it records. */
export class MapRun {
  readonly #machine: Machine;
  readonly #job: MapJob;
  readonly #plan: MapPlan;
  readonly #variant: MapVariant;
  /** Of the whole call, and of the present part of the rows. */
  readonly #owned: GPUBuffer[] = [];
  readonly #ofPart: GPUBuffer[] = [];
  readonly #arrays = new Map<number, Held>();
  readonly #packs = new Map<Slot, Held>();

  constructor(machine: Machine, job: MapJob, plan: MapPlan, variant: MapVariant) {
    this.#machine = machine;
    this.#job = job;
    this.#plan = plan;
    this.#variant = variant;
  }

  /** Records all work. */
  record(): void {
    const { constants, constantArray, sharedArray, arrays } = this.#plan;
    if (constants.words > 0) {
      const { buffer } = this.#allocate(this.#owned, constants.words, "constants");
      this.#machine.write(buffer, constants.pack());
      this.#arrays.set(constantArray, { region: { buffer }, first: 0 });
    }
    if (this.#variant.shared.length > 0) {
      const region = this.#allocate(this.#owned, arrays[sharedArray]!.size, "values from parameters");
      this.#arrays.set(sharedArray, { region, first: 0 });
      const once = { batch: 1, time: 1, firstBatch: 0, firstRow: 0 };
      for (const kernel of this.#variant.shared) this.#evaluate(kernel, once);
    }
    for (const part of partsOf(this.#plan, this.#variant, this.#job, wordsPerBinding(this.#machine))) {
      for (const step of this.#variant.steps) {
        if ("kind" in step) this.#multiply(step, part);
        else step.forEach((kernel) => this.#evaluate(kernel, part));
      }
      this.#endPart();
    }
  }

  /** Gives its memory back; what was recorded may still use it. */
  free(): void {
    this.#endPart();
    for (const buffer of this.#owned.splice(0)) this.#machine.pool.release(buffer);
  }

  #endPart(): void {
    for (const buffer of this.#ofPart.splice(0)) this.#machine.pool.release(buffer);
    this.#packs.clear();
    this.#plan.arrays.forEach(({ source }, k) => source.from === "made" && this.#arrays.delete(k));
  }

  #allocate(owner: GPUBuffer[], words: number, label: string): Region {
    const buffer = this.#machine.pool.allocate(Math.max(1, words) * WORD_BYTES, label);
    owner.push(buffer);
    return { buffer };
  }

  /** The memory of an array; what a kernel makes for others is allocated when it is first asked for. */
  #held(array: number, part: MapPart): Held {
    const known = this.#arrays.get(array);
    if (known !== undefined) return known;
    const { source, size } = this.#plan.arrays[array]!;
    const { params, inputs, outputs } = this.#job;
    switch (source.from) {
      case "parameter":
        return { region: { buffer: bufferOf(params[source.index]!) }, first: 0 };
      case "input":
        return { region: { buffer: bufferOf(inputs[source.index]!.memory) }, first: 0 };
      case "start":
        return { region: { buffer: bufferOf(inputs[source.index]!.start!) }, first: 0 };
      case "output":
        return { region: { buffer: bufferOf(outputs[source.index]!) }, first: 0 };
      default: {
        const { first, end } = this.#range([array], part);
        const region = this.#allocate(this.#ofPart, (end - first) * size, `${source.from} values`);
        const held = { region, first };
        this.#arrays.set(array, held);
        return held;
      }
    }
  }

  /** The rows of arrays of one kind that a part reads. */
  #range(members: readonly number[], part: MapPart): RowRange {
    return rowsRead(members.map((array) => this.#plan.arrays[array]!), part, this.#job.time);
  }

  /** The words of the rows of an array from `first` on. */
  #rowsAt({ region: { buffer, offset = 0 }, first }: Held, row: number, width: number): Region {
    return { buffer, offset: offset + (row - first) * width * WORD_BYTES };
  }

  /** A slot as a kernel binds it: with the word of row 0 of the part. */
  #operand(slot: Slot, part: MapPart): Operand {
    const { kind, members } = slot;
    const width = slot.width === 0 ? this.#plan.constants.words : slot.width;
    const range = this.#range(members.map(({ array }) => array), part);
    const held = slot.packed ? this.#pack(slot, part, range) : this.#held(members[0]!.array, part);
    const { first, end } = range;
    const what = `rows of "${this.#plan.program.name}"`;
    const { region, base } = operandOf(this.#machine, this.#rowsAt(held, first, width), (end - first) * width, what);
    return {
      region,
      base: kind === "step" ? base + (part.firstBatch * this.#job.time + part.firstRow - first) * width : base,
    };
  }

  /** Copies the members of a slot side by side. */
  #pack(slot: Slot, part: MapPart, { first, end }: RowRange): Held {
    const known = this.#packs.get(slot);
    if (known !== undefined) return known;
    const region = this.#allocate(this.#ofPart, (end - first) * slot.width, "inputs side by side");
    const to = floatsIn(region.buffer, (end - first) * slot.width);
    for (const offset of new Set(slot.members.map(({ offset }) => offset))) {
      const same = slot.members.filter((member) => member.offset === offset).map(({ array }) => array);
      const { size } = this.#plan.arrays[same[0]!]!;
      const held = this.#held(same[0]!, part);
      const range = this.#range(same, part);
      const from = floatsIn(held.region.buffer, (range.end - held.first) * size);
      recordCopy(this.#machine, from, to, {
        fromStart: (range.first - held.first) * size,
        fromStride: size,
        toStart: (range.first - first) * slot.width + offset,
        toStride: slot.width,
        width: size,
        rows: range.end - range.first,
      });
    }
    const held = { region, first };
    this.#packs.set(slot, held);
    return held;
  }

  #multiply({ matrix, form, inner, columns, ways }: ProductStep, part: MapPart): void {
    const b = this.#held(matrix.array, part).region;
    for (const { from, to } of ways) {
      const { size } = this.#plan.arrays[from]!;
      const { first, end } = this.#range([from], part);
      recordProduct(this.#machine, {
        a: this.#rowsAt(this.#held(from, part), first, size),
        b: regionAt(b.buffer, matrix.offset),
        out: this.#rowsAt(this.#held(to, part), first, this.#plan.arrays[to]!.size),
        // Rows outside of a sequence, side by side, are rows too.
        rows: (end - first) * size / inner,
        inner,
        columns,
        form,
      });
    }
  }

  #evaluate({ spec, kernel, slots, outputs, turns }: MapKernel, part: MapPart): void {
    const machine = this.#machine;
    const rows = part.batch * part.time;
    const read = slots.map((slot) => this.#operand(slot, part));
    const written = outputs.map((array, k): Operand => {
      const width = spec.outputs[k]!;
      const { first, end } = this.#range([array], part);
      return operandOf(
        machine,
        this.#rowsAt(this.#held(array, part), first, width),
        (end - first) * width,
        "an output",
      );
    });
    const regions = [...read, ...written].map(({ region }) => region);
    const info = {
      rows,
      span: part.time,
      t0: part.firstRow,
      time: this.#job.time,
      arrays: read.map(({ base }) => base),
      outputs: written.map(({ base }) => base),
    };
    const dispatch = (first: number, count: number, groups: number): void => {
      const uniform = machine.uniform(packMapInfo({ ...info, first, count }));
      machine.dispatch(kernel, machine.bind(kernel, [uniform, ...regions]), groups);
    };
    if ("elements" in spec.form) return dispatch(0, 1, Math.ceil(rows * spec.form.elements / MAP_LANES));
    const { tile } = spec.form;
    if (tile === null) return dispatch(0, 1, Math.ceil(rows / LANE_ROWS));
    const tiles = Math.ceil(rows / tile.rows);
    let most = tiles;
    if (tile.scratch === "storage") {
      most = Math.max(1, Math.min(STORAGE_GROUPS, tiles, Math.floor(wordsPerBinding(machine) / spec.code.scratch)));
      regions.push(this.#allocate(this.#ofPart, most * spec.code.scratch, "scratch"));
    }
    for (const { first, count, groups } of tileParts(tile, tiles, turns, most)) dispatch(first, count, groups);
  }
}
