import type { ScanSink } from "./scan_elements.ts";
import { NONE, stateWord, STATUS } from "./sequence.ts";

/** What a sink adds to a kernel that applies a scan. */
export interface SinkText {
  readonly declarations: readonly string[];
  /** Statements that publish what an invocation has seen of sequence b. */
  readonly publish: readonly string[];
}

const RAISE = `fn raise(word: u32, value: u32) { if (value > atomicLoad(&S[word])) { atomicMax(&S[word], value); } }`;
const LOWER = `fn lower(word: u32, value: u32) { if (value < atomicLoad(&S[word])) { atomicMin(&S[word], value); } }`;
const word = (field: Parameters<typeof stateWord>[0]): string => stateWord(field, "b").slice(2, -1);

/**
 * The sink of a sweep, h⁺ = f + G δ with δ = h⁺ - h of the row before, after the policy of DEER (arXiv 2309.12252) for what
 * is not finite or too large. `exactly` is for the first row whose predecessors are all exact: there f itself decides.
 */
const UPDATE: SinkText = {
  declarations: [
    "var<private> worst: u32 = 0u;",
    "var<private> resets: u32 = 0u;",
    `var<private> changed: u32 = ${NONE}u;`,
    `var<private> bad: u32 = ${NONE}u;`,
    `var<private> lost: u32 = ${NONE}u;`,
    RAISE,
    LOWER,
    // The bits of an update have its order; a division by zero has no value in WGSL, hence the bits of infinity.
    `fn compare(row: u32, v: f32, was: f32) {
  if (v == was) { return; }
  let scale = P.atol + P.rtol * abs(v);
  worst = max(worst, select(bitcast<u32>(abs(v - was) / scale), 0x7f800000u, scale == 0.0));
  changed = min(changed, row);
}`,
    `fn exactly(row: u32, at: u32, f: f32, was: f32) -> f32 {
  var v = f;
  if (!isFinite(v)) { v = GUESS[P.guessBase + at]; bad = min(bad, row); }
  compare(row, v, was);
  return v;
}`,
    `fn advance(row: u32, at: u32, f: f32, product: f32, was: f32, limit: f32) -> f32 {
  var linear = product;
  if (!isFinite(f)) { lost = min(lost, row); }
  if (!isFinite(linear)) { linear = 0.0; resets = 1u; }
  var v = f + linear;
  if (!isFinite(v) || abs(v) > limit) { v = GUESS[P.guessBase + at]; resets = 1u; changed = min(changed, row - 1u); }
  compare(row, v, was);
  return v;
}`,
  ],
  publish: [
    `raise(${word("worst")}, worst);`,
    `raise(${word("resets")}, resets);`,
    `lower(${word("changed")}, changed);`,
    `lower(${word("bad")}, bad);`,
    `lower(${word("lost")}, lost);`,
  ],
};

/** The sink of an error scan: e[t] = A[t] e[t-1] + r[t], of which the largest |e| is kept. */
function measure(absolute: boolean): SinkText {
  return {
    declarations: [
      "var<private> worst: u32 = 0u;",
      "var<private> resets: u32 = 0u;",
      RAISE,
      `fn measure(f: f32, product: f32, was: f32) -> f32 {
  var linear = product;
  if (!isFinite(linear)) { linear = 0.0; resets = 1u; }
  let e = ${absolute ? "abs(f - was)" : "f - was"} + linear;
  worst = max(worst, bitcast<u32>(e) & 0x7fffffffu);
  return e;
}`,
    ],
    publish: [`raise(${word("error")}, worst);`, `raise(${word("resets")}, resets);`],
  };
}

const SINKS: Readonly<Record<ScanSink, SinkText>> = {
  recurrence: { declarations: [], publish: [] },
  update: UPDATE,
  "first-order": measure(false),
  absolute: measure(true),
};

/** The text that a sink adds; it reads `P`, `S` and `GUESS` of its kernel. */
export function sinkText(sink: ScanSink): SinkText {
  return SINKS[sink];
}

/** WGSL: whether sequence b takes part. */
export function takesPart(sink: ScanSink): string {
  const status = `atomicLoad(&${stateWord("status", "b")})`;
  return sink === "update" ? `${status} == ${STATUS.running}u` : `${status} != ${STATUS.nonfinite}u`;
}
