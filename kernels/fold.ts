import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel } from "./kernel.ts";
import type { ScanSink } from "./scan_elements.ts";
import { sinkText } from "./scan_sinks.ts";
import { NONE, stateWord, STATUS } from "./sequence.ts";
import { INFO, locateRow, type RowShape, TRACED_BINDINGS, type TracedCode } from "./traced.ts";

/** What a fold does with each row: it is the answer, or as a sink of scans. */
export type FoldSink = "sequential" | Exclude<ScanSink, "recurrence">;

/** A traced step folded over time. */
export interface FoldSpec {
  readonly name: string;
  readonly sink: FoldSink;
  readonly shape: RowShape;
  /** Its first words of scratch are h, then δ. */
  readonly code: TracedCode;
  /** f and G δ in terms of `i`; without G a zero. */
  readonly value: string;
  readonly action: string;
  readonly lanes: number;
  readonly scratch: "workgroup" | "storage";
}

/** Turns of all loops for each row, and beside the rows; the test that ends a loop is one. */
export function foldTurns({ code, shape: { state }, lanes }: FoldSpec): { row: number; fixed: number } {
  const each = Math.ceil(state / lanes) + 1;
  return { row: 1 + code.turns + each, fixed: 1 + 2 * each };
}

/** The row of each sink: `f`, `was`, and the scratch at `w`. */
function visit({ sink, shape: { state }, value, action }: FoldSpec): string[] {
  const head = [`let at = n * ${state}u + i; let f = ${value};`];
  if (sink === "sequential") {
    return [...head, "if (!isFinite(f)) { bad = min(bad, r); }", "Y[at] = f; W[w + i] = f;"];
  }
  const store = (next: string): string => `W[w + i] = was; W[w + ${state}u + i] = ${next};`;
  const read = `let was = Y[at]; let g = ${action};`;
  if (sink !== "update") return [...head, read, `let e = measure(f, g, was);`, store("e")];
  return [
    ...head,
    read,
    "var v = 0.0;",
    "if (r == exact) { v = exactly(r, at, f, was); } else { v = advance(r, at, f, g, was, limit); }",
    "Y[at] = v;",
    store("v - was"),
  ];
}

/**
 * h⁺[t] = f(h⁺[t-1]), or the sweep h⁺[t] = f(h[t-1]) + G[t] δ[t-1] with δ = h⁺ - h, one row after the other: what is left
 * where products of G are too large to be worth forming. One workgroup a sequence, its lanes on the elements of a row; rows
 * `P.first` to `P.first + P.count`, as loops are bounded: h and δ go on in `CARRY`, or in scratch that is storage.
 *
 * Bytes a row: 4 (Z + X + D), sweeps 4 D more; operations are those of f, with G of f and its Jacobian-vector product.
 */
export function emitFold(spec: FoldSpec): Kernel {
  const { name, sink, shape, code, lanes, scratch } = spec;
  const { state } = shape;
  const text = sink === "sequential" ? { declarations: [], publish: [] } : sinkText(sink);
  const inStorage = scratch === "storage";
  const barrier = inStorage ? "storageBarrier();" : "workgroupBarrier();";
  const atomic = (field: Parameters<typeof stateWord>[0]): string => `atomicLoad(&${stateWord(field, "b")})`;
  const measures = sink === "first-order" || sink === "absolute";
  const each = (body: readonly string[]): string[] => [
    `for (var i = lane; i < ${state}u; i += ${lanes}u) {`,
    ...body,
    "}",
  ];
  const before =
    `var was = START[b * ${state}u + i]; if (begin > 0u) { was = Y[(b * P.rows + begin - 1u) * ${state}u + i]; }`;
  const resume = inStorage
    ? []
    : [`W[w + i] = CARRY[b * ${2 * state}u + i]; W[w + ${state}u + i] = CARRY[b * ${2 * state}u + ${state}u + i];`];
  const delta = measures && !inStorage
    ? `select(0.0, CARRY[b * ${2 * state}u + ${state}u + i], P.carried == 1u)`
    : measures
    ? `select(0.0, W[w + ${state}u + i], P.carried == 1u)`
    : "0.0";
  const fresh = sink === "sequential" ? "true" : sink === "update" ? "exact >= P.first" : "P.first == 0u";
  const main = [
    "let b = group;",
    "if (b >= P.batch) { return; }",
    "if (lane == 0u) {",
    measures
      ? `head = vec2<u32>(0u, u32(${atomic("status")} == ${STATUS.nonfinite}u));`
      : `head = vec2<u32>(${atomic("exact")}, u32(${atomic("status")} != ${STATUS.running}u || ${
        atomic("bad")
      } != ${NONE}u));`,
    "}",
    "let seen = workgroupUniformLoad(&head);",
    "let exact = seen.x; let stop = min(P.first + P.count, P.rows);",
    "if (seen.y == 1u || exact >= stop) { return; }",
    sink === "update"
      ? `let begin = max(P.first, exact); let limit = bitcast<f32>(${atomic("limit")});`
      : "let begin = P.first;",
    `let w = ${inStorage ? `b * ${code.scratch}u` : "0u"};`,
    `if (${fresh}) {`,
    ...each([before, `W[w + i] = was; W[w + ${state}u + i] = ${delta};`]),
    "} else {",
    ...each(resume),
    "}",
    barrier,
    "for (var r = begin; r < stop; r++) {",
    ...locateRow(shape, "r"),
    ...code.lines,
    ...each(visit(spec)),
    barrier,
    "}",
    ...(inStorage || sink === "sequential" ? [] : each([
      `CARRY[b * ${2 * state}u + i] = W[w + i]; CARRY[b * ${2 * state}u + ${state}u + i] = W[w + ${state}u + i];`,
    ])),
    ...(sink === "sequential" ? [`if (bad != ${NONE}u) { atomicMin(&${stateWord("bad", "b")}, bad); }`] : text.publish),
  ];
  const declarations = [
    INFO,
    "var<workgroup> head: vec2<u32>;",
    ...(inStorage ? [] : [`var<workgroup> W: array<f32, ${code.scratch}>;`]),
    ...(sink === "sequential" ? [`var<private> bad: u32 = ${NONE}u;`] : []),
  ];
  return assembleKernel({
    name,
    header: `${name}: a traced step, one row after the other; one workgroup a sequence.
      Bindings: numbers, parameters and constants, hoisted values, inputs, start states, iterate, state of the sequences, guess,
      ${inStorage ? "scratch" : "where h and delta go on"}. Bytes a row: ${
      4 * (shape.hoisted + shape.input + 2 * state)
    }.
      Turns: ${foldTurns(spec).row} a row.`,
    bindings: [
      ...TRACED_BINDINGS,
      { name: "START", kind: "read", type: "array<f32>" },
      { name: "Y", kind: "read_write", type: "array<f32>" },
      { name: "S", kind: "read_write", type: "array<atomic<u32>>" },
      { name: "GUESS", kind: "read", type: "array<f32>" },
      { name: inStorage ? "W" : "CARRY", kind: "read_write", type: "array<f32>" },
    ],
    declarations: [
      ...declarations,
      ...functionsOf([...text.declarations, ...main].join("\n")),
      ...text.declarations,
    ],
    workgroup: lanes,
    main,
  });
}
