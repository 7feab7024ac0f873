import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel, type KernelParts } from "./kernel.ts";
import {
  aggregateAt,
  aggregateWords,
  channelOffset,
  componentOf,
  matrixFunctions,
  SCAN_PARAMS,
  type ScanElements,
  type ScanStart,
  vectorOf,
  vectorType,
} from "./scan_elements.ts";
import { LANES } from "./scan_lanes.ts";

/** One kernel of the scan over aggregates of chunks: n ≤ 4. */
export interface SpineSpec {
  readonly phase: "reduce" | "apply";
  readonly matrix: "full" | "identity";
  readonly size: number;
  readonly layout: ScanElements["layout"];
  readonly start: ScanStart;
  /** Sweeps: a state that is not finite is left in its place, where the sink sees it, and counts as 0 from there on. */
  readonly tamed: boolean;
}

const HEADER = `
The state before each chunk, from the affine maps of the chunks: the same scan one level up, exclusive, in place.
One invocation per (sequence, group of chunks, unit), in registers.
reduce: the map of each group of LOWER to AGG. apply: the vectors in LOWER become the states before their chunks.
Bytes per aggregate of w words: reduce 4 w, apply 4 w + 4 n. Loops: chunks of a group / unroll + unroll - 1 turns.
`;

const unrollOf = (n: number): number => n === 1 ? 4 : 1;

function load({ matrix, size: n }: SpineSpec, k: number): string[] {
  const words = aggregateWords(matrix, n);
  const word = (w: number): string => `LOWER[q + ${k * words + w}u * P.units]`;
  const rows = matrix === "full" ? Array.from({ length: n }, (_, i) => i) : [];
  return [
    ...rows.map((i) => `let m${k}${i} = ${vectorOf(n, (j) => word(i * n + j))};`),
    `let f${k} = ${vectorOf(n, (p) => word(words - n + p))};`,
  ];
}

function product({ matrix, size: n }: SpineSpec, k: number, v: string): string {
  return matrix === "identity" ? v : `actOn(${Array.from({ length: n }, (_, i) => `m${k}${i}`).join(", ")}, ${v})`;
}

function compose(spec: SpineSpec, k: number): string[] {
  const columns = spec.matrix === "full" ? Array.from({ length: spec.size }, (_, j) => j) : [];
  return [...columns.map((j) => `a${j} = ${product(spec, k, `a${j}`)};`), `s = ${product(spec, k, "s")} + f${k};`];
}

function replace(spec: SpineSpec, k: number): string[] {
  const { matrix, size: n, tamed } = spec;
  const words = aggregateWords(matrix, n);
  return [
    ...Array.from(
      { length: n },
      (_, p) => `LOWER[q + ${(k + 1) * words - n + p}u * P.units] = ${componentOf(n, "s", p)};`,
    ),
    tamed ? `if (!isTame(s)) { s = ${vectorType(n)}(); }` : "",
    `s = ${product(spec, k, "s")} + f${k};`,
  ];
}

function loop(spec: SpineSpec, body: (k: number) => string[]): string[] {
  const words = aggregateWords(spec.matrix, spec.size);
  const turn = (rows: number): string[] => {
    const all = Array.from({ length: rows }, (_, k) => k);
    return [...all.flatMap((k) => load(spec, k)), ...all.flatMap(body), `q += ${rows * words}u * P.units;`, "}"];
  };
  const unroll = unrollOf(spec.size);
  return [
    ...(unroll > 1 ? [`for (; r + ${unroll}u <= last; r += ${unroll}u) {`, ...turn(unroll)] : []),
    "for (; r < last; r++) {",
    ...turn(1),
  ];
}

function main(spec: SpineSpec): string[] {
  const { phase, matrix, size: n, layout, start } = spec;
  const words = aggregateWords(matrix, n);
  const columns = matrix === "full" ? Array.from({ length: n }, (_, j) => j) : [];
  const place = [
    `let i = group * ${LANES}u + lane;`,
    "if (i >= P.batch * P.chunks * P.units) { return; }",
    "let u = i % P.units; let c = (i / P.units) % P.chunks; let b = i / (P.units * P.chunks);",
    "var r = c * P.chunkRows; let last = min(r + P.chunkRows, P.rows);",
    `var q = (b * P.rows + r) * ${words}u * P.units + u;`,
  ];
  if (phase === "reduce") {
    const store = (w: number, value: string): string => `${aggregateAt("AGG", words, w)} = ${value};`;
    return [
      ...place,
      ...columns.map((j) => `var a${j} = ${vectorOf(n, (i) => (i === j ? "1.0" : "0.0"))};`),
      `var s = ${vectorType(n)}();`,
      ...loop(spec, (k) => compose(spec, k)),
      ...columns.flatMap((j) => columns.map((i) => store(i * n + j, componentOf(n, `a${j}`, i)))),
      ...Array.from({ length: n }, (_, p) => store(words - n + p, componentOf(n, "s", p))),
    ];
  }
  const channel = `b * P.units * ${n}u + u${layout === "contiguous" ? ` * ${n}u` : ""}`;
  const sources: Readonly<Record<ScanStart, string>> = {
    zeros: `${vectorType(n)}()`,
    vector: vectorOf(n, (p) => `START[P.startBase + ${channel} + ${channelOffset(layout, p)}]`),
    aggregates: vectorOf(n, (p) => aggregateAt("AGG", words, words - n + p)),
  };
  return [...place, `var s = ${sources[start]};`, ...loop(spec, (k) => replace(spec, k))];
}

/** The arrays of a kernel, by name, in the order of its bindings after the uniform. */
export function spineArrays({ phase, start }: Pick<SpineSpec, "phase" | "start">): KernelParts["bindings"] {
  const floats = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" }) as const;
  if (phase === "reduce") return [floats("LOWER", "read"), floats("AGG", "read_write")];
  return [
    floats("LOWER", "read_write"),
    ...(start === "vector" ? [floats("START", "read")] : start === "aggregates" ? [floats("AGG", "read")] : []),
  ];
}

/** One phase of the scan over aggregates. */
export function spineKernel(spec: SpineSpec): Kernel {
  const { phase, matrix, size: n, layout, start, tamed } = spec;
  const code = [...matrixFunctions(n), ...main(spec)].join("\n");
  const form = phase === "reduce" ? [matrix, n] : [matrix, n, layout, start, ...(tamed ? ["tamed"] : [])];
  return assembleKernel({
    name: `scan-spine ${phase} ${form.join(" ")}`,
    header: HEADER,
    bindings: [{ name: "P", kind: "uniform", type: "Params" }, ...spineArrays(spec)],
    declarations: [SCAN_PARAMS, ...functionsOf(code), ...matrixFunctions(n)],
    workgroup: LANES,
    main: main(spec),
  });
}
