import { MAX_TURNS } from "../../../kernels/kernel.ts";
import { MATMUL_TILE, matmulKernel, matmulTurns } from "../../../kernels/matmul.ts";
import type { MatmulJob } from "../engine.ts";
import { reduceRange, withBuffer } from "./arrays.ts";
import type { Machine, Region } from "./machine.ts";
import { bufferOf, operandOf, regionAt, WORD_BYTES, wordsPerBinding } from "./memory.ts";

const KERNELS = { ab: matmulKernel("ab"), abt: matmulKernel("abt"), atb: matmulKernel("atb") } as const;

/** Workgroups that keep a large GPU busy, and the least slice of the inner size that is worth a sum of its own. */
const WANTED_TILES = 1024;
const LEAST_SLICE = 1024;
/** Partial products take at most this. */
const MOST_PARTIAL_WORDS = 2 ** 24;

/** How the inner size of a product is cut: `slices` of `slice`, each with a partial product of its own. */
export function planMatmul({ rows, inner, columns }: Pick<MatmulJob, "rows" | "inner" | "columns">): {
  readonly slice: number;
  readonly slices: number;
  readonly turns: number;
} {
  const tiles = Math.ceil(rows / MATMUL_TILE) * Math.ceil(columns / MATMUL_TILE);
  const affordable = Math.max(1, Math.floor(MOST_PARTIAL_WORDS / (rows * columns)));
  const wanted = Math.min(Math.ceil(WANTED_TILES / tiles), Math.floor(inner / LEAST_SLICE), affordable);
  const needed = Math.ceil(matmulTurns(inner) / (MAX_TURNS - matmulTurns(1)));
  const count = Math.max(1, wanted, needed);
  // Whole steps of the kernel.
  const slice = count === 1 ? Math.max(1, inner) : Math.ceil(inner / count / 16) * 16;
  return { slice, slices: Math.max(1, Math.ceil(inner / slice)), turns: matmulTurns(slice) };
}

/** A product of matrices as data; the arrays from any word on. */
export interface Product extends Omit<MatmulJob, "a" | "b" | "out"> {
  readonly a: Region;
  readonly b: Region;
  readonly out: Region;
}

/** `out = a b`, `a bᵀ` or `aᵀ b`, tiled; see {@linkcode recordProduct}. */
export function recordMatmul(machine: Machine, { a, b, out, rows, inner, columns, form }: MatmulJob): void {
  const regions = { a: { buffer: bufferOf(a) }, b: { buffer: bufferOf(b) }, out: { buffer: bufferOf(out) } };
  recordProduct(machine, { ...regions, rows, inner, columns, form });
}

/**
 * A tiled product. Long inner sizes in slices that are summed; where arrays exceed bindings in bands of rows of a and out,
 * and of `aᵀ b` in bands of the inner size, summed as well.
 */
export function recordProduct(machine: Machine, product: Product): void {
  const { a, b, out, rows, inner, columns, form } = product;
  if (rows * columns === 0) return;
  const most = wordsPerBinding(machine);
  if (form === "atb") {
    const band = Math.max(1, Math.min(inner, Math.floor(most / Math.max(rows, columns))));
    const bands = Math.max(1, Math.ceil(inner / band));
    if (bands === 1) return productBand(machine, product);
    return withBuffer(machine, bands * rows * columns, "partial products", (buffer) => {
      for (let k = 0; k < bands; k++) {
        productBand(machine, {
          ...product,
          a: advance(a, k * band * rows),
          b: advance(b, k * band * columns),
          out: regionAt(buffer, k * rows * columns),
          inner: Math.min(band, inner - k * band),
        });
      }
      reduceRange(machine, { op: "sum", outer: 1, length: bands, inner: rows * columns }, { buffer }, out);
    });
  }
  const band = Math.max(1, Math.min(rows, Math.floor(most / Math.max(inner, columns))));
  for (let row = 0; row < rows; row += band) {
    productBand(machine, {
      ...product,
      a: advance(a, row * inner),
      out: advance(out, row * columns),
      rows: Math.min(band, rows - row),
    });
  }
}

/** A product of arrays that can be bound. */
function productBand(machine: Machine, { a, b, out, rows, inner, columns, form }: Product): void {
  const kernel = KERNELS[form];
  const right = operandOf(machine, b, inner * columns, "the right matrix of a product");
  const left = operandOf(machine, a, rows * inner, "the left matrix of a product");
  const { slice, slices } = planMatmul({ rows, inner, columns });
  const tiles = Math.ceil(rows / MATMUL_TILE) * Math.ceil(columns / MATMUL_TILE);
  const multiply = (target: Region): void => {
    const to = operandOf(machine, target, slices * rows * columns, "a product");
    const params = Uint32Array.of(rows, inner, columns, slice, left.base, right.base, to.base);
    const group = machine.bind(kernel, [machine.uniform(params), left.region, right.region, to.region]);
    machine.dispatch(kernel, group, tiles * slices);
  };
  if (slices === 1) return multiply(out);
  withBuffer(machine, slices * rows * columns, "partial products", (buffer) => {
    multiply({ buffer });
    reduceRange(machine, { op: "sum", outer: 1, length: slices, inner: rows * columns }, { buffer }, out);
  });
}

/** The region of a buffer `words` words after another. */
function advance({ buffer, offset = 0 }: Region, words: number): Region {
  return { buffer, offset: offset + words * WORD_BYTES };
}
