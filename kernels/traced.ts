import type { BindingKind } from "./kernel.ts";

/**
 * Code of a traced function, printed for one invocation (`lane`) or for a workgroup that evaluates several rows together
 * (`tile`). It sees `C` (parameters, constants and values from them), `Z` (hoisted values of a row, at `z`), `X` (inputs of
 * a row, at `x`), `t`, and its scratch memory `W`, of a tile at `w`.
 */
export interface TracedCode {
  readonly lines: readonly string[];
  /** Words of scratch, of a tile for each of its rows. */
  readonly scratch: number;
  /** Turns of its loops in one evaluation. */
  readonly turns: number;
}

/** How kernels over rows (b, r) of a window find their data. */
export interface RowShape {
  /** D */
  readonly state: number;
  /** I */
  readonly input: number;
  /** Hoisted words of a row. */
  readonly hoisted: number;
  /** Of hoisting itself: words of a row of the product W x, which was made before it. */
  readonly projected?: number;
}

/** Invocations that evaluate rows together, how many rows, and where their scratch is. */
export interface TileShape {
  readonly lanes: number;
  readonly rows: number;
  /** `storage`: of the workgroup number `group`, for functions that need more than a workgroup has. */
  readonly scratch: "workgroup" | "storage";
}

/**
 * The numbers that all traced kernels take, in this order: B, rows of the window, t of its first row; of a part of the work its
 * first row and how many; rows of a chunk, and chunks; the first word of the second half of a buffer; tolerances; 0; whether
 * a fold goes on from where the dispatch before ended.
 */
export const INFO = `struct Info {
  batch: u32, rows: u32, t0: u32, first: u32, count: u32, chunk: u32, chunks: u32, second: u32, atol: f32, rtol: f32, guessBase: u32, carried: u32,
};`;

/** Words of {@linkcode INFO}. */
export function packInfo(info: {
  batch: number;
  rows: number;
  t0: number;
  first?: number;
  count?: number;
  chunk?: number;
  chunks?: number;
  second?: number;
  atol?: number;
  rtol?: number;
  carried?: boolean;
}): Uint32Array {
  const { batch, rows, t0, first = 0, count = rows, chunk = 0, chunks = 1, second = 0, atol = 0, rtol = 0 } = info;
  const words = new Uint32Array([
    batch,
    rows,
    t0,
    first,
    count,
    chunk,
    chunks,
    second,
    0,
    0,
    0,
    Number(info.carried ?? false),
  ]);
  words.set(new Uint32Array(new Float32Array([atol, rtol]).buffer), 8);
  return words;
}

/** A binding of a traced kernel. */
export interface TracedBinding {
  readonly name: string;
  readonly kind: BindingKind;
  readonly type: string;
}

/** Bindings 0 to 3 of every traced kernel. */
export const TRACED_BINDINGS: readonly TracedBinding[] = [
  { name: "P", kind: "uniform", type: "Info" },
  { name: "C", kind: "read", type: "array<f32>" },
  { name: "Z", kind: "read", type: "array<f32>" },
  { name: "X", kind: "read", type: "array<f32>" },
];

/** Statements that locate row `r` of sequence `b`: what printed code reads; a product is at `q`. */
export function locateRow({ input, hoisted, projected = 0 }: RowShape, r: string): string[] {
  return [
    `let n = b * P.rows + ${r};`,
    `let z = n * ${hoisted}u; let x = n * ${input}u; let t = f32(P.t0 + ${r});`,
    projected === 0 ? "" : `let q = n * ${projected}u;`,
  ];
}

/** A loop of all lanes over `count` elements of each row, located as printed code expects. */
export function eachElement(
  tile: TileShape,
  count: number,
  locate: readonly string[],
  body: readonly string[],
): string[] {
  return [
    `for (var e = lane; e < rows * ${count}u; e += ${tile.lanes}u) {`,
    `let row = e / ${count}u; let i = e % ${count}u;`,
    ...locate,
    ...body,
    "}",
  ];
}

/** Turns of {@linkcode eachElement}; the test that ends it is one. */
export function elementTurns({ rows, lanes }: TileShape, count: number): number {
  return Math.ceil(rows * count / lanes) + 1;
}
