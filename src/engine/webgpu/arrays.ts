import { COPY_KERNEL, COPY_LANES, FILL_KERNEL } from "../../../kernels/copy.ts";
import { MAX_TURNS } from "../../../kernels/kernel.ts";
import { REDUCE_LANES, reduceKernel, type ReduceOp } from "../../../kernels/reduce.ts";
import type { CopyRows, Memory, ReduceJob } from "../engine.ts";
import type { Machine, Region } from "./machine.ts";
import { bufferOf, operandOf, regionAt, WORD_BYTES, wordsPerBinding } from "./memory.ts";

const REDUCE_KERNELS = {
  sum: reduceKernel("sum"),
  max: reduceKernel("max"),
  "max-abs": reduceKernel("max-abs"),
} as const;

/** Copies of buffers are cheaper than a dispatch for so few rows. */
const FEW_ROWS = 8;
/** Invocations that keep a large GPU busy, and the least rows for one of them. */
const WANTED_LANES = 65536;
const LEAST_ROWS = 64;

const SUM_BITS = 0;
const MINUS_INFINITY_BITS = 0xff800000;

/** Writes one word everywhere in a range. */
export function recordFill(machine: Machine, buffer: GPUBuffer, word: number, words: number, bits: number): void {
  if (bits === 0) return machine.clear(buffer, word * WORD_BYTES, words * WORD_BYTES);
  const most = wordsPerBinding(machine);
  for (let done = 0; done < words; done += most) {
    const count = Math.min(most, words - done);
    const { region, base } = operandOf(machine, regionAt(buffer, word + done), count, "an array");
    const group = machine.bind(FILL_KERNEL, [machine.uniform(Uint32Array.of(base, count, bits)), region]);
    machine.dispatch(FILL_KERNEL, group, Math.ceil(count / COPY_LANES));
  }
}

/** Copies rows; also within one array, where all are read before any is written. */
export function recordCopy(machine: Machine, from: Memory, to: Memory, rows: CopyRows): void {
  const [source, target] = [bufferOf(from), bufferOf(to)];
  const { fromStart, fromStride, toStart, toStride, width } = rows;
  if (width * rows.rows === 0) return;
  if (source === target) {
    const between = { dtype: from.dtype, length: width * rows.rows };
    const buffer = machine.pool.allocate(between.length * WORD_BYTES, "a copy");
    const packed = { ...between, buffer };
    recordCopy(machine, from, packed, { ...rows, toStart: 0, toStride: width });
    recordCopy(machine, packed, to, { ...rows, fromStart: 0, fromStride: width });
    return machine.pool.release(buffer);
  }
  if (fromStride === width && toStride === width) {
    return copyRow(machine, source, fromStart, target, toStart, width * rows.rows);
  }
  const most = wordsPerBinding(machine);
  const stride = Math.max(Math.abs(fromStride), toStride, 1);
  // The span of n rows is (n - 1) stride + width.
  const atOnce = Math.floor((most - width) / stride) + 1;
  if (rows.rows <= FEW_ROWS || atOnce <= FEW_ROWS) {
    for (let r = 0; r < rows.rows; r++) {
      copyRow(machine, source, fromStart + r * fromStride, target, toStart + r * toStride, width);
    }
    return;
  }
  for (let done = 0; done < rows.rows; done += atOnce) {
    const count = Math.min(atOnce, rows.rows - done);
    const span = (stride: number): number => (count - 1) * Math.abs(stride) + width;
    // Rows that are read backward begin at the end of what is bound.
    const before = fromStride < 0 ? (count - 1) * -fromStride : 0;
    const first = fromStart + done * fromStride - before;
    const read = operandOf(machine, regionAt(source, first), span(fromStride), "an array");
    const write = operandOf(machine, regionAt(target, toStart + done * toStride), span(toStride), "an array");
    const uniform = machine.uniform(Uint32Array.of(width, count, read.base + before, fromStride, write.base, toStride));
    const group = machine.bind(COPY_KERNEL, [uniform, read.region, write.region]);
    machine.dispatch(COPY_KERNEL, group, Math.ceil(count * width / COPY_LANES));
  }
}

function copyRow(machine: Machine, from: GPUBuffer, word: number, to: GPUBuffer, toWord: number, words: number): void {
  machine.copy(from, word * WORD_BYTES, to, toWord * WORD_BYTES, words * WORD_BYTES);
}

/** Lends a buffer of the pool. */
export function withBuffer(machine: Machine, words: number, label: string, use: (buffer: GPUBuffer) => void): void {
  const buffer = machine.pool.allocate(words * WORD_BYTES, label);
  try {
    use(buffer);
  } finally {
    machine.pool.release(buffer);
  }
}

/** Chunks of one level of a reduction. */
function planReduce({ outer, length, inner }: Pick<ReduceJob, "outer" | "length" | "inner">): number {
  const wanted = Math.max(Math.ceil(WANTED_LANES / (outer * inner)), Math.ceil(length / MAX_TURNS));
  return length <= LEAST_ROWS ? 1 : Math.min(wanted, Math.ceil(length / LEAST_ROWS));
}

/** Chunks of each level of a reduction, from the elements up, and the most turns of an invocation. */
export function planReduction(shape: Pick<ReduceJob, "outer" | "length" | "inner">): {
  readonly chunks: readonly number[];
  readonly turns: number;
} {
  const chunks: number[] = [];
  let [length, turns] = [shape.length, 0];
  do {
    const next = planReduce({ ...shape, length });
    chunks.push(next);
    turns = Math.max(turns, Math.ceil(length / next));
    length = next;
  } while (length > 1);
  return { chunks, turns };
}

/** `out[o, i] = op over r of input[o, r, i]`, as a tree. */
export function recordReduce(machine: Machine, { op, input, out, outer, length, inner }: ReduceJob): void {
  if (outer * inner === 0) return;
  if (length === 0) {
    const bits = op === "max" ? MINUS_INFINITY_BITS : SUM_BITS;
    return recordFill(machine, bufferOf(out), 0, outer * inner, bits);
  }
  const most = wordsPerBinding(machine);
  const [source, target] = [bufferOf(input), bufferOf(out)];
  const atOnce = Math.floor(most / (length * inner));
  if (atOnce > 0) {
    for (let o = 0; o < outer; o += atOnce) {
      const shape = { op, outer: Math.min(atOnce, outer - o), length, inner };
      reduceRange(machine, shape, regionAt(source, o * length * inner), regionAt(target, o * inner));
    }
    return;
  }
  // Not even one fits: bands of rows, and their results once more.
  const band = Math.max(1, Math.floor(most / inner));
  const bands = Math.ceil(length / band);
  withBuffer(machine, bands * inner, "partial results", (partial) => {
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < bands; k++) {
        const shape = { op, outer: 1, length: Math.min(band, length - k * band), inner };
        reduceRange(machine, shape, regionAt(source, (o * length + k * band) * inner), regionAt(partial, k * inner));
      }
      reduceRange(machine, { op, outer: 1, length: bands, inner }, { buffer: partial }, regionAt(target, o * inner));
    }
  });
}

/** The sizes of a reduction. */
export interface ReduceShape {
  readonly op: ReduceOp;
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
}

/** One reduction of arrays that can be bound, from any word on. */
export function reduceRange(machine: Machine, shape: ReduceShape, from: Region, to: Region): void {
  const { op, outer, inner } = shape;
  const kernel = REDUCE_KERNELS[op];
  // Each level reads what the one before has written.
  const level = ([chunks, ...further]: readonly number[], source: Region, length: number): void => {
    if (chunks === undefined) return;
    const words = outer * chunks * inner;
    const reduce = (target: Region): void => {
      const input = operandOf(machine, source, outer * length * inner, "an array to reduce");
      const output = operandOf(machine, target, words, "a result");
      const params = Uint32Array.of(outer, length, inner, chunks, input.base, output.base);
      const group = machine.bind(kernel, [machine.uniform(params), input.region, output.region]);
      machine.dispatch(kernel, group, Math.ceil(words / REDUCE_LANES));
    };
    if (chunks === 1) return reduce(to);
    withBuffer(machine, words, "partial results", (buffer) => {
      reduce({ buffer });
      level(further, { buffer }, chunks);
    });
  };
  level(planReduction(shape).chunks, from, shape.length);
}
