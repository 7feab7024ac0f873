/** What becomes of each state `s[t] = A[t] s[t-1] + r[t]` of an affine scan. */
export type ScanSink =
  /** It is the answer. */
  | "recurrence"
  /** It is h⁺ - h of a sweep: h⁺ replaces h, under the policy for entries that are not finite. */
  | "update"
  /** It is the error of an iterate, or a bound on it: only its largest entry is kept. */
  | "first-order"
  | "absolute";

/** Where A[t] comes from: one entry per row for all units, n × n entries per unit, nowhere. */
export type ScanMatrix = "scalar" | "full" | "identity" | "zero";

/** The elements of an affine scan over units of `size` components. */
export interface ScanElements {
  readonly sink: ScanSink;
  readonly matrix: ScanMatrix;
  readonly size: number;
  /** Component p of unit u is channel `u n + p` (contiguous) or `u + p U` (strided). */
  readonly layout: "contiguous" | "strided";
  readonly reverse: boolean;
  /** Recurrence only: A of the row met before, transposed. */
  readonly adjoint?: boolean;
}

/** Where the state before the first row comes from. */
export type ScanStart = "zeros" | "vector" | "aggregates";

const FIELDS = {
  batch: "u32",
  /** Rows (or aggregates) of a sequence, and the distance of sequences in memory, in rows. */
  rows: "u32",
  stride: "u32",
  units: "u32",
  chunks: "u32",
  chunkRows: "u32",
  /** The words at which arrays begin in their bindings. */
  matrixBase: "u32",
  vectorBase: "u32",
  outBase: "u32",
  guessBase: "u32",
  startBase: "u32",
  /** The rows of this dispatch, where a scan is split over dispatches. */
  firstRow: "u32",
  endRow: "u32",
  /** adjoint: rows at the beginning that have no matrix, 0 or 1. */
  bare: "u32",
  atol: "f32",
  rtol: "f32",
} as const;

/** The uniform of every scan kernel; what is left out is 0. */
export type ScanParams = Partial<Record<keyof typeof FIELDS, number>>;

/** WGSL of `ScanParams`. */
export const SCAN_PARAMS: string = `struct Params {\n${
  Object.entries(FIELDS).map(([name, type]) => `  ${name}: ${type},`).join("\n")
}\n}`;

/** The words of the uniform. */
export function packScanParams(params: ScanParams): Uint32Array {
  const fields = Object.entries(FIELDS) as [keyof typeof FIELDS, string][];
  const words = new Uint32Array(fields.length);
  const floats = new Float32Array(words.buffer);
  fields.forEach(([name, type], i) => (type === "f32" ? floats : words)[i] = params[name] ?? 0);
  return words;
}

/** Whether the sink takes `r[t] = F[t] - Y[t]` of an iterate and its state words, rather than `r[t]` itself. */
export function isSweep(sink: ScanSink): boolean {
  return sink !== "recurrence";
}

/** WGSL of row r of sequence b in memory. */
export function rowOf({ reverse }: Pick<ScanElements, "reverse">, r: string): string {
  return `(b * P.stride + ${reverse ? `P.rows - 1u - ${r}` : r})`;
}

/** WGSL of the row whose matrix row r takes: of an adjoint scan that of the row met before. */
export function matrixRowOf({ reverse, adjoint }: Pick<ScanElements, "reverse" | "adjoint">, r: string): string {
  return adjoint ? `(${rowOf({ reverse }, r)} ${reverse ? "+" : "-"} 1u)` : rowOf({ reverse }, r);
}

/** WGSL of a vector of n ≤ 4 components. */
export function vectorType(n: number): string {
  return n === 1 ? "f32" : `vec${n}<f32>`;
}

/** WGSL of a vector from its components. */
export function vectorOf(n: number, component: (p: number) => string): string {
  const list = Array.from({ length: n }, (_, p) => component(p));
  return n === 1 ? list[0]! : `${vectorType(n)}(${list.join(", ")})`;
}

/** WGSL of component p of a vector. */
export function componentOf(n: number, vector: string, p: number): string {
  return n === 1 ? vector : `${vector}.${"xyzw"[p]}`;
}

/** WGSL of the words in which component p of a unit lies after its component 0. */
export function channelOffset(layout: ScanElements["layout"], p: number): string {
  if (p === 0) return "0u";
  return layout === "contiguous" ? `${p}u` : `${p}u * P.units`;
}

/** Words of an aggregate per unit. */
export function aggregateWords(matrix: ScanElements["matrix"], n: number): number {
  return matrix === "identity" ? n : n * n + n;
}

/** WGSL of word w of the aggregate of (b, c, u): n rows of the matrix, then the vector. */
export function aggregateAt(memory: string, words: number, w: number): string {
  return `${memory}[((b * P.chunks + c) * ${words}u + ${w}u) * P.units + u]`;
}

/**
 * WGSL of products with a matrix given as n rows: `act` as it stands; `actOn` with the columns left out that meet a zero,
 * as a product of many matrices may be infinite and a state of zero stays what it is.
 */
export function matrixFunctions(n: number): string[] {
  const type = vectorType(n);
  const rows = Array.from({ length: n }, (_, i) => `m${i}: ${type}`).join(", ");
  const product = (row: (i: number) => string): string =>
    vectorOf(n, (i) => n === 1 ? `${row(i)} * v` : `dot(${row(i)}, v)`);
  return [
    `fn act(${rows}, v: ${type}) -> ${type} { return ${product((i) => `m${i}`)}; }`,
    `fn actOn(${rows}, v: ${type}) -> ${type} {
  let some = v != ${type}();
  return ${product((i) => `select(${type}(), m${i}, some)`)};
}`,
    // Every component: the bits of what is not finite, see functions.ts.
    `fn tame(v: ${type}) -> ${type} {
  return ${vectorOf(n, (p) => `select(0.0, ${componentOf(n, "v", p)}, isFinite(${componentOf(n, "v", p)}))`)};
}`,
    `fn isTame(v: ${type}) -> bool {
  return ${Array.from({ length: n }, (_, p) => `isFinite(${componentOf(n, "v", p)})`).join(" && ")};
}`,
    `fn isSome(v: ${type}) -> bool {
  return ${Array.from({ length: n }, (_, p) => `(bitcast<u32>(${componentOf(n, "v", p)}) << 1u) != 0u`).join(" || ")};
}`,
  ];
}
