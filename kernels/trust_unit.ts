import { chunkPart, chunkWord } from "./trust.ts";

/** The filter over one unit, as statements: of scalars for n = 1, else of arrays that are private variables. */
export interface UnitText {
  readonly declarations: readonly string[];
  /** Statements, all on the state of an invocation. */
  readonly begin: readonly string[];
  /** From an exact row with the residuals `res0, ...`: δ is the residual, of variance 0, whatever came before. */
  readonly exactly: readonly string[];
  /** Entry (p, q) of G becomes `text`, 0 where that is not finite. */
  entry(p: number, q: number, text: string): string;
  /** One row, with residuals `res0, ...`: δ before to δ, undamped updates to `s0, ...`. */
  readonly step: readonly string[];
  /** The same, and what the rows so far say of the state before them. */
  readonly compose: readonly string[];
  /** The map of a chunk to memory. */
  readonly store: readonly string[];
  /** The state before chunk `c` from memory. */
  readonly load: readonly string[];
  /** Spine: from the state before chunk `c` to that after it; and to memory, as that before chunk `next`. */
  readonly advance: readonly string[];
  /** δ and the undamped update of component p. */
  delta(p: number): string;
  undamped(p: number): string;
  /** WGSL: whether δ has a component that is not 0. */
  readonly some: string;
  /** Turns of all loops in one row of `compose`, the longest. */
  readonly turns: number;
}

const MOST = "1e30";

/** Everything is one number. */
export function scalarUnit(): UnitText {
  const { A, b, C, eta, J, mean, variance } = chunkPart(1);
  const word = (w: number, c = "c"): string => chunkWord(1, c, w);
  const variances = [
    "pre = g * g * cov + 1.0;",
    `pre = select(${MOST}, min(pre, ${MOST}), isFinite(pre));`,
    "let gain = c1 / (c1 + kappa * pre);",
    "linear = g * d;",
    "if (!isFinite(linear)) { linear = 0.0; resets = 1u; }",
    "s0 = linear + res0;",
  ];
  return {
    declarations: [],
    begin: [
      "var d = 0.0; var cov = 0.0; var g = 0.0; var pre = 0.0; var linear = 0.0; var s0 = 0.0; var res0 = 0.0;",
      "var a = 1.0; var eta = 0.0; var info = 0.0;",
    ],
    exactly: ["d = res0; cov = 0.0; a = 0.0;"],
    entry: (_p, _q, text) => `g = ${text}; if (!isFinite(g)) { g = 0.0; resets = 1u; }`,
    step: [...variances, "d = gain * s0; cov = gain * pre;"],
    compose: [
      ...variances,
      "let ga = g * a; let weight = kappa / (c1 + kappa * pre);",
      "info += weight * ga * ga; eta -= weight * ga * s0;",
      "a = gain * ga; d = gain * s0; cov = gain * pre;",
    ],
    store: [
      `${word(A)} = a; ${word(b)} = d; ${word(C)} = cov; ${word(eta)} = eta; ${word(J)} = info;`,
    ],
    load: [`d = ${word(mean)}; cov = ${word(variance)};`],
    advance: [
      `let rest = 1.0 + cov * ${word(J)};`,
      `let to = ${word(A)};`,
      `d = to * ((d + cov * ${word(eta)}) / rest) + ${word(b)};`,
      `cov = to * (to * (cov / rest)) + ${word(C)};`,
      "if (!isFinite(d)) { d = 0.0; }",
      `cov = select(${MOST}, min(cov, ${MOST}), isFinite(cov));`,
      `if (next < P.chunks) { ${word(mean, "next")} = d; ${word(variance, "next")} = cov; }`,
    ],
    delta: () => "d",
    undamped: () => "s0",
    some: "(bitcast<u32>(d) << 1u) != 0u",
    turns: 0,
  };
}
