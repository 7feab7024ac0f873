import type { Node } from "../../trace/graph.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Stages } from "../../trace/stages.ts";
import type { Transition } from "../../trace/transition.ts";
import { nodesOfEntries, type TransitionEntries } from "../../trace/transition_entries.ts";
import { type Index, plus, sumOf, times } from "./entry_lines.ts";
import { kalmanLines } from "./kalman_lines.ts";
import { compileKernel, inputPlaces, printBody, unpack } from "./kernel.ts";
import type { SweepKernel } from "./sweep_kernel.ts";
import { denseWords, STRAIGHT, unitSize, unitsOf } from "./units.ts";

/** Variances are kept below this, so that products with them are numbers. */
const MOST_VARIANCE = 1e300;

/**
 * Compiles a sweep with a trust region: the fold form of a Kalman filter, see `TrustRegion`. The row after the exact ones is
 * f itself, undamped, and the filter starts behind it: so k sweeps make k rows exact here too. What a sweep measures is
 * the larger of the residual `f - h` and the undamped update `f + G δ - h`, whatever λ is.
 *
 * Reads D + Z words and writes D a step; with an adaptive λ it reads D and writes 2 D more. Operations beside f and G: 12 D of a
 * diagonal, 5 D n² of blocks of n.
 */
export function compileDampedSweep(
  program: StepProgram,
  stages: Stages,
  transition: Transition,
  entries: TransitionEntries,
  dtype: "f32" | "f64",
): SweepKernel {
  const { state, h, output } = program;
  const adaptive = transition.trust!.damping === "adaptive";
  const places = inputPlaces(program, stages);
  const short = state <= STRAIGHT;
  const locals = (prefix: string): Place => ({
    kind: "locals",
    texts: Array.from({ length: state }, (_, i) => `${prefix}${i}`),
  });
  const size = unitSize(state, transition, entries);
  const words = { h: 0, d: state, undamped: 2 * state, damped: 3 * state, variance: 4 * state };
  const scratch = words.variance + state * size;
  const dense = scratch + 4 * size * size;
  const hPlace = short ? locals("h") : memory("W", "", words.h);
  const dPlace = short ? locals("d") : memory("W", "", words.d);
  places.set(h, hPlace);
  const { lines, use } = printBody([output, ...nodesOfEntries(entries)], places, dense + denseWords(state, entries));
  // Views of h itself, where these are names: taken before they are overwritten.
  const hold = (node: Node, prefix: string): Place => {
    const place = places.get(node)!;
    if (!short) return place;
    const texts = Array.from({ length: node.size }, (_, i) => `${prefix}${i}`);
    lines.push(`const ${texts.map((name, i) => `${name} = ${read(place, i)}`).join(", ")};`);
    return { kind: "locals", texts };
  };
  const f = hold(output, "f");
  if (entries.kind === "blocks") places.set(entries.planes, hold(entries.planes, "e"));
  const units = unitsOf(program, transition, entries, places, dense);
  const [d, was] = [dPlace, (i: Index): string => `OLD[${sumOf("q", i)}]`];
  const at = (first: number, i: Index): string => `W[${plus(i, first)}]`;
  const round = (text: string): string => (dtype === "f32" ? `fround(${text})` : text);
  const each = (emit: (i: Index) => readonly string[]): string[] =>
    short
      ? Array.from({ length: state }, (_, i) => emit(i)).flat()
      : [`for (let i = 0; i < ${state}; i++) {`, ...emit("i"), "}"];
  const advance = (i: Index): string => `${read(hPlace, i)} = was; ${read(d, i)} = v - was; OUT[${sumOf("o", i)}] = v;`;
  const measure = (i: Index): string[] =>
    adaptive
      ? [
        `e = ${read(f, i)} - was; if (e - e === 0) merit += e * e;`,
        `e = ${read(f, i)} - EXPECTED[${sumOf("u", i)}]; if (e - e === 0) nonlinear += e * e;`,
        `SAVED[${sumOf("u", i)}] = was;`,
      ]
      : [];
  const expect = (i: Index, text: string): string => adaptive ? `EXPECTED[${sumOf("u", i)}] = ${text};` : "";
  const exactly = (i: Index): string[] => [
    `was = ${was(i)};`,
    ...measure(i),
    `v = ${round(read(f, i))}; if (v - v !== 0) bad = true;`,
    "e = abs(v - was); if (e !== 0) { same = false; e /= atol + rtol * abs(v); if (e > worst) worst = e; }",
    expect(i, "v"),
    advance(i),
  ];
  /** From the undamped `s`, r + G δ, and the damped `y`. */
  const damped = (i: Index): string[] => [
    `v = ${round("was + y")}; e = max(abs(${read(f, i)} - was), abs(s));`,
    `if (!(v <= limit && v >= -limit)) { v = GUESS[${sumOf("u", i)}]; resets++; e = abs(v - was); s = v - was; }`,
    "if (e !== 0) { e /= atol + rtol * abs(v); if (e > worst) worst = e; }",
    ...(adaptive ? ["s += was; e = s - v; predicted += e * e;"] : []),
    expect(i, "s"),
    advance(i),
  ];
  const diagonal = (i: Index): string[] => [
    `was = ${was(i)};`,
    ...measure(i),
    `v = ${read(f, i)}; if (v - v !== 0 && lost < 0) lost = r;`,
    `g = ${units.entry(i, 0, 0)}; if (g - g !== 0) { g = 0; resets++; }`,
    `p = min(g * g * ${at(words.variance, i)} + 1, ${MOST_VARIANCE}); k = c / (c + kappa * p); ${
      at(words.variance, i)
    } = k * p;`,
    `g *= ${read(d, i)}; if (g - g !== 0) { g = 0; resets++; }`,
    "s = v - was + g; y = k * s;",
    ...damped(i),
  ];
  const blocks = (): string[] => {
    const unit = (u: Index): string[] => {
      const place = (first: number) => (p: Index): string => at(first, units.channel(u, p));
      return [
        "{",
        ...kalmanLines({
          size,
          entry: (p, q) => units.entry(u, p, q),
          delta: (p) => read(d, units.channel(u, p)),
          residual: place(words.undamped),
          covariance: (p, q) => at(words.variance, sumOf(times(u, size * size), sumOf(times(p, size), q))),
          undamped: place(words.undamped),
          damped: place(words.damped),
          scratch,
        }),
        "}",
      ];
    };
    const all = units.count === 1
      ? unit(0)
      : short
      ? Array.from({ length: units.count }, (_, u) => unit(u)).flat()
      : [`for (let u = 0; u < ${units.count}; u++) {`, ...unit("u"), "}"];
    return [
      ...each((i) => [
        `was = ${was(i)};`,
        ...measure(i),
        `v = ${read(f, i)} - was; if (v - v !== 0) { v = 0; if (lost < 0) lost = r; } ${at(words.undamped, i)} = v;`,
      ]),
      ...units.lines,
      ...all,
      ...each((i) => [
        // What is not finite in f makes the sum so.
        `was = ${was(i)}; s = ${at(words.undamped, i)}; y = ${at(words.damped, i)} + (${read(f, i)} - ${read(f, i)});`,
        ...damped(i),
      ]),
    ];
  };
  const body = [
    unpack(program),
    "const { atol, rtol } = tolerance, { from, to, limit, damping } = range;",
    "const c = 1 / (1 + damping), kappa = damping * c;",
    adaptive ? "const { saved: SAVED, expected: EXPECTED } = trust;" : "",
    `let z = range.z + from * ${stages.hoistedSize}, x = range.x + from * ${program.input}, t = range.t + from;`,
    `let o = range.out + from * ${state}, q = range.old + from * ${state}, u = range.guess + from * ${state};`,
    short ? `let ${Array.from({ length: state }, (_, i) => `h${i}, d${i}`).join(", ")};` : "",
    ...each((i) => [`${read(hPlace, i)} = START[${sumOf("range.start", i)}]; ${read(d, i)} = 0;`]),
    "let exact = true, worst = 0, resets = 0, done = to, failed = -1, lost = -1, merit = 0, nonlinear = 0;",
    "let predicted = 0, v = 0, g = 0, e = 0, s = 0, y = 0, p = 0, k = 0, was = 0;",
    "for (let r = from; r < to; r++) {",
    ...lines,
    "if (exact) {",
    "let same = true, bad = false;",
    ...each(exactly),
    "if (bad) { failed = r; done = r; break; }",
    `if (!same) { exact = false; done = r + 1; W.fill(0, ${words.variance}, ${scratch}); }`,
    "} else {",
    ...(size === 1 ? each(diagonal) : blocks()),
    "}",
    `z += ${stages.hoistedSize}; x += ${program.input}; o += ${state}; q += ${state}; u += ${state}; t++;`,
    "}",
    "report.worst = worst; report.resets = resets; report.exact = done; report.failed = failed; report.lost = lost;",
    ...(adaptive
      ? [
        "report.merit = merit; report.nonlinear = nonlinear; report.predicted = predicted;",
      ]
      : []),
  ];
  return compileKernel("arrays, OLD, OUT, GUESS, START, range, tolerance, report, trust", body, use);
}
