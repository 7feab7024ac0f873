import { COPY_KERNEL, COPY_LANES, FILL_KERNEL } from "../../../kernels/copy.ts";
import { MAX_TURNS } from "../../../kernels/kernel.ts";
import { MATMUL_TILE, matmulKernel, matmulTurns } from "../../../kernels/matmul.ts";
import { REDUCE_LANES, reduceKernel, type ReduceOp } from "../../../kernels/reduce.ts";
import type { CopyRows, MatmulJob, Memory, ReduceJob } from "../engine.ts";
import type { Machine } from "./machine.ts";
import { bufferOf, operandOf, regionAt, WORD_BYTES, wordsPerBinding } from "./memory.ts";

/** Copies of buffers are cheaper than a dispatch for so few rows. */
const FEW_ROWS = 8;
/** Workgroups that keep a large GPU busy, and the least slice of the inner size that is worth a sum of its own. */
const WANTED_TILES = 1024;
const LEAST_SLICE = 1024;
/** Partial products take at most this. */
const MOST_PARTIAL_BYTES = 64 * 2 ** 20;
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
  const stride = Math.max(fromStride, toStride, 1);
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
    const span = (stride: number): number => (count - 1) * stride + width;
    const read = operandOf(machine, regionAt(source, fromStart + done * fromStride), span(fromStride), "an array");
    const write = operandOf(machine, regionAt(target, toStart + done * toStride), span(toStride), "an array");
    const uniform = machine.uniform(Uint32Array.of(width, count, read.base, fromStride, write.base, toStride));
    const group = machine.bind(COPY_KERNEL, [uniform, read.region, write.region]);
    machine.dispatch(COPY_KERNEL, group, Math.ceil(count * width / COPY_LANES));
  }
}

function copyRow(machine: Machine, from: GPUBuffer, word: number, to: GPUBuffer, toWord: number, words: number): void {
  machine.copy(from, word * WORD_BYTES, to, toWord * WORD_BYTES, words * WORD_BYTES);
}

/** How the inner size of a product is cut: `slices` of `slice`, each with a partial product of its own. */
export function planMatmul({ rows, inner, columns }: Pick<MatmulJob, "rows" | "inner" | "columns">): {
  readonly slice: number;
  readonly slices: number;
  readonly turns: number;
} {
  const tiles = Math.ceil(rows / MATMUL_TILE) * Math.ceil(columns / MATMUL_TILE);
  const affordable = Math.max(1, Math.floor(MOST_PARTIAL_BYTES / (WORD_BYTES * rows * columns)));
  const wanted = Math.min(Math.ceil(WANTED_TILES / tiles), Math.floor(inner / LEAST_SLICE), affordable);
  const needed = Math.ceil(matmulTurns(inner) / (MAX_TURNS - matmulTurns(1)));
  const count = Math.max(1, wanted, needed);
  // Whole steps of the kernel.
  const slice = count === 1 ? Math.max(1, inner) : Math.ceil(inner / count / 16) * 16;
  return { slice, slices: Math.max(1, Math.ceil(inner / slice)), turns: matmulTurns(slice) };
}

/** `out = a b` or `a bᵀ`, tiled; long inner sizes in slices that are summed, large `a` and `out` in bands of rows. */
export function recordMatmul(machine: Machine, job: MatmulJob): void {
  const { rows, inner, columns, transposed } = job;
  if (rows * columns === 0) return;
  const kernel = matmulKernel(transposed);
  const band = Math.min(rows, Math.floor(wordsPerBinding(machine) / Math.max(inner, columns)));
  const right = operandOf(machine, { buffer: bufferOf(job.b) }, inner * columns, "the right matrix of a product");
  if (band === 0) operandOf(machine, { buffer: bufferOf(job.a) }, Math.max(inner, columns), "a row of a product");
  for (let row = 0; row < rows; row += band) {
    const count = Math.min(band, rows - row);
    const { slice, slices } = planMatmul({ rows: count, inner, columns });
    const left = operandOf(machine, regionAt(bufferOf(job.a), row * inner), count * inner, "the left matrix");
    const tiles = Math.ceil(count / MATMUL_TILE) * Math.ceil(columns / MATMUL_TILE);
    const words = slices * count * columns;
    const partial = slices === 1 ? undefined : machine.pool.allocate(words * WORD_BYTES, "partial products");
    const target = partial === undefined ? regionAt(bufferOf(job.out), row * columns) : { buffer: partial };
    const out = operandOf(machine, target, words, "a product");
    const params = Uint32Array.of(count, inner, columns, slice, left.base, right.base, out.base);
    const group = machine.bind(kernel, [machine.uniform(params), left.region, right.region, out.region]);
    machine.dispatch(kernel, group, tiles * slices);
    if (partial === undefined) continue;
    const sum = { op: "sum", outer: 1, length: slices, inner: count * columns } as const;
    reduceRange(machine, sum, partial, 0, bufferOf(job.out), row * columns);
    machine.pool.release(partial);
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
      const count = Math.min(atOnce, outer - o);
      reduceRange(machine, { op, outer: count, length, inner }, source, o * length * inner, target, o * inner);
    }
    return;
  }
  // Not even one fits: bands of rows, and their results once more.
  const band = Math.max(1, Math.floor(most / inner));
  const bands = Math.ceil(length / band);
  const partial = machine.pool.allocate(bands * inner * WORD_BYTES, "partial results");
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < bands; k++) {
      const rows = Math.min(band, length - k * band);
      const first = (o * length + k * band) * inner;
      reduceRange(machine, { op, outer: 1, length: rows, inner }, source, first, partial, k * inner);
    }
    reduceRange(machine, { op, outer: 1, length: bands, inner }, partial, 0, target, o * inner);
  }
  machine.pool.release(partial);
}

interface ReduceShape {
  readonly op: ReduceOp;
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
}

function reduceRange(
  machine: Machine,
  shape: ReduceShape,
  from: GPUBuffer,
  fromWord: number,
  to: GPUBuffer,
  toWord: number,
): void {
  const { op, outer, inner } = shape;
  const kernel = reduceKernel(op);
  let [source, length] = [regionAt(from, fromWord), shape.length];
  let before: GPUBuffer | undefined;
  for (const chunks of planReduction(shape).chunks) {
    const words = outer * chunks * inner;
    const next = chunks === 1 ? undefined : machine.pool.allocate(words * WORD_BYTES, "partial results");
    const input = operandOf(machine, source, outer * length * inner, "an array to reduce");
    const output = operandOf(machine, next ? { buffer: next } : regionAt(to, toWord), words, "a result");
    const params = Uint32Array.of(outer, length, inner, chunks, input.base, output.base);
    const group = machine.bind(kernel, [machine.uniform(params), input.region, output.region]);
    machine.dispatch(kernel, group, Math.ceil(words / REDUCE_LANES));
    if (before !== undefined) machine.pool.release(before);
    if (next !== undefined) source = { buffer: next };
    [before, length] = [next, chunks];
  }
}
