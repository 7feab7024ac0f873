import { chunkPart, chunkWord } from "./trust.ts";

/** Units of at most so many states: every entry of a matrix has an invocation of its own. */
export const MOST_TILE = 16;

/** Invocations of a workgroup. */
export function tileLanes(n: number): number {
  return 32 * Math.ceil(n * n / 32);
}

/** Turns of all loops of an invocation, for each row of a chunk, and of the spine for each chunk. */
export function tileTurns(n: number): { readonly row: number; readonly chunk: number } {
  return { row: 2 + n, chunk: 3 + 2 * n };
}

/**
 * The filter over one unit of n states by a workgroup, as statements. Lane i n + j has entry (i, j) of matrices, lane p
 * component p of vectors; what others read is in workgroup memory. Elimination leaves one barrier a column.
 */
export interface TileText {
  readonly declarations: readonly string[];
  /** `own`, `mine`, `i`, `j` of an invocation; δ and its variance are 0. */
  readonly begin: readonly string[];
  /** After an exact row, the residual in `res`: δ is the residual, of variance 0, whatever came before. */
  readonly exactly: readonly string[];
  /** One row, with residual `res` and its block of `A` at `entries`: δ to `d`, the undamped update to `s`. */
  row(composes: boolean): readonly string[];
  readonly store: readonly string[];
  readonly load: readonly string[];
  /** Spine: from the state before chunk `c` to that after it; and to memory, as that before chunk `next`. */
  readonly advance: readonly string[];
}

/** A sum of n products as one expression: compilers count the turns of a loop. */
function dot(n: number, left: (k: string) => string, right: (k: string) => string): string {
  return Array.from({ length: n }, (_, k) => `${left(`${k}u`)} * ${right(`${k}u`)}`).join(" + ");
}

export function tileUnit(n: number): TileText {
  const parts = chunkPart(n);
  const row = (name: string, of = "i") => (k: string): string => `${name}[${of} * ${n}u + ${k}]`;
  const column = (name: string, of = "j") => (k: string): string => `${name}[${k} * ${n}u + ${of}]`;
  const vector = (name: string) => (k: string): string => `${name}[${k}]`;
  const product = (a: (k: string) => string, b: (k: string) => string): string => dot(n, a, b);
  const trace = (name: string): string => Array.from({ length: n }, (_, k) => `${name}[${k * n + k}]`).join(" + ");
  const word = (first: number, e: string, c = "c"): string => chunkWord(n, c, `(${first}u + ${e})`);
  // Two halves, so that a column needs one barrier: rows of up to three matrices, a column, and an element of a vector.
  const half = 4 * n + 1;
  const eliminate = (body: readonly string[]): string[] => [
    "for (var k = 0u; k < P.size; k++) {",
    `let at = (k & 1u) * ${half}u;`,
    ...body,
    "}",
  ];
  return {
    declarations: [
      ...["G", "COV", "TO", "GA", "SOLVED", "TMP"].map((name) => `var<workgroup> ${name}: array<f32, ${n * n}>;`),
      ...["D", "V"].map((name) => `var<workgroup> ${name}: array<f32, ${n}>;`),
      `var<workgroup> LINE: array<f32, ${2 * half}>;`,
    ],
    begin: [
      `let own = lane < ${n * n}u; let mine = lane < ${n}u; let i = lane / ${n}u; let j = lane % ${n}u;`,
      "let unit = select(0.0, 1.0, i == j);",
      "var d = 0.0; var s = 0.0; var solved = 0.0; var res = 0.0; var eta = 0.0; var info = 0.0;",
      "var pre = 0.0; var m = 0.0; var ga = 0.0;",
      "if (own) { COV[lane] = 0.0; TO[lane] = unit; }",
      "if (mine) { D[lane] = 0.0; }",
    ],
    exactly: [
      "if (own) { COV[lane] = 0.0; TO[lane] = 0.0; }",
      "if (mine) { d = res; D[lane] = d; }",
    ],
    row: (composes) => [
      "if (own) {",
      "var g = A[entries + lane];",
      "if (!isFinite(g)) { g = 0.0; resets = 1u; }",
      "G[lane] = g;",
      "}",
      "workgroupBarrier();",
      "if (own) {",
      `TMP[lane] = ${product(row("G"), column("COV"))};`,
      ...(composes ? [`ga = ${product(row("G"), column("TO"))}; GA[lane] = ga;`] : []),
      "}",
      "if (mine) {",
      `s = ${product(row("G", "lane"), vector("D"))};`,
      "if (!isFinite(s)) { s = 0.0; resets = 1u; }",
      "s += res; solved = s;",
      "}",
      "workgroupBarrier();",
      `if (own) { pre = ${product(row("TMP"), row("G", "j"))} + unit; m = kappa * pre + c1 * unit; }`,
      // M⁻¹ P⁻, M⁻¹ s and M⁻¹ G A by Gauss and Jordan; as M is at least I, so is every pivot.
      ...eliminate([
        `if (own & (i == k)) { LINE[at + j] = m; LINE[at + ${n}u + j] = pre;${
          composes ? ` LINE[at + ${2 * n}u + j] = ga;` : ""
        } }`,
        `if (own & (j == k)) { LINE[at + ${3 * n}u + i] = m; }`,
        `if (lane == k) { LINE[at + ${4 * n}u] = solved; }`,
        "workgroupBarrier();",
        "let inverse = 1.0 / max(LINE[at + k], 1.0);",
        "if (own) {",
        `let weight = LINE[at + ${3 * n}u + i] * inverse; let pivots = i == k;`,
        "m = select(m - weight * LINE[at + j], m * inverse, pivots);",
        `pre = select(pre - weight * LINE[at + ${n}u + j], pre * inverse, pivots);`,
        ...(composes ? [`ga = select(ga - weight * LINE[at + ${2 * n}u + j], ga * inverse, pivots);`] : []),
        "}",
        "if (mine) {",
        `solved = select(solved - LINE[at + ${3 * n}u + lane] * inverse * LINE[at + ${
          4 * n
        }u], solved * inverse, lane == k);`,
        "}",
      ]),
      `if (own) { TMP[lane] = c1 * pre;${composes ? " SOLVED[lane] = ga;" : ""} }`,
      ...(composes ? ["if (mine) { V[lane] = solved; }"] : []),
      "workgroupBarrier();",
      // Where variances are no numbers, those of G = 0.
      `let trace = ${trace("TMP")}; let known = isFinite(trace);`,
      "if (!known) { resets = 1u; }",
      "if (own) {",
      `COV[lane] = select(c1 * unit, 0.5 * (TMP[lane] + TMP[j * ${n}u + i]), known);`,
      // J grows by κ (G A)ᵀ M⁻¹ G A.
      ...(composes
        ? [
          "TO[lane] = select(0.0, c1 * ga, known);",
          `if (known) { info += kappa * (${product(column("GA", "i"), column("SOLVED"))}); }`,
        ]
        : []),
      "}",
      "if (mine) {",
      "d = c1 * select(s, solved, known);",
      ...(composes ? [`if (known) { eta -= kappa * (${product(column("GA", "lane"), vector("V"))}); }`] : []),
      ...(composes ? ["D[lane] = d;"] : []),
      "}",
    ],
    // Of what others may have written last, each invocation reads its own.
    store: [
      `if (own) { ${word(parts.A, "lane")} = TO[lane]; ${word(parts.C, "lane")} = COV[lane]; ${
        word(parts.J, "lane")
      } = info; }`,
      `if (mine) { ${word(parts.b, "lane")} = d; ${word(parts.eta, "lane")} = eta; }`,
    ],
    load: [
      `if (own) { COV[lane] = ${word(parts.variance, "lane")}; }`,
      `if (mine) { d = ${word(parts.mean, "lane")}; D[lane] = d; }`,
    ],
    advance: [
      // COV = K Kᵀ; K is kept in G. What is left of a pivot below its roundings counts as none.
      "if (own) { m = COV[lane]; }",
      ...eliminate([
        "if (own & (j == k)) { LINE[at + i] = m; }",
        `if (own & (i == k) & (j == k)) { LINE[at + ${n}u] = COV[lane]; }`,
        "workgroupBarrier();",
        "let pivot = LINE[at + k];",
        `let root = select(0.0, inverseSqrt(max(pivot, 1e-37)), pivot > max(1e-37, 1e-7 * LINE[at + ${n}u]));`,
        "if (own & (j == k)) { G[lane] = select(0.0, LINE[at + i] * root, i >= k); }",
        "if (own & (i > k) & (j > k)) { m -= (LINE[at + i] * root) * (LINE[at + j] * root); }",
      ]),
      `if (own) { TO[lane] = ${word(parts.A, "lane")}; GA[lane] = ${word(parts.J, "lane")}; }`,
      "workgroupBarrier();",
      "if (own) {",
      `TMP[lane] = ${product(row("GA"), column("G"))};`,
      `SOLVED[lane] = ${product(row("TO"), column("G"))};`,
      "}",
      `if (mine) { V[lane] = ${word(parts.eta, "lane")} - (${product(row("GA", "lane"), vector("D"))}); }`,
      "workgroupBarrier();",
      // Z = I + Kᵀ J K = L Lᵀ; rows of L⁻¹ (A K)ᵀ and L⁻¹ Kᵀ (η - J x), pivots of at least 1.
      "if (own) {",
      `m = ${product(column("G", "i"), column("TMP"))} + unit; pre = SOLVED[j * ${n}u + i];`,
      "}",
      `if (mine) { s = ${product(column("G", "lane"), vector("V"))}; }`,
      ...eliminate([
        `if (own & (i == k)) { LINE[at + j] = m; LINE[at + ${n}u + j] = pre; }`,
        `if (lane == k) { LINE[at + ${4 * n}u] = s; }`,
        "workgroupBarrier();",
        "let pivot = max(LINE[at + k], 1.0);",
        "if (own) {",
        "let weight = select(0.0, LINE[at + i] / pivot, i > k);",
        "m -= weight * LINE[at + j];",
        `pre = select(pre - weight * LINE[at + ${n}u + j], pre * inverseSqrt(pivot), i == k);`,
        "}",
        "if (mine) {",
        `let weight = select(0.0, LINE[at + lane] / pivot, lane > k);`,
        `s = select(s - weight * LINE[at + ${4 * n}u], s * inverseSqrt(pivot), lane == k);`,
        "}",
      ]),
      "if (own) { TMP[lane] = pre; }",
      "workgroupBarrier();",
      "if (mine) { V[lane] = s; }",
      `if (own) { m = ${product(column("TMP", "i"), column("TMP"))} + ${word(parts.C, "lane")}; SOLVED[lane] = m; }`,
      "workgroupBarrier();",
      `let trace = ${trace("SOLVED")};`,
      "if (own) {",
      "COV[lane] = select(unit, m, isFinite(trace));",
      `if (next < P.chunks) { ${word(parts.variance, "lane", "next")} = COV[lane]; }`,
      "}",
      "if (mine) {",
      `d = ${product(column("TMP", "lane"), vector("V"))} + (${product(row("TO", "lane"), vector("D"))}) + ${
        word(parts.b, "lane")
      };`,
      "if (!isFinite(d)) { d = 0.0; }",
      `if (next < P.chunks) { ${word(parts.mean, "lane", "next")} = d; }`,
      "}",
      "workgroupBarrier();",
      "if (mine) { D[lane] = d; }",
    ],
  };
}
