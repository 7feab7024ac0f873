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

/** Rows of G as vectors `m0, ...`, and f - h as `residual`. */
function linearise({ shape: { state: n }, entry, value, sink }: DenseSpec): string[] {
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
    `let was = ${vectorOf(n, (p) => `Y[n * ${n}u + ${p}u]`)};`,
    `let residual = ${residualText(sink, "f", "was")};`,
  ];
}

/** h of the row before into scratch; the row itself is the next one's. */
function given(n: number): string[] {
  return range(n).map((p) => `W[${p}] = ${componentOf(n, "h", p)};`);
}

function place(spec: DenseSpec): string[] {
  const { phase, sink, shape: { state: n } } = spec;
  const { out, exact } = sequenceText(sink, phase === "reduce" ? plainWord : atomicWord);
  const before = (row: string, q: string): string => vectorOf(n, (p) => `${row}[${q} + ${p}u]`);
  const updates = phase === "apply" && sink === "update";
  return [
    `let index = group * ${DENSE_LANES}u + lane;`,
    "if (index >= P.batch * P.chunks) { return; }",
    "let c = index % P.chunks; let b = index / P.chunks;",
    `if (${out}) { return; }`,
    `let exact = ${exact};`,
    "let first = c * P.chunk; let last = min(first + P.chunk, P.rows); let begin = max(first, exact);",
    `var h = ${before("START", `b * ${n}u`)};`,
    // Rows are overwritten: what stood before a chunk is kept by the reduction.
    updates && spec.chunked
      ? `if (begin > first) { h = ${before("Y", `(b * P.rows + begin - 1u) * ${n}u`)}; } else if (c > 0u) { h = ${
        before("AGG", `P.second + (index - 1u) * ${n}u`)
      }; }`
      : `if (begin > 0u) { h = ${before("Y", `(b * P.rows + begin - 1u) * ${n}u`)}; }`,
  ];
}

function reduceMain(spec: DenseSpec): string[] {
  const { shape, sink, code } = spec;
  const n = shape.state;
  const rows = range(n).map((i) => `m${i}`).join(", ");
  const at = `index * ${denseWords(n)}u`;
  return [
    ...place(spec),
    // Before an exact row the difference is zero, whatever it was earlier.
    ...range(n).map((j) =>
      `var a${j} = ${
        vectorOf(n, (i) => i === j ? (sink === "update" ? "select(1.0, 0.0, exact >= first)" : "1.0") : "0.0")
      };`
    ),
    `var s = ${vectorType(n)}();`,
    "for (var r = begin; r < last; r++) {",
    ...locateRow(shape, "r"),
    ...given(n),
    ...code.lines,
    ...linearise(spec),
    ...range(n).map((j) => `a${j} = act(${rows}, a${j});`),
    `s = tame(act(${rows}, s)) + residual;`,
    "h = was;",
    "}",
    ...range(n).flatMap((j) => range(n).map((i) => `AGG[${at} + ${i * n + j}u] = ${componentOf(n, `a${j}`, i)};`)),
    ...range(n).map((p) => `AGG[${at} + ${n * n + p}u] = ${componentOf(n, "s", p)};`),
    ...range(n).map((p) => `AGG[P.second + index * ${n}u + ${p}u] = Y[(b * P.rows + last - 1u) * ${n}u + ${p}u];`),
  ];
}

function applyMain(spec: DenseSpec): string[] {
  const { shape, sink, code, chunked } = spec;
  const n = shape.state;
  const rows = range(n).map((i) => `m${i}`).join(", ");
  const part = (vector: string, p: number): string => componentOf(n, vector, p);
  const start = chunked
    ? vectorOf(n, (p) => `AGG[index * ${denseWords(n)}u + ${n * n + p}u]`)
    : sink === "update"
    ? `${vectorType(n)}()`
    : vectorOf(n, (p) => `CARRY[b * ${n}u + ${p}u]`);
  const word = (p: number): string => `n * ${n}u + ${p}u`;
  const next = sink === "update"
    ? [
      `var v = ${vectorType(n)}();`,
      "if (r == exact) {",
      `v = ${vectorOf(n, (p) => `exactly(r, ${word(p)}, ${part("f", p)}, ${part("was", p)})`)};`,
      "} else {",
      `v = ${
        vectorOf(n, (p) => `advance(r, ${word(p)}, ${part("f", p)}, ${part("linear", p)}, ${part("was", p)}, limit)`)
      };`,
      "}",
      ...range(n).map((p) => `Y[${word(p)}] = ${part("v", p)};`),
      "s = v - was;",
    ]
    : [`s = ${vectorOf(n, (p) => `measure(${part("f", p)}, ${part("linear", p)}, ${part("was", p)})`)};`];
  return [
    ...place(spec),
    `var s = ${start};`,
    ...(sink === "update"
      ? [
        `let limit = bitcast<f32>(${atomicWord("limit", "b")});`,
        `if (exact >= first) { s = ${vectorType(n)}(); } else if (isSome(s)) { changed = first - 1u; }`,
      ]
      : []),
    "for (var r = begin; r < last; r++) {",
    ...locateRow(shape, "r"),
    ...given(n),
    ...code.lines,
    ...linearise(spec),
    `let linear = act(${rows}, s);`,
    ...next,
    "h = was;",
    "}",
    ...(sink === "update"
      ? []
      : ["if (last == P.rows) {", ...range(n).map((p) => `CARRY[b * ${n}u + ${p}u] = ${part("s", p)};`), "}"]),
    ...sinkText(sink).publish,
  ];
}

/**
 * s[t] = G[t] s[t-1] + (f(h[t-1]) - h[t]) for steps of n ≤ 4 states, f and G evaluated in place; one invocation a chunk, all
 * in registers. reduce: the map of each chunk to AGG, and its last row, which apply overwrites. apply: from the exact start,
 * h⁺ = f + G δ. Bytes a row: 4 (2 n + Z + X) in each phase, apply 4 n more; operations: f and G, 2 n² (n + 1) and 2 n².
 */
export function emitDenseLane(spec: DenseSpec): DenseKernel {
  const { phase, sink, shape: { state: n }, code, name } = spec;
  const main = phase === "reduce" ? reduceMain(spec) : applyMain(spec);
  const functions = [...matrixFunctions(n), ...(phase === "apply" ? sinkText(sink).declarations : [])];
  const kernel = assembleKernel({
    name: `${name} ${phase}`,
    header: `${name} ${phase}: a scan over dense matrices evaluated in place; one invocation a chunk, in registers.
      Bindings: numbers, parameters and constants, hoisted values, inputs, start states, iterate, state of the sequences, then
      by phase. Bytes a row: ${4 * (2 * n + spec.shape.hoisted + spec.shape.input)}. Turns: ${
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
