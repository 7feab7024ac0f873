import {
  atomicWord,
  denseArrays,
  denseBindings,
  type DenseKernel,
  type DenseSpec,
  type DenseTurns,
  denseWords,
  plainWord,
  residualText,
  sequenceText,
} from "./dense.ts";
import { functionsOf } from "./functions.ts";
import { assembleKernel } from "./kernel.ts";
import { componentOf, matrixFunctions, vectorOf, vectorType } from "./scan_elements.ts";
import { sinkText } from "./scan_sinks.ts";
import { INFO, locateRow } from "./traced.ts";

/** Invocations of a workgroup, each with a chunk of its own. */
export const DENSE_LANES = 64;

/** Turns of all loops for each row, and beside the rows; the test that ends a loop is one. */
export function denseLaneTurns({ code }: Pick<DenseSpec, "code">): DenseTurns {
  return { row: 1 + code.turns, fixed: 1 };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, k) => k);

/** n of the n × n matrices of a unit. */
const sizeOf = ({ shape, units }: DenseSpec): number => shape.state / units;

/** Words p of this unit in a row of D words. */
function channels({ shape: { state }, units }: DenseSpec, array: string, row: string): string {
  const n = state / units;
  return vectorOf(n, (p) => `${array}[${row} * ${state}u + u * ${n}u + ${p}u]`);
}

/** Word w of the map of this chunk and unit. */
function mapWord(spec: DenseSpec, w: number): string {
  return `AGG[(chunkIndex * ${denseWords(sizeOf(spec))}u + ${w}u) * ${spec.units}u + u]`;
}

/** Rows of G as vectors `m0, ...`, and f - h as `residual`. */
function linearise(spec: DenseSpec): string[] {
  const { entry, value, sink } = spec;
  const n = sizeOf(spec);
  return [
    ...range(n).flatMap((i) => [
      `var m${i} = ${vectorType(n)}();`,
      ...range(n).flatMap((k) => [
        "{",
        `let i = ${i}u; let k = ${k}u;`,
        ...entry,
        `${componentOf(n, `m${i}`, k)} = g;`,
        "}",
      ]),
    ]),
    `var f = ${vectorType(n)}();`,
    ...range(n).map((p) => `{ let i = ${p}u; ${componentOf(n, "f", p)} = ${value}; }`),
    `let was = ${channels(spec, "Y", "n")};`,
    `let residual = ${residualText(sink, "f", "was")};`,
  ];
}

/** The loop over the rows of a chunk; h of the row before is in scratch, the row itself is the next one's. */
function overRows(spec: DenseSpec, visit: readonly string[]): string[] {
  const n = sizeOf(spec);
  return [
    "for (var r = begin; r < last; r++) {",
    ...locateRow(spec.shape, "r"),
    ...range(n).map((p) => `W[${p}] = ${componentOf(n, "h", p)};`),
    ...spec.code.lines,
    ...linearise(spec),
    ...visit,
    "h = was;",
    "}",
  ];
}

function place(spec: DenseSpec): string[] {
  const { phase, sink, units, shape: { state } } = spec;
  const { out, exact } = sequenceText(sink, phase === "reduce" ? plainWord : atomicWord);
  const n = sizeOf(spec);
  const before = `h = ${channels(spec, "Y", "(b * P.rows + begin - 1u)")};`;
  const kept = vectorOf(n, (p) => `AGG[P.second + (chunkIndex - 1u) * ${state}u + u * ${n}u + ${p}u]`);
  const overwritten = phase === "apply" && sink === "update" && spec.chunked;
  return [
    `let index = group * ${DENSE_LANES}u + lane;`,
    `if (index >= P.batch * P.chunks * ${units}u) { return; }`,
    `let u = index % ${units}u; let chunkIndex = index / ${units}u;`,
    "let c = chunkIndex % P.chunks; let b = chunkIndex / P.chunks;",
    `if (${out}) { return; }`,
    `let exact = ${exact};`,
    "let first = c * P.chunk; let last = min(first + P.chunk, P.rows); let begin = max(first, exact);",
    `var h = ${channels(spec, "START", "b")};`,
    // Rows are overwritten: what stood before a chunk is kept by the reduction.
    overwritten
      ? `if (begin > first) { ${before} } else if (c > 0u) { h = ${kept}; }`
      : `if (begin > 0u) { ${before} }`,
  ];
}

function reduceMain(spec: DenseSpec): string[] {
  const { sink, shape: { state } } = spec;
  const n = sizeOf(spec);
  const rows = range(n).map((i) => `m${i}`).join(", ");
  // Before an exact row the difference is zero, whatever it was earlier.
  const one = sink === "update" ? "select(1.0, 0.0, exact >= first)" : "1.0";
  return [
    ...place(spec),
    ...range(n).map((j) => `var a${j} = ${vectorOf(n, (i) => i === j ? one : "0.0")};`),
    `var s = ${vectorType(n)}();`,
    ...overRows(spec, [
      ...range(n).map((j) => `a${j} = act(${rows}, a${j});`),
      `s = tame(act(${rows}, s)) + residual;`,
    ]),
    ...range(n).flatMap((j) => range(n).map((i) => `${mapWord(spec, i * n + j)} = ${componentOf(n, `a${j}`, i)};`)),
    ...range(n).map((p) => `${mapWord(spec, n * n + p)} = ${componentOf(n, "s", p)};`),
    `let end = ${channels(spec, "Y", "(b * P.rows + last - 1u)")};`,
    ...range(n).map((p) => `AGG[P.second + chunkIndex * ${state}u + u * ${n}u + ${p}u] = ${componentOf(n, "end", p)};`),
  ];
}

function applyMain(spec: DenseSpec): string[] {
  const { shape: { state }, sink, chunked } = spec;
  const n = sizeOf(spec);
  const rows = range(n).map((i) => `m${i}`).join(", ");
  const part = (vector: string, p: number): string => componentOf(n, vector, p);
  const updates = sink === "update";
  const start = chunked
    ? vectorOf(n, (p) => mapWord(spec, n * n + p))
    : updates
    ? `${vectorType(n)}()`
    : channels(spec, "CARRY", "b");
  const word = (row: string, p: number): string => `${row} * ${state}u + u * ${n}u + ${p}u`;
  const each = (call: (p: number) => string): string => vectorOf(n, call);
  const next = updates
    ? [
      `var v = ${vectorType(n)}();`,
      "if (r == exact) {",
      `v = ${each((p) => `exactly(r, ${word("n", p)}, ${part("f", p)}, ${part("was", p)})`)};`,
      "} else {",
      `v = ${
        each((p) => `advance(r, ${word("n", p)}, ${part("f", p)}, ${part("linear", p)}, ${part("was", p)}, limit)`)
      };`,
      "}",
      ...range(n).map((p) => `Y[${word("n", p)}] = ${part("v", p)};`),
      "s = v - was;",
    ]
    : [`s = ${each((p) => `measure(${part("f", p)}, ${part("linear", p)}, ${part("was", p)})`)};`];
  const before = [
    `let limit = bitcast<f32>(${atomicWord("limit", "b")});`,
    `if (exact >= first) { s = ${vectorType(n)}(); } else if (isSome(s)) { changed = first - 1u; }`,
  ];
  const after = ["if (last == P.rows) {", ...range(n).map((p) => `CARRY[${word("b", p)}] = ${part("s", p)};`), "}"];
  return [
    ...place(spec),
    `var s = ${start};`,
    ...(updates ? before : []),
    ...overRows(spec, [`let linear = act(${rows}, s);`, ...next]),
    ...(updates ? [] : after),
    ...sinkText(sink).publish,
  ];
}

/**
 * s[t] = G[t] s[t-1] + (f(h[t-1]) - h[t]) over units of n ≤ 4 states, f and G evaluated in place: the whole of a small step,
 * or each state of an elementwise one. One invocation a chunk and unit, all in registers. reduce: the map of each chunk to
 * AGG, and its last row, which apply overwrites. apply: from the exact start, h⁺ = f + G δ.
 *
 * Bytes a row and unit: 4 (n + Z + X) in each phase, apply 4 n more, where f and entries in memory would move 4 (3 n + 2 n²)
 * more; operations: f and G, 2 n² (n + 1) and 2 n².
 */
export function emitDenseLane(spec: DenseSpec): DenseKernel {
  const { phase, sink, code, name, shape, units } = spec;
  const n = sizeOf(spec);
  const main = phase === "reduce" ? reduceMain(spec) : applyMain(spec);
  const functions = [...matrixFunctions(n), ...(phase === "apply" ? sinkText(sink).declarations : [])];
  const kernel = assembleKernel({
    name: `${name} ${phase}`,
    header: `${name} ${phase}: a scan over dense matrices evaluated in place; ${
      units === 1 ? "one invocation a chunk" : `one invocation a chunk and each of ${units} states`
    }, in registers.
      Bindings: numbers, parameters and constants, hoisted values, inputs, start states, iterate, state of the sequences, then
      by phase. Bytes a row: ${4 * (shape.state + shape.hoisted + shape.input)}. Turns: ${
      denseLaneTurns(spec).row
    } a row.`,
    bindings: denseBindings(spec),
    declarations: [
      INFO,
      `var<private> W: array<f32, ${code.scratch}>;`,
      ...functionsOf([...functions, ...main].join("\n")),
      ...functions,
    ],
    workgroup: DENSE_LANES,
    main,
  });
  return { ...kernel, arrays: denseArrays(spec) };
}
