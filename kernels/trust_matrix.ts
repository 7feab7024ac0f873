import { chunkPart, chunkWord } from "./trust.ts";
import type { UnitText } from "./trust_unit.ts";

/** Units of at most so many states are an invocation's: straight code of more than n³ statements takes drivers minutes. */
export const MOST_LANE = 4;

const list = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from) }, (_, k) => from + k);

/** Units of 2 to 4 states: matrices are private arrays, row by row; products loop over rows, factors are straight code. */
export function matrixUnit(n: number): UnitText {
  const all = list(0, n);
  const parts = chunkPart(n);
  const [bound, square] = [`${n}u`, `${n * n}u`];
  const [vector, matrix] = [`array<f32, ${n}>`, `array<f32, ${n * n}>`];
  const at = (p: number, q: number): string => `${p * n + q}`;
  const sum = (count: readonly number[], term: (k: number) => string): string => count.map(term).join(" + ");
  const minus = (terms: readonly string[]): string => terms.map((term) => ` - ${term}`).join("");
  /** Row i of a product, for every i. */
  const rows = (out: string, term: (k: number, j: number) => string, extra = ""): string[] => [
    `for (var i = 0u; i < ${bound}; i++) {`,
    ...all.map((j) => `${out}[i * ${n}u + ${j}u] = ${sum(all, (k) => term(k, j))};`),
    extra,
    "}",
  ];
  /** L Lᵀ = what `entry` gives, the diagonal as reciprocals. */
  const factor = (
    L: string,
    entry: (p: number, q: number) => string,
    reciprocal: (p: number) => string,
  ): string[] =>
    all.flatMap((p) => [
      ...list(0, p).map((q) =>
        `${L}[${at(p, q)}] = (${entry(p, q)}${
          minus(list(0, q).map((k) => `${L}[${at(p, k)}] * ${L}[${at(q, k)}]`))
        }) * ${L}[${at(q, q)}];`
      ),
      `pivot = ${entry(p, p)}${minus(list(0, p).map((k) => `${L}[${at(p, k)}] * ${L}[${at(p, k)}]`))};`,
      `${L}[${at(p, p)}] = ${reciprocal(p)};`,
    ]);
  /** Of matrices that are at least I, and so are their pivots. */
  const least = (): string => "inverseSqrt(max(pivot, 1.0))";
  const forward = (L: string, v: string): string[] =>
    all.map((p) =>
      `${v}[${p}] = (${v}[${p}]${minus(list(0, p).map((k) => `${L}[${at(p, k)}] * ${v}[${k}]`))}) * ${L}[${at(p, p)}];`
    );
  const backward = (L: string, v: string): string[] =>
    all.toReversed().map((p) =>
      `${v}[${p}] = (${v}[${p}]${minus(list(p + 1, n).map((k) => `${L}[${at(k, p)}] * ${v}[${k}]`))}) * ${L}[${
        at(p, p)
      }];`
    );
  /** Column j. */
  const column = (M: string): string => `${vector}(${all.map((k) => `${M}[${k * n}u + j]`).join(", ")})`;
  const apply = (M: string, v: string, p: number): string => sum(all, (k) => `${M}[${at(p, k)}] * ${v}[${k}]`);
  const word = (w: number, c = "c"): string => chunkWord(n, c, w);
  const read = (name: string, first: number, count: number): string[] =>
    list(0, count).map((e) => `${name}[${e}] = ${word(first + e)};`);
  const write = (name: string, first: number, count: number, c = "c"): string[] =>
    list(0, count).map((e) => `${word(first + e, c)} = ${name}[${e}];`);
  return {
    declarations: [
      ...["G", "COV", "PRE", "LOW", "TO", "INFO", "TMP", "ROOT"].map((name) => `var<private> ${name}: ${matrix};`),
      ...["D", "U", "R", "ETA", "V"].map((name) => `var<private> ${name}: ${vector};`),
      "var<private> pivot: f32;",
      `fn solveLow(b: ${vector}) -> ${vector} {`,
      "var v = b;",
      ...forward("LOW", "v"),
      ...backward("LOW", "v"),
      "return v;",
      "}",
      // Variances before the row and their factor, undamped updates.
      "fn predict(c1: f32, kappa: f32) {",
      ...rows("TMP", (k, j) => `G[i * ${n}u + ${k}u] * COV[${at(k, j)}]`),
      ...rows("PRE", (k, j) => `TMP[i * ${n}u + ${k}u] * G[${at(j, k)}]`, `PRE[i * ${n}u + i] += 1.0;`),
      ...factor("LOW", (p, q) => `${p === q ? "c1 + " : ""}kappa * PRE[${at(p, q)}]`, least),
      ...all.flatMap((p) => [
        `U[${p}] = ${apply("G", "D", p)};`,
        `if (!isFinite(U[${p}])) { U[${p}] = 0.0; resets = 1u; }`,
        `U[${p}] += R[${p}];`,
      ]),
      "}",
      // COV and D of the row; where variances are no numbers, those of G = 0, and false.
      "fn correct(c1: f32) -> bool {",
      "V = solveLow(U);",
      ...all.map((p) => `D[${p}] = c1 * V[${p}];`),
      "var trace = 0.0;",
      `for (var j = 0u; j < ${bound}; j++) {`,
      `V = solveLow(${column("PRE")});`,
      ...all.map((p) => `COV[${p * n}u + j] = c1 * V[${p}];`),
      "trace += V[j];",
      "}",
      // To rounding they are equal.
      ...all.flatMap((p) =>
        list(0, p).map((q) =>
          `COV[${at(p, q)}] = 0.5 * (COV[${at(p, q)}] + COV[${at(q, p)}]); COV[${at(q, p)}] = COV[${at(p, q)}];`
        )
      ),
      "if (isFinite(trace)) { return true; }",
      "resets = 1u;",
      ...all.map((p) => `D[${p}] = c1 * U[${p}];`),
      ...all.flatMap((p) => all.map((q) => `COV[${at(p, q)}] = ${p === q ? "c1" : "0.0"};`)),
      "return false;",
      "}",
    ],
    begin: [
      ...all.map((p) => `D[${p}] = 0.0; ETA[${p}] = 0.0;`),
      `for (var i = 0u; i < ${square}; i++) { COV[i] = 0.0; INFO[i] = 0.0; TO[i] = 0.0; }`,
      ...all.map((p) => `TO[${at(p, p)}] = 1.0;`),
      ...all.map((p) => `var res${p} = 0.0;`),
    ],
    exactly: [
      ...all.map((p) => `D[${p}] = res${p};`),
      `for (var i = 0u; i < ${square}; i++) { COV[i] = 0.0; TO[i] = 0.0; }`,
    ],
    entry: (p, q, text) =>
      `G[${at(p, q)}] = ${text}; if (!isFinite(G[${at(p, q)}])) { G[${at(p, q)}] = 0.0; resets = 1u; }`,
    step: [...all.map((p) => `R[${p}] = res${p};`), "predict(c1, kappa); let known = correct(c1);"],
    compose: [
      ...all.map((p) => `R[${p}] = res${p};`),
      "predict(c1, kappa); let known = correct(c1);",
      ...rows("TMP", (k, j) => `G[i * ${n}u + ${k}u] * TO[${at(k, j)}]`),
      // M⁻¹ G A, column by column; J grows by κ (G A)ᵀ M⁻¹ G A.
      `for (var j = 0u; j < ${bound}; j++) {`,
      `V = solveLow(${column("TMP")});`,
      ...all.map((p) => `TO[${p * n}u + j] = V[${p}];`),
      "}",
      "V = solveLow(U);",
      "if (known) {",
      `for (var i = 0u; i < ${bound}; i++) {`,
      ...all.map((j) =>
        `INFO[i * ${n}u + ${j}u] += kappa * (${sum(all, (k) => `TMP[${k * n}u + i] * TO[${at(k, j)}]`)});`
      ),
      `ETA[i] -= kappa * (${sum(all, (k) => `TMP[${k * n}u + i] * V[${k}]`)});`,
      "}",
      "}",
      `for (var i = 0u; i < ${square}; i++) { TO[i] = select(0.0, c1 * TO[i], known); }`,
    ],
    store: [
      ...write("TO", parts.A, n * n),
      ...write("D", parts.b, n),
      ...write("COV", parts.C, n * n),
      ...write("ETA", parts.eta, n),
      ...write("INFO", parts.J, n * n),
    ],
    load: [...read("D", parts.mean, n), ...read("COV", parts.variance, n * n)],
    // With COV = K Kᵀ and Z = I + Kᵀ J K: what the rows of the chunk leave of it is K Z⁻¹ Kᵀ.
    advance: [
      // What is left of a pivot below its roundings counts as none.
      ...factor(
        "ROOT",
        (p, q) => `COV[${at(p, q)}]`,
        (p) => `select(0.0, inverseSqrt(max(pivot, 1e-37)), pivot > max(1e-37, 1e-7 * COV[${at(p, p)}]))`,
      ),
      // K itself: the diagonal is not a reciprocal, what is above it is 0.
      ...all.flatMap((p) => [
        `ROOT[${at(p, p)}] = select(0.0, 1.0 / max(ROOT[${at(p, p)}], 1e-37), ROOT[${at(p, p)}] > 0.0);`,
        ...list(p + 1, n).map((q) => `ROOT[${at(p, q)}] = 0.0;`),
      ]),
      ...read("INFO", parts.J, n * n),
      ...rows("TMP", (k, j) => `INFO[i * ${n}u + ${k}u] * ROOT[${at(k, j)}]`),
      ...rows("PRE", (k, j) => `ROOT[${k * n}u + i] * TMP[${at(k, j)}]`, `PRE[i * ${n}u + i] += 1.0;`),
      ...factor("LOW", (p, q) => `PRE[${at(p, q)}]`, least),
      ...all.map((p) => `V[${p}] = ${word(parts.eta + p)} - (${apply("INFO", "D", p)});`),
      ...all.map((p) => `U[${p}] = ${sum(all, (k) => `ROOT[${at(k, p)}] * V[${k}]`)};`),
      "V = solveLow(U);",
      ...all.map((p) => `U[${p}] = D[${p}] + ${apply("ROOT", "V", p)};`),
      ...read("TO", parts.A, n * n),
      ...all.map((p) => `D[${p}] = ${apply("TO", "U", p)} + ${word(parts.b + p)};`),
      // A K, and its rows through the factor of Z.
      ...rows("TMP", (k, j) => `TO[i * ${n}u + ${k}u] * ROOT[${at(k, j)}]`),
      `for (var i = 0u; i < ${bound}; i++) {`,
      ...all.map((k) => `V[${k}] = TMP[i * ${n}u + ${k}u];`),
      ...forward("LOW", "V"),
      ...all.map((k) => `TMP[i * ${n}u + ${k}u] = V[${k}];`),
      "}",
      ...rows("COV", (k, j) => `TMP[i * ${n}u + ${k}u] * TMP[${at(j, k)}]`),
      ...list(0, n * n).map((e) => `COV[${e}] += ${word(parts.C + e)};`),
      `if (!(${all.map((p) => `isFinite(COV[${at(p, p)}])`).join(" && ")})) {`,
      ...all.flatMap((p) => all.map((q) => `COV[${at(p, q)}] = ${p === q ? "1.0" : "0.0"};`)),
      "}",
      ...all.map((p) => `if (!isFinite(D[${p}])) { D[${p}] = 0.0; }`),
      "if (next < P.chunks) {",
      ...write("D", parts.mean, n, "next"),
      ...write("COV", parts.variance, n * n, "next"),
      "}",
    ],
    delta: (p) => `D[${p}]`,
    undamped: (p) => `U[${p}]`,
    some: all.map((p) => `(bitcast<u32>(D[${p}]) << 1u) != 0u`).join(" || "),
    // Of a row that is composed: six loops over n, one over n².
    turns: 6 * (n + 1) + n * n + 1,
  };
}
