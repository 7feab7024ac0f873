import { assembleKernel, type Kernel, type KernelParts } from "./kernel.ts";
import {
  beginTileProduct,
  declareTileProduct,
  factorStride,
  overColumns,
  stepTileProduct,
  storeTileProduct,
  tileProductTurns,
  tilesAcross,
} from "./tile_product.ts";
import { matrixRowOf, rowOf, SCAN_PARAMS, type ScanElements, type ScanStart } from "./scan_elements.ts";

/** The largest n whose matrix and product fit 16 KiB of workgroup memory. */
export const TILE_MOST = 43;

/** One kernel of a scan by workgroups: 4 < n ≤ TILE_MOST, full matrices. */
export interface TileSpec extends Pick<ScanElements, "size" | "layout" | "reverse" | "adjoint"> {
  readonly phase: "reduce" | "apply";
  /** rows: A and b from their arrays. aggregates: the scan one level up, exclusive, in place. */
  readonly source: "rows" | "aggregates";
  /** apply: where the state before a chunk comes from. */
  readonly start: ScanStart;
}

const HEADER = `
s[t] = A[t] s[t-1] + r[t] over units of n > 4 components: a workgroup per (sequence, chunk, unit).
reduce: the product of the chunk's maps, n x (n + 1), in workgroup memory as tiles of four columns (vec4). Each A[t] is
loaded in order, one row ahead of its use; invocations hold the new product in registers until all have read the old.
apply: from the exact state before the chunk; invocation i computes component i, A[t] double-buffered: a barrier a row.
adjoint: A of the row met before, loaded in order and transposed on its way into workgroup memory; row 0 of all takes none
unless the scan goes on from another.
Over aggregates, which lie as matrix and vector per (sequence, chunk, unit), apply leaves the state before each chunk.
Bytes per row: 4 n (n + 1) in reduce, 4 n (n + 2) in apply. Operations: 2 n n (n + 1) and 2 n n.
Loops: per row 1, and n / 4 + 1 turns for each of the tiles of an invocation. Workgroup memory: at most 15.4 KiB.
`;

/** Words of an aggregate. */
export function tileWords(n: number): number {
  return n * n + n;
}

/** Column tiles of a product, invocations, and the words of a matrix that fall to each of them. */
function layoutOf({ size: n, phase }: Pick<TileSpec, "size" | "phase">) {
  const across = tilesAcross(n);
  const lanes = phase === "reduce"
    ? Math.min(256, 2 ** Math.ceil(Math.log2(n * across)))
    : n <= 8
    ? 32
    : n <= 16
    ? 64
    : n <= 32
    ? 128
    : 256;
  return {
    across,
    lanes,
    words: Math.ceil(n * n / lanes),
    stride: factorStride(n),
  };
}

/** The turns of an invocation for each row of its chunk; drivers count the last test of an inner loop as one. */
export function tileTurns(n: number): number {
  return 1 + tileProductTurns({ size: n, lanes: layoutOf({ size: n, phase: "reduce" }).lanes });
}

const range = (count: number): number[] => Array.from({ length: count }, (_, k) => k);

/** The words of A and of the vector of row `r`. */
function addresses(spec: TileSpec, r: string): { matrix: string; vector: string } {
  const { source, size: n, layout } = spec;
  if (source === "aggregates") {
    const first = `((b * P.rows + ${r}) * P.units + u) * ${tileWords(n)}u`;
    return { matrix: first, vector: `${first} + ${n * n}u + lane` };
  }
  const channel = layout === "contiguous" ? `u * ${n}u + lane` : `u + lane * P.units`;
  return {
    matrix: `P.matrixBase + (${matrixRowOf(spec, r)} * P.units + u) * ${n * n}u`,
    vector: `${rowOf(spec, r)} * P.units * ${n}u + ${channel}`,
  };
}

/** Assigns row `r` to the registers `next0, ...` and `vector`; a row without a matrix leaves the former as they are. */
function fetch(spec: TileSpec, r: string): string[] {
  const { source, size: n, adjoint } = spec;
  const { lanes, words } = layoutOf(spec);
  const at = addresses(spec, r);
  const [matrix, vector, base] = source === "rows" ? ["A", "F", "P.vectorBase + "] : ["LOWER", "LOWER", ""];
  return [
    ...(adjoint ? [`if (${r} >= P.bare) {`] : []),
    `let at = ${at.matrix};`,
    ...range(words).map((k) => {
      const load = `next${k} = ${matrix}[at + lane + ${k * lanes}u];`;
      return (k + 1) * lanes <= n * n ? load : `if (lane + ${k * lanes}u < ${n * n}u) { ${load} }`;
    }),
    ...(adjoint ? ["}"] : []),
    `if (lane < ${n}u) { vector = ${vector}[${base}${at.vector}]; }`,
  ];
}

/** Puts the registers into workgroup memory at `base`. */
function put(spec: TileSpec, base: string): string[] {
  const { size: n, adjoint } = spec;
  const { lanes, words, stride } = layoutOf(spec);
  return range(words).map((k) => {
    const w = `(lane + ${k * lanes}u)`;
    const [i, j] = [`${w} / ${n}u`, `${w} % ${n}u`];
    const store = `factor[${base}${adjoint ? `${j} * ${stride}u + ${i}` : `${i} * ${stride}u + ${j}`}] = next${k};`;
    return (k + 1) * lanes <= n * n ? store : `if (${w} < ${n * n}u) { ${store} }`;
  });
}

function place({ words }: { words: number }): string[] {
  return [
    "let u = group % P.units; let c = group / P.units % P.chunks; let b = group / (P.units * P.chunks);",
    "if (b >= P.batch) { return; }",
    "let first = c * P.chunkRows; let last = min(first + P.chunkRows, P.rows);",
    ...range(words).map((k) => `var next${k} = 0.0;`),
    "var vector = 0.0;",
  ];
}

function reduceMain(spec: TileSpec): string[] {
  const { size, source } = spec;
  const layout = layoutOf(spec);
  const { across, lanes, words, stride } = layout;
  const product = { size, lanes };
  const term = (j: string, sum: string): string => {
    const entry = `factor[i * ${stride}u + ${j}]`;
    const column = `product[${j} * ${across}u + tile]`;
    return source === "rows"
      ? `${sum} += ${entry} * ${column};`
      // A product of many matrices may be infinite: a zero stays what it is.
      // By its bits: comparisons take a NaN for a zero.
      : `{ let p = ${column}; ${sum} += select(vec4<f32>(), ${entry} * p, (bitcast<vec4<u32>>(p) << vec4(1u)) != vec4<u32>()); }`;
  };
  return [
    ...place(layout),
    ...beginTileProduct(product, "1.0"),
    // The product begins with the identity: it is what it stays over a row without a matrix.
    ...(spec.adjoint
      ? range(words).map((k) => `next${k} = select(0.0, 1.0, (lane + ${k * lanes}u) % ${size + 1}u == 0u);`)
      : []),
    "if (first < last) {",
    ...fetch(spec, "first"),
    "}",
    ...put(spec, ""),
    `if (lane < ${size}u) { added[lane] = vector; }`,
    "workgroupBarrier();",
    "for (var r = first; r < last; r++) {",
    "if (r + 1u < last) {",
    ...fetch(spec, "(r + 1u)"),
    "}",
    ...stepTileProduct(product, term),
    ...put(spec, ""),
    `if (lane < ${size}u) { added[lane] = vector; }`,
    "workgroupBarrier();",
    "}",
    `let to = ((b * P.chunks + c) * P.units + u) * ${tileWords(size)}u;`,
    ...storeTileProduct(product, "to"),
  ];
}

function applyMain(spec: TileSpec): string[] {
  const { size: n, source, layout, start } = spec;
  const parts = layoutOf(spec);
  const { stride } = parts;
  const channel = `b * P.units * ${n}u + ${layout === "contiguous" ? `u * ${n}u + lane` : "u + lane * P.units"}`;
  const sources: Readonly<Record<ScanStart, string>> = {
    zeros: "0.0",
    vector: `START[P.startBase + ${channel}]`,
    aggregates: `AGG[((b * P.chunks + c) * P.units + u) * ${tileWords(n)}u + ${n * n}u + lane]`,
  };
  const term = (j: string): string => {
    const [a, s] = [`factor[here + lane * ${stride}u + ${j}]`, `state[half * ${n}u + ${j}]`];
    return source === "rows" ? `sum += ${a} * ${s};` : `if ((bitcast<u32>(${s}) << 1u) != 0u) { sum += ${a} * ${s}; }`;
  };
  const at = addresses(spec, "r").vector;
  // A row without a matrix adds its vector to the state; a product with the identity would spread what is not finite.
  const begin = spec.adjoint
    ? [
      `var before = ${sources[start]};`,
      "if (first < P.bare) { vector += before; before = 0.0; }",
      "state[lane] = before;",
    ]
    : [`state[lane] = ${sources[start]};`];
  return [
    ...place(parts),
    "if (first < last) {",
    ...fetch(spec, "first"),
    "}",
    ...put(spec, ""),
    `if (lane < ${n}u) {`,
    ...begin,
    "}",
    "workgroupBarrier();",
    "for (var r = first; r < last; r++) {",
    `let half = (r - first) & 1u; let here = half * ${n * stride}u;`,
    "let added = vector;",
    "if (r + 1u < last) {",
    ...fetch(spec, "(r + 1u)"),
    "}",
    `if (lane < ${n}u) {`,
    "var sum = added;",
    ...overColumns(n, term),
    source === "rows" ? `OUT[P.outBase + ${at}] = sum;` : `LOWER[${at}] = state[half * ${n}u + lane];`,
    `state[(1u - half) * ${n}u + lane] = sum;`,
    "}",
    ...put(spec, `${n * stride}u - here + `),
    "workgroupBarrier();",
    "}",
  ];
}

/** The arrays of a kernel, by name, in the order of its bindings after the uniform. */
export function tileArrays({ phase, source, start }: Omit<TileSpec, keyof ScanElements>): KernelParts["bindings"] {
  const floats = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" }) as const;
  const inPlace = phase === "apply" ? "read_write" : "read";
  return [
    ...(source === "rows" ? [floats("A", "read"), floats("F", "read")] : [floats("LOWER", inPlace)]),
    ...(phase === "apply" && source === "rows" ? [floats("OUT", "read_write")] : []),
    ...(phase === "apply" && start === "vector" ? [floats("START", "read")] : []),
    ...(phase === "reduce" ? [floats("AGG", "read_write")] : start === "aggregates" ? [floats("AGG", "read")] : []),
  ];
}

/** One phase of a scan by workgroups. */
export function tileKernel(spec: TileSpec): Kernel {
  const { phase, source, size: n, layout, reverse, adjoint, start } = spec;
  if (n > TILE_MOST) throw new RangeError(`Cannot scan by tiles: n must be at most ${TILE_MOST}, got ${n}`);
  const { lanes, stride } = layoutOf(spec);
  const reduces = phase === "reduce";
  return assembleKernel({
    name: `scan-tile ${phase} ${source} ${n} ${layout}${reverse ? " reverse" : ""}${adjoint ? " adjoint" : ""}${
      reduces ? "" : ` ${start}`
    }`,
    header: HEADER,
    bindings: [{ name: "P", kind: "uniform", type: "Params" }, ...tileArrays(spec)],
    declarations: [
      SCAN_PARAMS,
      ...(reduces
        ? declareTileProduct({ size: n, lanes })
        : [`var<workgroup> factor: array<f32, ${2 * n * stride}>;`, `var<workgroup> state: array<f32, ${2 * n}>;`]),
    ],
    workgroup: lanes,
    main: reduces ? reduceMain(spec) : applyMain(spec),
  });
}
