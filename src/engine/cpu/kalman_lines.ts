import { type Index, plus, sumOf, times } from "./entry_lines.ts";

/** What a Kalman step over one unit of n states reads and where it keeps what it makes, all as texts. */
export interface KalmanPlaces {
  /** n */
  readonly size: number;
  /** Entry (p, q) of the unit's G. */
  entry(p: Index, q: Index): string;
  /** δ of state p of the row before. */
  delta(p: Index): string;
  /** The residual `f - h` of state p, 0 where f is not finite. */
  residual(p: Index): string;
  /** The unit's covariance (p, q), kept from row to row; of straight code its lower triangle. */
  covariance(p: Index, q: Index): string;
  /** Where the undamped `r + G δ` and the damped update of state p are to be stored. */
  undamped(p: Index): string;
  damped(p: Index): string;
  /** The first of 4 n² words of scratch, for sizes that are not unrolled. */
  readonly scratch: number;
}

/** Units of at most this many states are straight code. */
export const STRAIGHT_SIZE = 4;

/**
 * One step of the filter over a unit: with `c = 1 / (1 + λ)`, `kappa = λ c` and M = c I + κ P⁻ = L Lᵀ
 *
 *     P⁻ = G P Gᵀ + I,  s = r + G δ,  δ⁺ = c M⁻¹ s,  P⁺ = c M⁻¹ P⁻
 *
 * which is exact for λ = 0 and for λ without bound. Where P⁻ is not a number the step is that of G = 0. About 5 n³ multiplications.
 */
export function kalmanLines(places: KalmanPlaces): string[] {
  return places.size <= STRAIGHT_SIZE ? straightLines(places) : loopLines(places);
}

const list = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from) }, (_, k) => from + k);

function straightLines({ size: n, entry, delta, residual, covariance, undamped, damped }: KalmanPlaces): string[] {
  const all = list(0, n);
  const lower = all.flatMap((p) => list(0, p + 1).map((q): readonly [number, number] => [p, q]));
  const p0 = (p: number, q: number): string => p >= q ? `o${p}${q}` : `o${q}${p}`;
  const q0 = (p: number, q: number): string => p >= q ? `q${p}${q}` : `q${q}${p}`;
  const minus = (parts: readonly string[]): string => parts.map((part) => ` - ${part}`).join("");
  /** M⁻¹ b by the factors, results `w`; rows from `least` on are enough. */
  const solve = (name: string, b: (p: number) => string, least: number): string[] => [
    ...all.map((p) =>
      `const z${name}${p} = (${b(p)}${minus(list(0, p).map((k) => `l${p}${k} * z${name}${k}`))}) * i${p};`
    ),
    ...list(least, n).reverse().map((p) =>
      `const w${name}${p} = (z${name}${p}${minus(list(p + 1, n).map((k) => `l${k}${p} * w${name}${k}`))}) * i${p};`
    ),
  ];
  return [
    ...all.flatMap((p) =>
      all.map((q) => `let g${p}${q} = ${entry(p, q)}; if (g${p}${q} - g${p}${q} !== 0) { g${p}${q} = 0; resets++; }`)
    ),
    ...lower.map(([p, q]) => `const o${p}${q} = ${covariance(p, q)};`),
    ...all.flatMap((p) =>
      all.map((q) => `const a${p}${q} = ${all.map((k) => `g${p}${k} * ${p0(k, q)}`).join(" + ")};`)
    ),
    ...lower.map(([p, q]) =>
      `const q${p}${q} = ${all.map((k) => `a${p}${k} * g${q}${k}`).join(" + ")}${p === q ? " + 1" : ""};`
    ),
    ...all.flatMap((p) => [
      ...list(0, p).map((q) =>
        `const l${p}${q} = (kappa * q${p}${q}${minus(list(0, q).map((k) => `l${p}${k} * l${q}${k}`))}) * i${q};`
      ),
      `const i${p} = 1 / sqrt(c + kappa * q${p}${p}${minus(list(0, p).map((k) => `l${p}${k} * l${p}${k}`))});`,
    ]),
    ...all.map((p) =>
      `let s${p} = ${
        all.map((k) => `g${p}${k} * ${delta(k)}`).join(" + ")
      }; if (s${p} - s${p} !== 0) { s${p} = 0; resets++; } s${p} += ${residual(p)};`
    ),
    ...solve("s", (p) => `s${p}`, 0),
    ...all.flatMap((q) => solve(`${q}_`, (p) => q0(p, q), q)),
    `if (${all.map((q) => `w${q}_${q}`).join(" + ")} < Infinity) {`,
    ...all.map((p) => `${damped(p)} = c * ws${p};`),
    ...lower.map(([p, q]) => `${covariance(p, q)} = c * w${q}_${p};`),
    "} else {",
    "resets++;",
    ...all.map((p) => `${damped(p)} = c * s${p};`),
    ...lower.map(([p, q]) => `${covariance(p, q)} = ${p === q ? "c" : "0"};`),
    "}",
    ...all.map((p) => `${undamped(p)} = s${p};`),
  ];
}

function loopLines({ size: n, entry, delta, residual, covariance, undamped, damped, scratch }: KalmanPlaces): string[] {
  const at = (first: number) => (p: Index, q: Index): string => `W[${plus(sumOf(times(p, n), q), first)}]`;
  const [g, a, m, w] = [at(scratch), at(scratch + n * n), at(scratch + 2 * n * n), at(scratch + 3 * n * n)];
  const loop = (index: string, from: Index, to: Index, ...lines: readonly string[]): string[] => [
    `for (let ${index} = ${from}; ${index} < ${to}; ${index}++) {`,
    ...lines,
    "}",
  ];
  const down = (index: string, least: Index, ...lines: readonly string[]): string[] => [
    `for (let ${index} = ${n - 1}; ${index} >= ${least}; ${index}--) {`,
    ...lines,
    "}",
  ];
  return [
    ...loop(
      "p",
      0,
      n,
      ...loop("q", 0, n, `let v = ${entry("p", "q")}; if (v - v !== 0) { v = 0; resets++; } ${g("p", "q")} = v;`),
    ),
    ...loop(
      "p",
      0,
      n,
      ...loop(
        "q",
        0,
        n,
        `let v = 0; for (let k = 0; k < ${n}; k++) v += ${g("p", "k")} * ${covariance("q", "k")}; ${a("p", "q")} = v;`,
      ),
    ),
    ...loop(
      "p",
      0,
      n,
      ...loop(
        "q",
        0,
        "p + 1",
        `let v = p === q ? 1 : 0; for (let k = 0; k < ${n}; k++) v += ${a("p", "k")} * ${g("q", "k")};`,
        `${w("p", "q")} = v; ${w("q", "p")} = v;`,
      ),
    ),
    ...loop(
      "p",
      0,
      n,
      ...loop(
        "q",
        0,
        "p + 1",
        `let v = kappa * ${w("p", "q")}; if (p === q) v += c;`,
        `for (let k = 0; k < q; k++) v -= ${m("p", "k")} * ${m("q", "k")};`,
        // The diagonal of L is kept as its reciprocal.
        `${m("p", "q")} = p === q ? 1 / sqrt(v) : v * ${m("q", "q")};`,
      ),
    ),
    ...loop(
      "p",
      0,
      n,
      `let v = 0; for (let k = 0; k < ${n}; k++) v += ${g("p", "k")} * ${delta("k")};`,
      `if (v - v !== 0) { v = 0; resets++; } v += ${residual("p")}; ${undamped("p")} = v;`,
      `for (let k = 0; k < p; k++) v -= ${m("p", "k")} * ${damped("k")};`,
      `${damped("p")} = v * ${m("p", "p")};`,
    ),
    ...down(
      "p",
      0,
      `let v = ${damped("p")}; for (let k = p + 1; k < ${n}; k++) v -= ${m("k", "p")} * ${damped("k")};`,
      `${damped("p")} = v * ${m("p", "p")};`,
    ),
    // Column by column, each in the first row of `a`.
    "let trace = 0;",
    ...loop(
      "q",
      0,
      n,
      ...loop(
        "p",
        0,
        n,
        `let v = ${w("p", "q")}; for (let k = 0; k < p; k++) v -= ${m("p", "k")} * ${a(0, "k")};`,
        `${a(0, "p")} = v * ${m("p", "p")};`,
      ),
      ...down(
        "p",
        "q",
        `let v = ${a(0, "p")}; for (let k = p + 1; k < ${n}; k++) v -= ${m("k", "p")} * ${a(0, "k")};`,
        `v *= ${m("p", "p")}; ${a(0, "p")} = v; ${covariance("p", "q")} = ${covariance("q", "p")} = c * v;`,
      ),
      `trace += ${a(0, "q")};`,
    ),
    "if (trace < Infinity) {",
    ...loop("p", 0, n, `${damped("p")} *= c;`),
    "} else {",
    "resets++;",
    ...loop(
      "p",
      0,
      n,
      `${damped("p")} = c * ${undamped("p")};`,
      ...loop("q", 0, n, `${covariance("p", "q")} = p === q ? c : 0;`),
    ),
    "}",
  ];
}
