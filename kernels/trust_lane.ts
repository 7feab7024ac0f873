import { sinkText } from "./scan_sinks.ts";
import { stateWord, STATUS } from "./sequence.ts";
import { chunkPart, chunkWord, DAMPING, entriesAt, KEEP, ROWS, stateAt, type TrustSpec } from "./trust.ts";
import { matrixUnit, MOST_LANE } from "./trust_matrix.ts";
import { scalarUnit, type UnitText } from "./trust_unit.ts";

export { MOST_LANE };

/** Invocations of a workgroup, each with a chunk and a unit. */
export const TRUST_LANES = 64;

const list = (count: number): number[] => Array.from({ length: count }, (_, p) => p);

/** The filter over a unit. */
export function laneUnit({ size }: TrustSpec): UnitText {
  return size === 1 ? scalarUnit() : matrixUnit(size);
}

/** Where the invocation is; `exact` and the rows of the chunk. */
function place(state: (field: "status" | "exact") => string): string[] {
  return [
    `let index = group * ${TRUST_LANES}u + lane;`,
    "if (index >= P.batch * P.chunks * P.units) { return; }",
    "let u = index % P.units; let c = (index / P.units) % P.chunks; let b = index / (P.units * P.chunks);",
    `if (${state("status")} != ${STATUS.running}u) { return; }`,
    `let exact = ${state("exact")};`,
    ROWS,
  ];
}

/** f, h and the residuals of row r, those that are no numbers as 0. */
function loadResiduals(spec: TrustSpec): string[] {
  return list(spec.size).flatMap((p) => [
    `let at${p} = ${stateAt(spec, "r", `${p}u`)}; let f${p} = F[at${p}]; let y${p} = Y[at${p}];`,
    `res${p} = f${p} - y${p}; if (!isFinite(res${p})) { res${p} = 0.0; }`,
  ]);
}

function loadEntries(spec: TrustSpec, text: UnitText): string[] {
  const n = spec.size;
  return [
    `let entries = ${entriesAt(spec, "r")};`,
    ...list(n).flatMap((p) => list(n).map((q) => text.entry(p, q, `A[entries + ${p * n + q}u]`))),
  ];
}

/** Statements of `main`: the map of a chunk. */
export function laneReduce(spec: TrustSpec): string[] {
  const text = laneUnit(spec);
  return [
    ...place((field) => stateWord(field, "b")),
    ...DAMPING,
    ...text.begin,
    "if (exact >= first && exact < last) {",
    ...loadResiduals(spec),
    ...text.exactly,
    "r++;",
    "}",
    "for (; r < last; r++) {",
    ...loadResiduals(spec),
    ...loadEntries(spec, text),
    ...text.compose,
    "}",
    ...text.store,
  ];
}

/** The state before each chunk, of one unit. */
export function laneSpine(spec: TrustSpec): string[] {
  const text = laneUnit(spec);
  const { mean, variance } = chunkPart(spec.size);
  const start = [
    ...list(spec.size).map((k) => mean + k),
    ...list(spec.size * spec.size).map((k) => variance + k),
  ];
  return [
    `let index = group * ${TRUST_LANES}u + lane;`,
    "if (index >= P.batch * P.units) { return; }",
    "let u = index % P.units; let b = index / P.units;",
    `if (${stateWord("status", "b")} != ${STATUS.running}u) { return; }`,
    ...text.begin,
    "if (P.first > 0u) {",
    "let c = P.first;",
    ...text.load,
    "} else {",
    ...start.map((w) => `${chunkWord(spec.size, "0u", w)} = 0.0;`),
    "}",
    "for (var c = P.first; c < min(P.first + P.count, P.chunks); c++) {",
    "let next = c + 1u;",
    ...text.advance,
    "}",
  ];
}

/** The sweep over a chunk, from the state before it. */
export function laneApply(spec: TrustSpec, chunked: boolean): string[] {
  const { size, adaptive } = spec;
  const text = laneUnit(spec);
  const keep = (p: number, expected: string): string =>
    adaptive ? `K[at${p}] = ${expected}; K[kept + at${p}] = y${p};` : "";
  const exactRow = [
    ...loadResiduals(spec),
    ...list(size).flatMap((p) => [
      `let v${p} = exactly(r, at${p}, f${p}, y${p});`,
      `Y[at${p}] = v${p}; res${p} = v${p} - y${p};`,
    ]),
  ];
  const plain = (field: "status" | "exact" | "limit"): string => `atomicLoad(&${stateWord(field, "b")})`;
  return [
    ...place(plain),
    ...text.begin,
    ...DAMPING,
    ...(adaptive ? [KEEP] : []),
    `let limit = bitcast<f32>(${plain("limit")});`,
    ...(chunked ? text.load : []),
    "if (exact >= first && exact < last) {",
    ...exactRow,
    ...text.exactly,
    "r++;",
    // What the phases before computed of rows that are exact must not pretend that later ones are.
    `} else if (first > exact && (${text.some})) { changed = first - 1u; }`,
    "for (; r < last; r++) {",
    ...loadResiduals(spec),
    ...loadEntries(spec, text),
    ...text.step,
    ...list(size).flatMap((p) => [
      `let v${p} = damp(r, at${p}, f${p}, ${text.undamped(p)}, ${text.delta(p)}, y${p}, limit);`,
      `Y[at${p}] = v${p};`,
      keep(p, `select(y${p} + ${text.undamped(p)}, v${p}, replaced)`),
      `${text.delta(p)} = v${p} - y${p};`,
    ]),
    "}",
    ...sinkText("update").publish,
  ];
}
