import { sinkText } from "./scan_sinks.ts";
import { stateWord, STATUS } from "./sequence.ts";
import { chunkPart, chunkWord, DAMPING, entriesAt, KEEP, ROWS, stateAt, type TrustSpec } from "./trust.ts";
import { tileUnit } from "./trust_tile_unit.ts";

/** f, h and the residual of component `lane` in row r, 0 where it is no number. */
function loadResidual(spec: TrustSpec): string[] {
  return [
    `let at = ${stateAt(spec, "r", "lane")};`,
    "var f = 0.0; var y = 0.0;",
    "if (mine) { f = F[at]; y = Y[at]; }",
    "res = f - y; if (!isFinite(res)) { res = 0.0; }",
  ];
}

/** Statements of `main`: the map of a chunk. */
export function tileReduce(spec: TrustSpec): string[] {
  const text = tileUnit(spec.size);
  return [
    "let u = group % P.units; let c = (group / P.units) % P.chunks; let b = group / (P.units * P.chunks);",
    `if (b >= P.batch) { return; }`,
    `if (${stateWord("status", "b")} != ${STATUS.running}u) { return; }`,
    `let exact = ${stateWord("exact", "b")};`,
    ROWS,
    ...DAMPING,
    ...text.begin,
    "if (exact >= first && exact < last) {",
    ...loadResidual(spec),
    ...text.exactly,
    "r++;",
    "}",
    "for (; r < last; r++) {",
    ...loadResidual(spec),
    `let entries = ${entriesAt(spec, "r")};`,
    ...text.row(true),
    "}",
    ...text.store,
  ];
}

/** The state before each chunk, of one unit. */
export function tileSpine(spec: TrustSpec): string[] {
  const { size: n } = spec;
  const text = tileUnit(n);
  const { mean, variance } = chunkPart(n);
  return [
    "let u = group % P.units; let b = group / P.units;",
    "if (b >= P.batch) { return; }",
    `if (${stateWord("status", "b")} != ${STATUS.running}u) { return; }`,
    ...text.begin,
    "if (P.first > 0u) {",
    "let c = P.first;",
    ...text.load,
    "} else {",
    `if (own) { ${chunkWord(n, "0u", `(${variance}u + lane)`)} = 0.0; }`,
    `if (mine) { ${chunkWord(n, "0u", `(${mean}u + lane)`)} = 0.0; }`,
    "}",
    "for (var c = P.first; c < min(P.first + P.count, P.chunks); c++) {",
    "let next = c + 1u;",
    ...text.advance,
    "}",
  ];
}

/** The sweep over a chunk, from the state before it. */
export function tileApply(spec: TrustSpec, chunked: boolean): string[] {
  const { adaptive } = spec;
  const text = tileUnit(spec.size);
  const keep = (expected: string): string => adaptive ? `if (mine) { K[at] = ${expected}; K[kept + at] = y; }` : "";
  const exactRow = [
    ...loadResidual(spec),
    "var v = 0.0;",
    "if (mine) { v = exactly(r, at, f, y); Y[at] = v; res = v - y; }",
  ];
  const word = (field: "status" | "exact" | "limit"): string => `atomicLoad(&${stateWord(field, "b")})`;
  return [
    "let u = group % P.units; let c = (group / P.units) % P.chunks; let b = group / (P.units * P.chunks);",
    "if (b >= P.batch) { return; }",
    // Atomic words are not uniform: one invocation reads them for all.
    `if (lane == 0u) { head = vec2<u32>(${word("exact")}, u32(${word("status")} != ${STATUS.running}u)); }`,
    "let seen = workgroupUniformLoad(&head); let exact = seen.x;",
    "if (seen.y == 1u) { return; }",
    ROWS,
    ...text.begin,
    ...DAMPING,
    ...(adaptive ? [KEEP] : []),
    `let limit = bitcast<f32>(${word("limit")});`,
    ...(chunked ? text.load : []),
    "if (exact >= first && exact < last) {",
    ...exactRow,
    ...text.exactly,
    "r++;",
    // What the phases before computed of rows that are exact must not pretend that later ones are.
    "} else if (first > exact && (bitcast<u32>(d) << 1u) != 0u) { changed = first - 1u; }",
    "for (; r < last; r++) {",
    ...loadResidual(spec),
    `let entries = ${entriesAt(spec, "r")};`,
    ...text.row(false),
    "if (mine) {",
    "let v = damp(r, at, f, s, d, y, limit);",
    "Y[at] = v; D[lane] = v - y;",
    keep("select(y + s, v, replaced)"),
    "}",
    "}",
    ...sinkText("update").publish,
  ];
}
