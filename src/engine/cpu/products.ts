import type { HostArray } from "../../core/types.ts";
import type { MatmulJob } from "../engine.ts";
import { arrayOf } from "./memory.ts";

/** Rows and columns of the block of a product that is accumulated in local variables. */
const BLOCK = 4;
/** Rows of `out`, and how much of the inner size, that are worked on at a time: their f64 copies stay in caches. */
const ROWS = 64;
const DEPTH = 256;
/** Copying pays for itself in larger products only. */
const LEAST_PRODUCTS = 4096;

/** A matrix in memory: element (i, j) is `array[i down + j right]`. */
interface Matrix {
  readonly array: HostArray;
  readonly down: number;
  readonly right: number;
}

/** `out = a b`, `a bᵀ` or `aᵀ b`, accumulated in f64. Cost: rows · inner · columns multiplications. */
export function matmul({ a, b, out, rows, inner, columns, form }: MatmulJob): void {
  const [av, bv, ov] = [arrayOf(a), arrayOf(b), arrayOf(out)];
  const left = form === "atb" ? { array: av, down: 1, right: rows } : { array: av, down: inner, right: 1 };
  const right = form === "abt" ? { array: bv, down: 1, right: inner } : { array: bv, down: columns, right: 1 };
  const thin = Math.min(rows, inner, columns) < BLOCK || rows * inner * columns < LEAST_PRODUCTS;
  if (!thin || form === "atb") multiplyBlocks(left, right, ov, rows, inner, columns);
  else if (form === "ab" && columns >= BLOCK) multiplyRows(left.array, bv, ov, rows, inner, columns);
  else multiplyDots(av, form === "abt" ? bv : transpose(right, inner, columns), ov, rows, inner, columns);
}

/** Of contiguous rows of both: `a bᵀ`. */
function multiplyDots(a: HostArray, b: HostArray, out: HostArray, rows: number, inner: number, columns: number): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let total = 0;
      for (let k = 0, p = i * inner, q = j * inner; k < inner; k++) total += a[p + k]! * b[q + k]!;
      out[i * columns + j] = total;
    }
  }
}

/** Along the rows of b, for few rows of a: memory is read in order. */
function multiplyRows(a: HostArray, b: HostArray, out: HostArray, rows: number, inner: number, columns: number): void {
  const row = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    row.fill(0);
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k]!;
      for (let j = 0, q = k * columns; j < columns; j++) row[j]! += factor * b[q + j]!;
    }
    out.set(row, i * columns);
  }
}

function transpose({ array, down, right }: Matrix, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < rows; i++) out[j * rows + i] = array[i * down + j * right]!;
  }
  return out;
}

/**
 * In blocks of 4 × 4, from copies in f64 in the order in which they are read (Goto & van de Geijn 2008): the arithmetic sees
 * arrays of one kind, and each element that it loads is used four times.
 */
function multiplyBlocks(
  a: Matrix,
  b: Matrix,
  out: HostArray,
  rows: number,
  inner: number,
  columns: number,
): void {
  const width = Math.ceil(columns / BLOCK) * BLOCK;
  const depth = Math.min(DEPTH, inner);
  const height = Math.min(ROWS, Math.ceil(rows / BLOCK) * BLOCK);
  const [left, right] = [new Float64Array(depth * BLOCK), new Float64Array(depth * width)];
  const sums = new Float64Array(height * width);
  for (let i0 = 0; i0 < rows; i0 += ROWS) {
    const count = Math.min(ROWS, rows - i0);
    sums.fill(0);
    for (let k0 = 0; k0 < inner; k0 += DEPTH) {
      const deep = Math.min(DEPTH, inner - k0);
      for (let j = 0; j < width; j += BLOCK) {
        pack(b.array, k0 * b.down + j * b.right, b.down, b.right, deep, columns - j, right, j * deep);
      }
      for (let i = 0; i < count; i += BLOCK) {
        pack(a.array, (i0 + i) * a.down + k0 * a.right, a.right, a.down, deep, count - i, left, 0);
        for (let j = 0; j < width; j += BLOCK) addBlock(left, right, j * deep, deep, sums, i * width + j, width);
      }
    }
    for (let i = 0; i < count; i++) out.set(sums.subarray(i * width, i * width + columns), (i0 + i) * columns);
  }
}

/** `to[4 k + r] = from[first + k along + r across]`, zero for `r >= count`. */
function pack(
  from: HostArray,
  first: number,
  along: number,
  across: number,
  deep: number,
  count: number,
  to: Float64Array,
  at: number,
): void {
  for (let r = 0; r < BLOCK; r++) {
    let [source, target] = [first + r * across, at + r];
    if (r < count) { for (let k = 0; k < deep; k++, target += BLOCK, source += along) to[target] = from[source]!; }
    else for (let k = 0; k < deep; k++, target += BLOCK) to[target] = 0;
  }
}

/** `c[i, j] += Σ_k a[4 k + i] b[4 k + j]`, the block of c at `at` with rows `width` apart. */
function addBlock(
  a: Float64Array,
  b: Float64Array,
  q: number,
  deep: number,
  c: Float64Array,
  at: number,
  width: number,
): void {
  let c00 = 0, c01 = 0, c02 = 0, c03 = 0;
  let c10 = 0, c11 = 0, c12 = 0, c13 = 0;
  let c20 = 0, c21 = 0, c22 = 0, c23 = 0;
  let c30 = 0, c31 = 0, c32 = 0, c33 = 0;
  for (let k = 0, p = 0; k < deep; k++, p += BLOCK, q += BLOCK) {
    const a0 = a[p]!, a1 = a[p + 1]!, a2 = a[p + 2]!, a3 = a[p + 3]!;
    const b0 = b[q]!, b1 = b[q + 1]!, b2 = b[q + 2]!, b3 = b[q + 3]!;
    c00 += a0 * b0, c01 += a0 * b1, c02 += a0 * b2, c03 += a0 * b3;
    c10 += a1 * b0, c11 += a1 * b1, c12 += a1 * b2, c13 += a1 * b3;
    c20 += a2 * b0, c21 += a2 * b1, c22 += a2 * b2, c23 += a2 * b3;
    c30 += a3 * b0, c31 += a3 * b1, c32 += a3 * b2, c33 += a3 * b3;
  }
  c[at]! += c00, c[at + 1]! += c01, c[at + 2]! += c02, c[at + 3]! += c03;
  at += width;
  c[at]! += c10, c[at + 1]! += c11, c[at + 2]! += c12, c[at + 3]! += c13;
  at += width;
  c[at]! += c20, c[at + 1]! += c21, c[at + 2]! += c22, c[at + 3]! += c23;
  at += width;
  c[at]! += c30, c[at + 1]! += c31, c[at + 2]! += c32, c[at + 3]! += c33;
}
