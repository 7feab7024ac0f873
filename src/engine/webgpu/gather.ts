import { GATHER_KERNEL, GATHER_LANES } from "../../../kernels/gather.ts";
import { SEGMENT_CHUNK, SEGMENT_LANES, segmentKernel } from "../../../kernels/segments.ts";
import type { GatherJob, ScatterAddJob } from "../engine.ts";
import { recordFill, withBuffer } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import { bufferOf, type Operand, operandOf, regionAt, wordsPerBinding } from "./memory.ts";
import { withSorted } from "./sort.ts";

const IN_ORDER = segmentKernel(true);
const IN_PLACE = segmentKernel(false);
/** Indices that are sorted at a time: what the kernels of a sort plan their turns for. */
const MOST_KEYS = 2 ** 24;

/** `out[n, i] = table[indices[n], i]`, in parts of indices where arrays exceed a binding. */
export function recordGather(machine: Machine, { table, indices, out, rows, width, count }: GatherJob): void {
  if (count * width === 0) return;
  const source = operandOf(machine, { buffer: bufferOf(table) }, rows * width, "a table");
  const most = Math.max(1, Math.floor(wordsPerBinding(machine) / width));
  for (let n = 0; n < count; n += most) {
    const part = Math.min(most, count - n);
    const index = operandOf(machine, regionAt(bufferOf(indices), n), part, "indices");
    const to = operandOf(machine, regionAt(bufferOf(out), n * width), part * width, "rows of a table");
    const uniform = machine.uniform(Uint32Array.of(part, width, rows, index.base, source.base, to.base));
    const group = machine.bind(GATHER_KERNEL, [uniform, index.region, source.region, to.region]);
    machine.dispatch(GATHER_KERNEL, group, Math.ceil(part * width / GATHER_LANES));
  }
}

/** `out[r, i] = Σ from[n, i]` over the n with `indices[n] = r`: indices are sorted, then rows of equal ones summed. */
export function recordScatterAdd(machine: Machine, job: ScatterAddJob): void {
  const { from, indices, out, rows, width, count } = job;
  const words = rows * width;
  if (words === 0) return;
  const most = Math.max(1, Math.min(MOST_KEYS, Math.floor(wordsPerBinding(machine) / width)));
  const to = operandOf(machine, { buffer: bufferOf(out) }, words, "a table");
  recordFill(machine, bufferOf(out), 0, words, 0);
  for (let first = 0; first < count; first += most) {
    const length = Math.min(most, count - first);
    const keys = operandOf(machine, regionAt(bufferOf(indices), first), length, "indices");
    const values = operandOf(machine, regionAt(bufferOf(from), first * width), length * width, "rows to add");
    withSorted(machine, keys, length, rows, ({ keys, order }) => {
      sumSegments(machine, { keys, order, values, to, count: length, width, rows });
    });
  }
}

/** Rows with keys in rising order, and the table that their sums are added to. */
interface Segments {
  readonly keys: GPUBuffer;
  /** Null: entries are the rows in order. */
  readonly order: GPUBuffer | null;
  readonly values: Operand;
  readonly to: Operand;
  readonly count: number;
  readonly width: number;
  readonly rows: number;
}

function sumSegments(machine: Machine, segments: Segments): void {
  const { keys, order, values, to, count, width, rows } = segments;
  const kernel = order === null ? IN_PLACE : IN_ORDER;
  const chunks = Math.ceil(count / SEGMENT_CHUNK);
  withBuffer(machine, 2 * chunks * width, "partial sums of rows", (parts) => {
    withBuffer(machine, 2 * chunks, "keys of partial sums", (partKeys) => {
      const group = machine.bind(kernel, [
        machine.uniform(Uint32Array.of(count, width, rows, values.base)),
        { buffer: keys },
        ...(order === null ? [] : [{ buffer: order }]),
        values.region,
        to.region,
        { buffer: parts },
        { buffer: partKeys },
      ]);
      machine.dispatch(kernel, group, Math.ceil(chunks * width / SEGMENT_LANES));
      if (chunks === 1) return;
      const next = { region: { buffer: parts }, base: 0 };
      sumSegments(machine, { ...segments, keys: partKeys, order: null, values: next, count: 2 * chunks });
    });
  });
}
