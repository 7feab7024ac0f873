import type { HostArray } from "../../core/types.ts";
import type { Node } from "../../trace/graph.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Stages } from "../../trace/stages.ts";
import type { ErrorKind } from "../engine.ts";
import { compileKernel, inputPlaces, type KernelArrays, printBody, unpack } from "./kernel.ts";
import { STRAIGHT } from "./units.ts";

/** What a kernel reports of one sequence. */
export interface SweepReport {
  /** The largest update in units of the tolerance; of `measure` the largest |e|. */
  worst: number;
  /** Entries that were replaced by the policy for non-finite iterates. */
  resets: number;
  /** Steps from the first on that are known to be exact. */
  exact: number;
  /** The first step, not known to be exact, at which f is not finite, or -1. */
  lost: number;
  /** The step at which the true trajectory is not finite, or -1. */
  failed: number;
  /** With an adaptive damping: the sums of `TrustSums`. */
  merit: number;
  nonlinear: number;
  predicted: number;
}

/** A report before a sweep. */
export function createReport(): SweepReport {
  return { worst: 0, resets: 0, exact: 0, lost: -1, failed: -1, merit: 0, nonlinear: 0, predicted: 0 };
}

/** Where the rows of one sequence begin in each array, and the rows `from` to `to` to be done. */
export interface SweepRange {
  z: number;
  x: number;
  old: number;
  out: number;
  guess: number;
  start: number;
  from: number;
  to: number;
  /** t of row 0 */
  t: number;
  /** Iterates beyond this are replaced by the guess. */
  limit: number;
  /** λ of a trust region. */
  damping: number;
}

/** What sweeps of an adaptive damping keep, at the places of the guess. */
export interface TrustArrays {
  /** Receives the iterate that the sweep begins with. */
  saved: HostArray;
  /** f as the sweep before predicted it, then as this one does. */
  expected: HostArray;
}

/** One sweep over one sequence: the fold form of the scan, from the exact state in `start`. */
export type SweepKernel = (
  arrays: KernelArrays,
  OLD: HostArray,
  OUT: HostArray,
  GUESS: HostArray,
  START: HostArray,
  range: SweepRange,
  tolerance: { readonly atol: number; readonly rtol: number },
  report: SweepReport,
  trust?: TrustArrays,
) => void;

/**
 * - `sequential`: h⁺[t] = f(h⁺[t-1])
 * - `sweep`: h⁺[t] = f(h[t-1]) + G[t] (h⁺[t-1] - h[t-1]), in place, with the policy for non-finite entries
 * - `first-order`: the same without writing; e = h⁺ - h, e[t] = r[t] + J[t] e[t-1], is the first-order error of h
 * - `absolute`: e[t] = |r[t]| + |J[t]| e[t-1], at least as large
 */
export type SweepMode = "sequential" | "sweep" | ErrorKind;

/**
 * Compiles one sweep. A serial machine needs no products of Jacobians: the fold applies G[t] to one vector δ, so full
 * Newton costs one Jacobian-vector product a step (about twice f), and nothing of size T·D² exists.
 *
 * Reads D + Z words and writes D a step; f, G δ and about 6 D operations.
 */
export function compileSweep(
  program: StepProgram,
  stages: Stages,
  action: Node | null,
  mode: SweepMode,
  dtype: "f32" | "f64",
): SweepKernel {
  const { state, h, delta, output } = program;
  const places = inputPlaces(program, stages);
  const short = state <= STRAIGHT;
  const measures = mode === "first-order" || mode === "absolute";
  const locals = (prefix: string): Place => ({
    kind: "locals",
    texts: Array.from({ length: state }, (_, i) => `${prefix}${i}`),
  });
  const hPlace = short ? locals("h") : memory("W", "", 0);
  const dPlace = short ? locals("d") : memory("W", "", state);
  places.set(h, hPlace).set(delta, dPlace);
  const { lines, use } = printBody(action === null ? [output] : [output, action], places, short ? 0 : 2 * state);
  // Short outputs may be views of h and δ themselves (a shift of the state): taken before these are overwritten. Long
  // ones share an index with what they view.
  const hold = (place: Place, prefix: string): Place => {
    if (!short) return place;
    const held = locals(prefix);
    lines.push(`const ${Array.from({ length: state }, (_, i) => `${read(held, i)} = ${read(place, i)}`).join(", ")};`);
    return held;
  };
  const f = hold(places.get(output)!, "f");
  const g = action && hold(places.get(action)!, "g");
  const round = (text: string): string => (dtype === "f32" ? `fround(${text})` : text);
  const element = (i: number | string): string => {
    const [hi, di] = [read(hPlace, i), read(dPlace, i)];
    const target = `OUT[o + ${i}]`;
    if (mode === "sequential") {
      return `v = ${round(read(f, i))}; if (v - v !== 0) bad = true; ${target} = v; ${hi} = v;`;
    }
    const linear = g === null ? "" : `g = ${read(g, i)}; if (g - g !== 0) { g = 0; resets++; } v += g;`;
    const was = `was = OLD[q + ${i}];`;
    const advance = `${hi} = was; ${di} = v - was;`;
    if (measures) {
      const residual = mode === "absolute" ? `abs(${read(f, i)} - was)` : `${read(f, i)} - was`;
      return `${was} v = ${residual}; ${linear} e = abs(v); if (!(e <= worst) && worst === worst) worst = e; ${hi} = was; ${di} = v;`;
    }
    return `v = ${read(f, i)};
      if (exact) { v = ${round("v")}; if (v - v !== 0) bad = true; }
      else { if (v - v !== 0 && lost < 0) lost = r; ${linear} v = ${
      round("v")
    }; if (!(v <= limit && v >= -limit)) { v = GUESS[u + ${i}]; resets++; } }
      ${was} e = abs(v - was);
      if (e !== 0) { same = false; e /= atol + rtol * abs(v); if (e > worst) worst = e; }
      ${target} = v; ${advance}`;
  };
  const each = (emit: (i: number | string) => string): string =>
    short
      ? Array.from({ length: state }, (_, i) => emit(i)).join("\n")
      : `for (let i = 0; i < ${state}; i++) {\n${emit("i")}\n}`;
  const body = [
    unpack(program),
    "const { atol, rtol } = tolerance, { from, to, limit } = range;",
    `let z = range.z + from * ${stages.hoistedSize}, x = range.x + from * ${program.input}, t = range.t + from;`,
    `let o = range.out + from * ${state}, q = range.old + from * ${state}, u = range.guess + from * ${state};`,
    short ? `let ${Array.from({ length: state }, (_, i) => `h${i}, d${i}`).join(", ")};` : "",
    // The error scan continues where the window before ended: its δ comes and goes through GUESS.
    each((i) => {
      const delta = measures ? `GUESS[range.guess + ${i}]` : "0";
      return `${read(hPlace, i)} = START[range.start + ${i}]; ${read(dPlace, i)} = ${delta};`;
    }),
    "let exact = true, worst = 0, resets = 0, done = to, failed = -1, lost = -1, v = 0, g = 0, e = 0, was = 0;",
    "for (let r = from; r < to; r++) {",
    ...lines,
    "let same = true, bad = false;",
    each(element),
    "if (bad) { failed = r; done = r; break; }",
    mode === "sweep" ? "if (exact && !same) { exact = false; done = r + 1; }" : "",
    `z += ${stages.hoistedSize}; x += ${program.input}; o += ${state}; q += ${state}; u += ${state}; t++;`,
    "}",
    measures ? each((i) => `GUESS[range.guess + ${i}] = ${read(dPlace, i)};`) : "",
    "report.worst = worst; report.resets = resets; report.exact = done; report.failed = failed; report.lost = lost;",
  ];
  return compileKernel("arrays, OLD, OUT, GUESS, START, range, tolerance, report", body, use);
}
