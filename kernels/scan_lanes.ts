import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel, type KernelParts } from "./kernel.ts";
import {
  aggregateAt,
  aggregateWords,
  channelOffset,
  componentOf,
  isSweep,
  matrixFunctions,
  matrixRowOf,
  rowOf,
  SCAN_PARAMS,
  type ScanElements,
  type ScanStart,
  vectorOf,
  vectorType,
} from "./scan_elements.ts";
import { sinkText, takesPart } from "./scan_sinks.ts";
import { stateWord } from "./sequence.ts";

/** Invocations of a workgroup. */
export const LANES = 64;

/** One kernel of a scan by lanes: n ≤ 4, and n = 1 for matrices that are scalar, identity or zero. */
export interface LanesSpec extends ScanElements {
  readonly phase: "reduce" | "apply";
  /** apply: where the state before a chunk comes from. */
  readonly start: ScanStart;
}

const HEADER = `
s[t] = A[t] s[t-1] + r[t] over units of n <= 4 components, chunk by chunk, in registers.
One invocation per (sequence, chunk, unit), neighbours on neighbouring units: at every t they read neighbouring words.
reduce: the affine map of each chunk, combine(earlier, later) = (A2 A1, A2 b1 + b2), to AGG[sequence, chunk, word, unit].
apply: each chunk again from its exact start (Blelloch 1990; three phases as in Merrill & Garland 2016, without look-back).
adjoint: A of the row met before, transposed; row 0 of all takes none unless the scan goes on from another.
Bytes per element (n = 1): recurrence 8 + 12; update 12 + 16, of n x n matrices 4 n more in each phase.
Operations per element: reduce 2 n (n + 1), apply 2 n. Loops: chunk rows / unroll + unroll - 1 turns.
Limits: chunk products beyond 3e38 in f32 lose what they multiply: the answer is then not finite.
`;

/** Rows of a turn: loads of all of them go out before the first product waits. */
function unrollOf(n: number): number {
  return n === 1 ? 4 : n === 2 ? 2 : 1;
}

function has(matrix: ScanElements["matrix"]): boolean {
  return matrix === "full" || matrix === "scalar";
}

/** `let`s that load row k of a turn. */
function load(spec: LanesSpec, k: number): string[] {
  const { matrix, size: n, layout, reverse, adjoint, sink } = spec;
  const sign = reverse ? "-" : "+";
  const at = k === 0 ? ["q", "g"] : [`(q ${sign} ${k}u * width)`, `(g ${sign} ${k}u * matrixWidth)`];
  const vector = (array: string, base: string): string =>
    vectorOf(n, (p) => `${array}[P.${base} + ${at[0]} + ${channelOffset(layout, p)}]`);
  const entry = (i: number, j: number): string => `A[P.matrixBase + ${at[1]} + ${adjoint ? j * n + i : i * n + j}u]`;
  const rows = has(matrix) ? Array.from({ length: n }, (_, i) => i) : [];
  return [
    ...rows.map((i) => `let m${k}${i} = ${vectorOf(n, (j) => entry(i, j))};`),
    `let f${k} = ${vector("F", "vectorBase")};`,
    isSweep(sink) ? `let y${k} = ${vector("Y", "outBase")};` : "",
  ];
}

/** WGSL of `A v` of row k. */
function product({ matrix, size: n }: LanesSpec, k: number, v: string, act = "act"): string {
  if (matrix === "zero") return `${vectorType(n)}()`;
  if (matrix === "identity") return v;
  return `${act}(${Array.from({ length: n }, (_, i) => `m${k}${i}`).join(", ")}, ${v})`;
}

/** Row k composed onto the chunk's map. */
function compose(spec: LanesSpec, k: number): string[] {
  const { matrix, size: n, sink } = spec;
  const residual = sink === "recurrence" ? `f${k}` : sink === "absolute" ? `abs(f${k} - y${k})` : `f${k} - y${k}`;
  // As apply does: a contribution that is not finite counts as 0.
  const linear = product(spec, k, "s");
  return [
    ...(has(matrix) ? Array.from({ length: n }, (_, j) => `a${j} = ${product(spec, k, `a${j}`)};`) : []),
    `s = ${isSweep(sink) && has(matrix) ? `tame(${linear})` : linear} + ${residual};`,
  ];
}

/** The state at row k, and what the sink does with it. */
function visit(spec: LanesSpec, k: number, exactly = false): string[] {
  const { size: n, layout, sink, reverse } = spec;
  const at = k === 0 ? "q" : `(q ${reverse ? "-" : "+"} ${k}u * width)`;
  const store = (array: string, vector: string): string[] =>
    Array.from(
      { length: n },
      (_, p) => `${array}[P.outBase + ${at} + ${channelOffset(layout, p)}] = ${componentOf(n, vector, p)};`,
    );
  const [f, y, l] = [`f${k}`, `y${k}`, `l${k}`];
  const part = (vector: string, p: number): string => componentOf(n, vector, p);
  if (sink === "recurrence") return [`s = ${product(spec, k, "s")} + ${f};`, ...store("OUT", "s")];
  const linear = exactly ? "" : `let ${l} = ${product(spec, k, "s")};`;
  if (sink !== "update") {
    return [linear, `s = ${vectorOf(n, (p) => `measure(${part(f, p)}, ${part(l, p)}, ${part(y, p)})`)};`];
  }
  const word = (p: number): string => `${at} + ${channelOffset(layout, p)}`;
  const next = vectorOf(
    n,
    (p) =>
      exactly
        ? `exactly(r, ${word(p)}, ${part(f, p)}, ${part(y, p)})`
        : `advance(r + ${k}u, ${word(p)}, ${part(f, p)}, ${part(l, p)}, ${part(y, p)}, limit)`,
  );
  return [linear, `let v${k} = ${next};`, ...store("Y", `v${k}`), `s = v${k} - ${y};`];
}

/** The loop over the rows from r to `last`. */
function loop(spec: LanesSpec, body: (k: number) => string[]): string[] {
  const unroll = unrollOf(spec.size);
  const assign = spec.reverse ? "-=" : "+=";
  const each = (k: number): string[] => Array.from({ length: k }, (_, i) => i).flatMap((i) => load(spec, i));
  const step = (k: number): string => `q ${assign} ${k}u * width; g ${assign} ${k}u * matrixWidth;`;
  const rest = ["for (; r < last; r++) {", ...load(spec, 0), ...body(0), step(1), "}"];
  if (unroll === 1) return rest;
  return [
    `for (; r + ${unroll}u <= last; r += ${unroll}u) {`,
    ...each(unroll),
    ...Array.from({ length: unroll }, (_, k) => k).flatMap(body),
    step(unroll),
    "}",
    ...rest,
  ];
}

/** Where the invocation is, and the addresses of its first row. */
function place(spec: LanesSpec): string[] {
  const { sink, matrix, size: n, layout } = spec;
  return [
    `let i = group * ${LANES}u + lane;`,
    "if (i >= P.batch * P.chunks * P.units) { return; }",
    "let u = i % P.units; let c = (i / P.units) % P.chunks; let b = i / (P.units * P.chunks);",
    isSweep(sink) ? `if (!(${takesPart(sink)})) { return; }` : "",
    "let first = c * P.chunkRows; let last = min(first + P.chunkRows, P.rows);",
    sink === "update"
      ? `let exact = atomicLoad(&${stateWord("exact", "b")}); var r = max(first, exact);`
      : "var r = first;",
    `let width = P.units * ${n}u; let matrixWidth = ${matrix === "scalar" ? "1u" : `P.units * ${n * n}u`};`,
    `var q = ${rowOf(spec, "r")} * width + u${layout === "contiguous" ? ` * ${n}u` : ""};`,
    `let matrixRow = ${matrixRowOf(spec, "r")};`,
    `var g = ${matrix === "scalar" ? "matrixRow" : `(matrixRow * P.units + u) * ${n * n}u`};`,
  ];
}

/** Row 0 of an adjoint scan, which has no matrix: what would be there may be anything. */
function bareRow(spec: LanesSpec): string[] {
  if (!spec.adjoint) return [];
  const { phase, reverse } = spec;
  const assign = reverse ? "-=" : "+=";
  const withoutMatrix = { ...spec, matrix: "identity" } as const;
  return [
    "if (r < P.bare) {",
    ...load(withoutMatrix, 0),
    ...(phase === "reduce" ? ["s = f0;"] : visit(withoutMatrix, 0)),
    `r++; q ${assign} width; g ${assign} matrixWidth;`,
    "}",
  ];
}

function reduceMain(spec: LanesSpec): string[] {
  const { matrix, size: n } = spec;
  const words = aggregateWords(matrix, n);
  const store = (w: number, value: string): string => `${aggregateAt("AGG", words, w)} = ${value};`;
  const columns = has(matrix) ? Array.from({ length: n }, (_, j) => j) : [];
  return [
    ...place(spec),
    ...columns.map((j) => `var a${j} = ${vectorOf(n, (i) => (i === j ? "1.0" : "0.0"))};`),
    `var s = ${vectorType(n)}();`,
    ...bareRow(spec),
    ...loop(spec, (k) => compose(spec, k)),
    ...columns.flatMap((j) => columns.map((i) => store(i * n + j, componentOf(n, `a${j}`, i)))),
    ...Array.from({ length: n }, (_, p) => store(words - n + p, componentOf(n, "s", p))),
  ];
}

function applyMain(spec: LanesSpec): string[] {
  const { matrix, size: n, sink, layout, start } = spec;
  const words = aggregateWords(matrix, n);
  const channel = (p: number): string =>
    `b * width + ${layout === "contiguous" ? `u * ${n}u` : "u"} + ${channelOffset(layout, p)}`;
  const sources: Readonly<Record<ScanStart, string>> = {
    zeros: `${vectorType(n)}()`,
    vector: vectorOf(n, (p) => isSweep(sink) ? `CARRY[${channel(p)}]` : `START[P.startBase + ${channel(p)}]`),
    aggregates: vectorOf(n, (p) => aggregateAt("AGG", words, words - n + p)),
  };
  const exact = [
    "if (exact >= first && exact < last) {",
    ...load(spec, 0),
    ...visit(spec, 0, true),
    "r++; q += width; g += matrixWidth;",
    // What the phases before computed of rows that are exact must not pretend that later ones are.
    "} else if (first > exact && isSome(s)) { changed = first - 1u; }",
  ];
  return [
    ...place(spec),
    `var s = ${sources[start]};`,
    ...(sink === "update" ? [`let limit = bitcast<f32>(atomicLoad(&${stateWord("limit", "b")}));`, ...exact] : []),
    ...bareRow(spec),
    ...loop(spec, (k) => visit(spec, k)),
    ...(sink === "first-order" || sink === "absolute"
      ? [
        "if (last == P.rows) {",
        ...Array.from({ length: n }, (_, p) => `CARRY[${channel(p)}] = ${componentOf(n, "s", p)};`),
        "}",
      ]
      : []),
    ...sinkText(sink).publish,
  ];
}

/** The arrays of a kernel, by name, in the order of its bindings after the uniform. */
export function lanesArrays({ phase, sink, matrix, start }: LanesSpec): KernelParts["bindings"] {
  const floats = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" }) as const;
  const applies = phase === "apply";
  const carries = sink === "first-order" || sink === "absolute";
  return [
    ...(has(matrix) ? [floats("A", "read")] : []),
    floats("F", "read"),
    ...(isSweep(sink) ? [floats("Y", applies && sink === "update" ? "read_write" : "read")] : []),
    ...(isSweep(sink) ? [{ name: "S", kind: "read_write", type: "array<atomic<u32>>" } as const] : []),
    ...(applies && sink === "update" ? [floats("GUESS", "read")] : []),
    ...(applies && sink === "recurrence" ? [floats("OUT", "read_write")] : []),
    ...(applies && carries ? [floats("CARRY", "read_write")] : []),
    ...(applies && sink === "recurrence" && start === "vector" ? [floats("START", "read")] : []),
    ...(!applies ? [floats("AGG", "read_write")] : start === "aggregates" ? [floats("AGG", "read")] : []),
  ];
}

/** One phase of a scan by lanes. */
export function lanesKernel(spec: LanesSpec): Kernel {
  const { phase, sink, matrix, size: n, layout, reverse, adjoint, start } = spec;
  const main = phase === "reduce" ? reduceMain(spec) : applyMain(spec);
  const code = [...matrixFunctions(n), ...(phase === "apply" ? sinkText(sink).declarations : [])];
  const directions = [...(reverse ? ["reverse"] : []), ...(adjoint ? ["adjoint"] : [])];
  const form = [sink, matrix, n, layout, ...directions, ...(phase === "apply" ? [start] : [])];
  return assembleKernel({
    name: `scan-lanes ${phase} ${form.join(" ")}`,
    header: HEADER,
    bindings: [{ name: "P", kind: "uniform", type: "Params" }, ...lanesArrays(spec)],
    declarations: [SCAN_PARAMS, ...functionsOf([...code, ...main].join("\n")), ...code],
    workgroup: LANES,
    main,
  });
}
