import type { HostArray } from "../../core/types.ts";
import { createJsDialect } from "../../trace/dialect.ts";
import { compileKernel } from "./kernel.ts";

/** What is compiled into a fold over affine maps: arrays of one dtype, so that its accesses stay of one kind. */
export interface FoldSpec {
  readonly dtype: "f32" | "f64";
  /** A has one entry a row for all channels, or a matrix of `size` rows for each unit. */
  readonly shared: boolean;
  readonly size: number;
  /** D = units · size, 0 if it is too large to be held in local names. */
  readonly short: number;
  readonly reverse: boolean;
  /** A of the row before, transposed; none at the first row. */
  readonly adjoint: boolean;
}

/** Folds `batch` sequences; `H` holds the states before the first rows, `startStride` apart. */
export type FoldKernel = (
  A: HostArray,
  F: HostArray,
  H: HostArray,
  Y: HostArray,
  batch: number,
  time: number,
  units: number,
  startStride: number,
) => void;

/** The most channels, and the largest blocks, that are held in local names. */
const SHORT_MOST = 16;
const SHORT_SIZE = 4;
/** The largest blocks with a row of A, or a column, in one expression. */
const ROW_MOST = 32;
const COLUMN_MOST = 8;
/** Channels, and rows of a large block, of a turn. */
const STRIP = 8;
const ROWS = 4;

const list = <T>(count: number, item: (k: number) => T): T[] => Array.from({ length: count }, (_, k) => item(k));
const sum = (count: number, text: (k: number) => string): string => list(count, text).join(" + ");

/** D where the state of a sequence is held in local names, else 0. */
export function shortState(state: number, size: number): number {
  return state <= SHORT_MOST && size <= SHORT_SIZE ? state : 0;
}

const kernels = new Map<string, FoldKernel>();

/** The kernel for a spec, compiled at its first use. */
export function foldKernel(spec: FoldSpec): FoldKernel {
  const { dtype, shared, size, short, reverse, adjoint } = spec;
  const key = [dtype, shared, size, short, reverse, adjoint].join();
  let kernel = kernels.get(key);
  if (kernel === undefined) kernels.set(key, kernel = compileFold(spec));
  return kernel;
}

function compileFold(spec: FoldSpec): FoldKernel {
  const { shared, size, short, reverse, adjoint } = spec;
  const body = short > 0 ? shortBody(spec) : size === 1 ? elementBody(spec) : blockBody(spec);
  return compileKernel("A, F, H, Y, batch, time, units, startStride", [
    `const D = units * ${size}, width = ${shared ? "1" : `D * ${size}`};`,
    `const dq = ${reverse ? "-D" : "D"}, dg = ${reverse ? "-width" : "width"};`,
    "for (let s = 0; s < batch; s++) {",
    `const first = s * time${reverse ? " + time - 1" : ""}, h = s * startStride;`,
    "let q = first * D, g = first * width;",
    // No matrix stands before the first row; that of the first row belongs to the second.
    ...(adjoint && short === 0 ? ["for (let i = 0; i < D; i++) Y[q + i] = F[q + i] + H[h + i];"] : []),
    ...body,
    "}",
  ], createJsDialect(size));
}

/** The word of A, from the unit's first, that multiplies component j in component i. */
function entry({ size, adjoint }: FoldSpec, i: number, j: number): number {
  return adjoint ? j * size + i : i * size + j;
}

/** The state in local names: rounded to the dtype, as what is stored is. */
function shortBody(spec: FoldSpec): string[] {
  const { dtype, shared, size, short, adjoint } = spec;
  const round = (text: string): string => dtype === "f32" ? `fround(${text})` : text;
  const term = (i: number, j: number): string => {
    const unit = i - i % size;
    return `A[g${shared ? "" : ` + ${unit * size + entry(spec, i % size, j)}`}] * s${unit + j}`;
  };
  // Unit by unit: few names live at a time.
  const units = list(short / size, (u) => {
    const all = list(size, (k) => u * size + k);
    return [
      ...all.map((i) => `const n${i} = ${round(`F[q + ${i}] + ${sum(size, (j) => term(i, j))}`)};`),
      ...all.map((i) => `Y[q + ${i}] = s${i} = n${i};`),
    ];
  });
  const first = list(short, (i) => `Y[q + ${i}] = s${i} = ${round(`F[q + ${i}] + s${i}`)};`);
  return [
    ...list(short, (i) => `let s${i} = H[h + ${i}];`),
    ...(adjoint ? [...first, "q += dq;"] : []),
    `for (let r = ${adjoint ? 1 : 0}; r < time; r++) {`,
    ...units.flat(),
    "q += dq; g += dg;",
    "}",
  ];
}

/** Many channels that do not mix: after the first row the state is read where it was written. */
function elementBody({ shared, reverse, adjoint }: FoldSpec): string[] {
  const head = adjoint
    ? []
    : [`for (let i = 0; i < D; i++) Y[q + i] = A[g${shared ? "" : " + i"}] * H[h + i] + F[q + i];`];
  if (shared) {
    return [
      ...head,
      "for (let r = 1; r < time; r++) {",
      adjoint ? "const a = A[g]; q += dq; g += dg;" : "q += dq; g += dg; const a = A[g];",
      ...strips("q", "q + D", false, (i) => `Y[${i}] = a * Y[${i} - dq] + F[${i}];`),
      "}",
    ];
  }
  // All further rows are one run of elements.
  const [low, high] = reverse ? ["s * time * D", "q"] : ["q + D", "(s + 1) * time * D"];
  const element = (i: string): string => `Y[${i}] = A[${i}${adjoint ? " - dq" : ""}] * Y[${i} - dq] + F[${i}];`;
  return [...head, ...strips(low, high, reverse, element)];
}

/** A loop over the elements from `low` to `high`, several a turn, or from the last to the first. */
function strips(low: string, high: string, descending: boolean, element: (i: string) => string): string[] {
  const several = list(STRIP, (k) => element(`(i + ${k})`));
  if (descending) {
    return [
      `let i = ${high}; const low = ${low};`,
      `while (i - ${STRIP} >= low) { i -= ${STRIP};`,
      ...several,
      "}",
      `while (i > low) { i--; ${element("i")} }`,
    ];
  }
  return [
    `let i = ${low}; const high = ${high};`,
    `for (; i + ${STRIP} <= high; i += ${STRIP}) {`,
    ...several,
    "}",
    `for (; i < high; i++) { ${element("i")} }`,
  ];
}

/**
 * A loop over `count` rows, `ROWS` a turn, in the direction of the scan: reads that go backward from block to block but
 * forward within each cost three times as much.
 */
function overRows(count: number, reverse: boolean, i: string, turn: (rows: number) => string[]): string[] {
  const whole = count - count % ROWS;
  const loop = (from: number, to: number, rows: number): string[] => {
    if (from === to) return [];
    const head = reverse
      ? `for (let ${i} = ${to - rows}; ${i} >= ${from}; ${i} -= ${rows}) {`
      : `for (let ${i} = ${from}; ${i} < ${to}; ${i} += ${rows}) {`;
    return [head, ...turn(rows), "}"];
  };
  const loops = [loop(0, whole, ROWS), loop(whole, count, 1)];
  return (reverse ? loops.reverse() : loops).flat();
}

/** Blocks side by side; one block is the dense case. */
function blockBody(spec: FoldSpec): string[] {
  const { size, reverse, adjoint } = spec;
  const block = adjoint
    ? size <= COLUMN_MOST ? expressions(spec) : columnSums(spec)
    : size <= ROW_MOST
    ? expressions(spec)
    : rowSums(spec);
  return [
    adjoint ? "let B = Y, p = q; q += dq;" : "let B = H, p = h;",
    `for (let r = ${adjoint ? 1 : 0}; r < time; r++) {`,
    reverse ? "for (let u = units - 1; u >= 0; u--) {" : "for (let u = 0; u < units; u++) {",
    `const f = q + u * ${size}, v = p + u * ${size}, m = g + u * ${size * size};`,
    ...block,
    "}",
    "B = Y; p = q; q += dq; g += dg;",
    "}",
  ];
}

/** The unit's state in local names, each component one expression. */
function expressions(spec: FoldSpec): string[] {
  const { size, reverse, adjoint } = spec;
  const terms = sum(size, (j) => `A[e + ${entry(spec, 0, j)}] * w${j}`);
  const loop = reverse ? `for (let i = ${size - 1}; i >= 0; i--) {` : `for (let i = 0; i < ${size}; i++) {`;
  return [
    ...list(size, (j) => `const w${j} = B[v + ${j}];`),
    loop,
    `const e = m + ${adjoint ? "i" : `i * ${size}`};`,
    `Y[f + i] = F[f + i] + ${terms};`,
    "}",
  ];
}

/** Several rows of A at a time: each component of the state is read once for all of them. */
function rowSums({ size, reverse }: FoldSpec): string[] {
  return overRows(size, reverse, "i", (rows) => [
    `let ${list(rows, (k) => `t${k} = F[f + i + ${k}]`).join(", ")};`,
    `for (let j = 0, e = m + i * ${size}; j < ${size}; j++, e++) {`,
    "const w = B[v + j];",
    ...list(rows, (k) => `t${k} += A[e + ${k * size}] * w;`),
    "}",
    ...list(rows, (k) => `Y[f + i + ${k}] = t${k};`),
  ]);
}

/** Aᵀ v by the rows of A, several at a time: memory is read in order. */
function columnSums({ size, reverse }: FoldSpec): string[] {
  return [
    `for (let i = 0; i < ${size}; i++) W[i] = F[f + i];`,
    ...overRows(size, reverse, "j", (rows) => [
      ...list(rows, (k) => `const w${k} = B[v + j + ${k}];`),
      `for (let i = 0, e = m + j * ${size}; i < ${size}; i++, e++) {`,
      `W[i] += ${sum(rows, (k) => `A[e + ${k * size}] * w${k}`)};`,
      "}",
    ]),
    `for (let i = 0; i < ${size}; i++) Y[f + i] = W[i];`,
  ];
}
