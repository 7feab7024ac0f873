import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel, type KernelParts } from "./kernel.ts";
import {
  aggregateAt,
  aggregateWords,
  isSweep,
  matrixFunctions,
  matrixRowOf,
  rowOf,
  SCAN_PARAMS,
  type ScanElements,
} from "./scan_elements.ts";
import { sinkText, takesPart } from "./scan_sinks.ts";
import { stateWord } from "./sequence.ts";

const LANES = 256;
const EACH = 8;

/** Rows of a chunk. */
export const TIME_TILE: number = LANES * EACH;

/** One kernel of a scan with lanes on time: n = 1. More than one chunk, so that `apply` starts from aggregates. */
export interface TimeSpec extends Pick<ScanElements, "sink" | "matrix" | "reverse" | "adjoint"> {
  readonly phase: "reduce" | "apply";
}

const HEADER = `
s[t] = a[t] s[t-1] + r[t] for few channels: a workgroup per (sequence, chunk of 2048 rows, unit), lanes on time.
Arrays are read in order and go through workgroup memory (8.25 KiB) so that each invocation holds 8 rows one after the
other; it composes them, the workgroup scans the 256 maps (Kogge & Stone 1973), and apply goes over the 8 rows again.
reduce: the map of the chunk to AGG. apply: from the state before the chunk in AGG.
adjoint: a of the row met before; row 0 of all takes 1 unless the scan goes on from another.
Bytes per element: recurrence 8 + 12; update 12 + 16. Operations: 6, and 5 per element for the scan. No loops.
Workgroup memory: 12.3 KiB. Barriers: 2 per array and 8.
`;

const each = (emit: (k: number) => string): string[] => Array.from({ length: EACH }, (_, k) => emit(k));
/** The place of row j of the chunk: rows that are 8 apart fall into different banks. */
const slot = (j: string): string => `tile[(${j}) + ((${j}) >> 5u)]`;
const inOrder = (k: number): string => `${k * LANES}u + lane`;
const own = (k: number): string => `lane * ${EACH}u + ${k}u`;

/** An array as it is staged: the word of row `first + j`, whether there is one, and what it is where there is none. */
interface Staged {
  readonly at: (j: string) => string;
  readonly has: (j: string) => string;
  readonly outside: string;
}

/** The word of row `first + j` of the unit. */
function wordOf(spec: TimeSpec, j: string): string {
  return `${rowOf(spec, `(first + ${j})`)} * P.units + u`;
}

function vector(spec: TimeSpec, array: string, base: string): Staged {
  return { at: (j) => `${array}[P.${base} + ${wordOf(spec, j)}]`, has: () => "", outside: "0.0" };
}

/** Matrices; scalar ones are shared by all units. */
function matrices(spec: TimeSpec): Staged {
  const row = (j: string): string => matrixRowOf(spec, `(first + ${j})`);
  const word = (j: string): string => spec.matrix === "scalar" ? row(j) : `${row(j)} * P.units + u`;
  const has = (j: string): string => spec.adjoint ? ` && first + ${j} >= P.bare` : "";
  return { at: (j) => `A[P.matrixBase + ${word(j)}]`, has, outside: "1.0" };
}

/** Loads an array in order and hands each invocation its 8 rows. */
function stage(spec: TimeSpec, name: string, { at, has, outside }: Staged): string[] {
  return [
    ...each((k) => `if (first + ${inOrder(k)} < last${has(inOrder(k))}) { ${slot(inOrder(k))} = ${at(inOrder(k))}; }`),
    "workgroupBarrier();",
    ...each((k) => `var ${name}${k} = select(${outside}, ${slot(own(k))}, ${inside(spec, k)}${has(own(k))});`),
    "workgroupBarrier();",
  ];
}

/** WGSL: whether own row k takes part. */
function inside({ sink }: TimeSpec, k: number): string {
  const row = `first + ${own(k)}`;
  return sink === "update" ? `${row} < last && ${row} >= exact` : `${row} < last`;
}

/** Where the workgroup is, whether it has anything to do, and the rows of each invocation. */
function place(spec: TimeSpec): string[] {
  const { sink, phase, matrix } = spec;
  const words = aggregateWords(matrix, 1);
  const nothing = Array.from(
    { length: words },
    (_, w) => `${aggregateAt("AGG", words, w)} = ${w === words - 1 ? "0.0" : "1.0"};`,
  );
  const exact = [
    `let exact = atomicLoad(&${stateWord("exact", "b")});`,
    `let limit = bitcast<f32>(atomicLoad(&${stateWord("limit", "b")}));`,
    `if (lane == 0u && exact >= last) { skip = 1u;${phase === "reduce" ? ` ${nothing.join(" ")}` : ""} }`,
  ];
  const skipping = [
    `if (lane == 0u) { skip = select(1u, 0u, ${takesPart(sink)}); }`,
    ...(sink === "update" ? exact : []),
    "if (workgroupUniformLoad(&skip) != 0u) { return; }",
  ];
  return [
    "let u = group % P.units; let c = group / P.units % P.chunks; let b = group / (P.units * P.chunks);",
    "if (b >= P.batch) { return; }",
    `let first = c * ${TIME_TILE}u; let last = min(first + ${TIME_TILE}u, P.rows);`,
    ...(isSweep(sink) ? skipping : []),
    ...(matrix === "identity" ? [] : stage(spec, "m", matrices(spec))),
    ...stage(spec, "f", vector(spec, "F", "vectorBase")),
    ...(isSweep(sink) ? stage(spec, "y", vector(spec, "Y", "outBase")) : []),
  ];
}

const product = ({ matrix }: TimeSpec, k: number): string => matrix === "identity" ? "s" : `act(m${k}, s)`;

/** The maps of all invocations up to each, in `a` and `s`; their copies are in workgroup memory at `maps`. */
function scanLanes(spec: TimeSpec): { readonly lines: string[]; readonly half: number } {
  const { matrix, sink } = spec;
  const couples = matrix !== "identity";
  const publish = (half: number): string =>
    `vectors[${half * LANES}u + lane] = s;${couples ? ` matrices[${half * LANES}u + lane] = a;` : ""}`;
  const lines = [
    couples ? "var a = 1.0;" : "",
    "var s = 0.0;",
    ...each((k) => {
      const residual = !isSweep(sink) ? `f${k}` : sink === "absolute" ? `abs(f${k} - y${k})` : `(f${k} - y${k})`;
      const linear = isSweep(sink) && couples ? `tame(${product(spec, k)})` : product(spec, k);
      return `${couples ? `a = act(m${k}, a); ` : ""}s = ${linear} + ${residual};`;
    }),
    publish(0),
    "workgroupBarrier();",
  ];
  let half = 0;
  for (let distance = 1; distance < LANES; distance *= 2) {
    const before = `${half * LANES}u + lane - ${distance}u`;
    half = 1 - half;
    lines.push(
      `if (lane >= ${distance}u) {`,
      couples ? `s = actOn(a, vectors[${before}]) + s; a = a * matrices[${before}];` : `s = vectors[${before}] + s;`,
      "}",
      publish(half),
      "workgroupBarrier();",
    );
  }
  return { lines, half };
}

function reduceMain(spec: TimeSpec): string[] {
  const words = aggregateWords(spec.matrix, 1);
  return [
    ...place(spec),
    ...scanLanes(spec).lines,
    `if (lane == ${LANES - 1}u) {`,
    spec.matrix === "identity" ? "" : `${aggregateAt("AGG", words, 0)} = a;`,
    `${aggregateAt("AGG", words, words - 1)} = s;`,
    "}",
  ];
}

function visit(spec: TimeSpec, k: number): string {
  const { sink } = spec;
  const row = `first + ${own(k)}`;
  if (sink === "recurrence") return `s = ${product(spec, k)} + f${k}; f${k} = s;`;
  if (sink !== "update") {
    return `if (${inside(spec, k)}) {
s = measure(f${k}, ${product(spec, k)}, y${k});
if (${row} + 1u == P.rows) { CARRY[b * P.units + u] = s; }
}`;
  }
  const place = `${row}, ${wordOf(spec, own(k))}, f${k}`;
  return `if (${inside(spec, k)}) {
if (${row} == exact) { f${k} = exactly(${place}, y${k}); }
else { f${k} = advance(${place}, ${product(spec, k)}, y${k}, limit); }
s = f${k} - y${k};
}`;
}

function applyMain(spec: TimeSpec): string[] {
  const { sink, matrix } = spec;
  const words = aggregateWords(matrix, 1);
  const { lines, half } = scanLanes(spec);
  const before = `${half * LANES}u + lane - 1u`;
  const array = sink === "update" ? "Y" : "OUT";
  const writes = sink === "recurrence" || sink === "update";
  return [
    ...place(spec),
    ...lines,
    `s = ${aggregateAt("AGG", words, words - 1)};`,
    matrix === "identity"
      ? `if (lane > 0u) { s = s + vectors[${before}]; }`
      : `if (lane > 0u) { s = actOn(matrices[${before}], s) + vectors[${before}]; }`,
    // What the phases before computed of rows that are exact must not pretend that later ones are.
    sink === "update"
      ? `if (first + ${own(0)} > exact && first + ${own(0)} < last && isSome(s)) { changed = first + ${own(0)} - 1u; }`
      : "",
    ...each((k) => visit(spec, k)),
    ...(writes ? each((k) => `${slot(own(k))} = f${k};`) : []),
    ...(writes ? ["workgroupBarrier();"] : []),
    ...(writes
      ? each((k) => {
        const row = `first + ${inOrder(k)}`;
        const takes = sink === "update" ? `${row} < last && ${row} >= exact` : `${row} < last`;
        return `if (${takes}) { ${array}[P.outBase + ${wordOf(spec, inOrder(k))}] = ${slot(inOrder(k))}; }`;
      })
      : []),
    ...sinkText(sink).publish,
  ];
}

/** The arrays of a kernel, by name, in the order of its bindings after the uniform. */
export function timeArrays({ phase, sink, matrix }: TimeSpec): KernelParts["bindings"] {
  const floats = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" }) as const;
  const applies = phase === "apply";
  return [
    ...(matrix === "identity" ? [] : [floats("A", "read")]),
    floats("F", "read"),
    ...(isSweep(sink) ? [floats("Y", applies && sink === "update" ? "read_write" : "read")] : []),
    ...(isSweep(sink) ? [{ name: "S", kind: "read_write", type: "array<atomic<u32>>" } as const] : []),
    ...(applies && sink === "update" ? [floats("GUESS", "read")] : []),
    ...(applies && sink === "recurrence" ? [floats("OUT", "read_write")] : []),
    ...(applies && isSweep(sink) && sink !== "update" ? [floats("CARRY", "read_write")] : []),
    floats("AGG", applies ? "read" : "read_write"),
  ];
}

/** One phase of a scan with lanes on time. */
export function timeKernel(spec: TimeSpec): Kernel {
  const { phase, sink, matrix, reverse, adjoint } = spec;
  const main = phase === "reduce" ? reduceMain(spec) : applyMain(spec);
  const code = [...matrixFunctions(1), ...(phase === "apply" ? sinkText(sink).declarations : [])];
  return assembleKernel({
    name: `scan-time ${phase} ${sink} ${matrix}${reverse ? " reverse" : ""}${adjoint ? " adjoint" : ""}`,
    header: HEADER,
    bindings: [{ name: "P", kind: "uniform", type: "Params" }, ...timeArrays(spec)],
    declarations: [
      SCAN_PARAMS,
      `var<workgroup> tile: array<f32, ${TIME_TILE + TIME_TILE / 32}>;`,
      `var<workgroup> vectors: array<f32, ${2 * LANES}>;`,
      ...(matrix === "identity" ? [] : [`var<workgroup> matrices: array<f32, ${2 * LANES}>;`]),
      ...(isSweep(sink) ? ["var<workgroup> skip: u32;"] : []),
      ...functionsOf([...code, ...main].join("\n")),
      ...code,
    ],
    workgroup: LANES,
    main,
  });
}
