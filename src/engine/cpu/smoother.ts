import type { HostArray } from "../../core/types.ts";
import { memory, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Stages } from "../../trace/stages.ts";
import type { Transition } from "../../trace/transition.ts";
import { nodesOfEntries, type TransitionEntries } from "../../trace/transition_entries.ts";
import { type Index, sumOf, times } from "./entry_lines.ts";
import { compileKernel, inputPlaces, type KernelArrays, printBody, unpack } from "./kernel.ts";
import { createWork, filterStep } from "./rts.ts";
import type { SweepKernel, SweepRange } from "./sweep_kernel.ts";
import { denseWords, STRAIGHT, unitsOf } from "./units.ts";

/** f at the rows `from` to `to` of the iterate, and the n × n entries of G of each unit. */
type Evaluation = (
  arrays: KernelArrays,
  OLD: HostArray,
  START: HostArray,
  range: SweepRange,
  F: Float64Array,
  G: Float64Array,
) => void;

/**
 * A sweep that solves the least squares of `TrustRegion` themselves: the filter, then the smoother of Rauch, Tung and
 * Striebel backwards,
 *
 *     δ[t] ← δ[t] + E[t] (δ[t+1] - s[t+1]),  E[t] = P[t] G[t+1]ᵀ P⁻[t+1]⁻¹,  s[t+1] = r[t+1] + G[t+1] δ[t]
 *
 * Like a filter's sweep it takes f itself for the row after the exact ones, which smoothing then leaves alone, as its
 * variance is 0. Not generated code: it is for comparison. Keeps D (n + 2) words a step of one sequence, about 12 D n² operations.
 */
export function createSmoother(
  program: StepProgram,
  stages: Stages,
  transition: Transition,
  entries: TransitionEntries,
  dtype: "f32" | "f64",
): SweepKernel {
  const { state } = program;
  const evaluation = compileEvaluation(program, stages, transition, entries);
  const { evaluate, size, count, channel } = evaluation;
  const round = dtype === "f32" ? Math.fround : (v: number): number => v;
  const works = Array.from({ length: count }, () => createWork(size));
  const [s, before] = [new Float64Array(size), new Float64Array(size)];
  const none = new Float64Array();
  let [F, G, S, X] = [none, none, none, none];
  return (arrays, OLD, OUT, GUESS, START, range, { atol, rtol }, report) => {
    const { from, to, limit, damping } = range;
    const [c, kappa] = [1 / (1 + damping), damping / (1 + damping)];
    if (F.length < to * state) {
      const rows = (): Float64Array<ArrayBuffer> => new Float64Array(to * state);
      [F, S, X, G] = [rows(), rows(), rows(), new Float64Array(to * state * size)];
    }
    evaluate(arrays, OLD, START, range, F, G);
    Object.assign(report, { worst: 0, resets: 0, exact: to, lost: -1, failed: -1 });
    const measure = (e: number, v: number): void => {
      if (e !== 0 && e / (atol + rtol * Math.abs(v)) > report.worst) report.worst = e / (atol + rtol * Math.abs(v));
    };
    let first = from;
    for (let same = true; first < to && same; first++) {
      for (let i = 0; i < state; i++) {
        const [v, was] = [round(F[first * state + i]!), OLD[range.old + first * state + i]!];
        if (v - v !== 0) report.failed = report.exact = first;
        X[first * state + i] = v - was;
        if (v !== was) same = false;
        measure(Math.abs(v - was), v);
        OUT[range.out + first * state + i] = v;
      }
      if (report.failed >= 0) return;
    }
    report.exact = first;
    for (const { covariance } of works) covariance.fill(0);
    for (let r = first; r < to; r++) {
      for (let u = 0; u < count; u++) {
        const g = (r * count + u) * size * size;
        for (let e = 0; e < size * size; e++) {
          if (Number.isFinite(G[g + e])) continue;
          G[g + e] = 0;
          report.resets++;
        }
        for (let p = 0; p < size; p++) {
          let v = 0;
          for (let q = 0; q < size; q++) v += G[g + p * size + q]! * X[(r - 1) * state + channel(u, q)]!;
          if (!Number.isFinite(v)) {
            v = 0;
            report.resets++;
          }
          const i = r * state + channel(u, p);
          const residual = F[i]! - OLD[range.old + i]!;
          if (Number.isFinite(residual)) v += residual;
          else if (report.lost < 0) report.lost = r;
          s[p] = S[i] = v;
        }
        if (!filterStep(works[u]!, G, g, s, before, 0, c, kappa)) report.resets++;
        for (let p = 0; p < size; p++) X[r * state + channel(u, p)] = before[p]!;
      }
    }
    for (let r = to - 2; r >= first; r--) {
      for (let u = 0; u < count; u++) {
        const g = ((r + 1) * count + u) * size * size;
        for (let q = 0; q < size; q++) {
          const i = (r + 1) * state + channel(u, q);
          s[q] = X[i]! - S[i]!;
        }
        for (let p = 0; p < size; p++) {
          let v = 0;
          for (let q = 0; q < size; q++) v += G[g + q * size + p]! * s[q]!;
          X[r * state + channel(u, p)]! += v;
        }
      }
    }
    for (let r = first; r < to; r++) {
      for (let i = r * state; i < (r + 1) * state; i++) {
        const was = OLD[range.old + i]!;
        const residual = F[i]! - was;
        let v = round(was + X[i]! + (F[i]! - F[i]!));
        let e = Math.max(Math.abs(residual), Math.abs(S[i]!), Math.abs(v - was));
        if (!(v <= limit && v >= -limit)) {
          v = GUESS[range.guess + i]!;
          e = Math.abs(v - was);
          report.resets++;
        }
        measure(e, v);
        OUT[range.out + i] = v;
      }
    }
  };
}

function compileEvaluation(
  program: StepProgram,
  stages: Stages,
  transition: Transition,
  entries: TransitionEntries,
): { evaluate: Evaluation; size: number; count: number; channel: (u: number, p: number) => number } {
  const { state, h, output } = program;
  const places = inputPlaces(program, stages);
  places.set(h, memory("W", "", 0));
  const { lines, use } = printBody([output, ...nodesOfEntries(entries)], places, state + denseWords(state, entries));
  const units = unitsOf(program, transition, entries, places, state);
  const { size, count } = units;
  const f = places.get(output)!;
  const all = Array.from({ length: state }, (_, i) => i);
  const store = (u: Index, p: Index, q: Index): string =>
    `G[${sumOf("g", sumOf(times(sumOf(times(u, size), p), size), q))}] = ${units.entry(u, p, q)};`;
  // Short values are names, which no loop can index.
  const [values, blocks] = state <= STRAIGHT
    ? [
      all.map((i) => `F[o + ${i}] = ${read(f, i)};`),
      all.flatMap((i) => all.slice(0, size).map((q) => store(Math.floor(i / size), i % size, q))),
    ]
    : [
      [`for (let i = 0; i < ${state}; i++) F[o + i] = ${read(f, "i")};`],
      [
        `for (let u = 0; u < ${count}; u++) for (let p = 0; p < ${size}; p++) for (let q = 0; q < ${size}; q++) {`,
        store("u", "p", "q"),
        "}",
      ],
    ];
  const body = [
    unpack(program),
    "const { from, to } = range;",
    `let z = range.z + from * ${stages.hoistedSize}, x = range.x + from * ${program.input}, t = range.t + from;`,
    "for (let r = from; r < to; r++) {",
    `for (let i = 0; i < ${state}; i++) W[i] = r === from ? START[range.start + i] : OLD[range.old + (r - 1) * ${state} + i];`,
    ...lines,
    ...units.lines,
    `const o = r * ${state}, g = o * ${size};`,
    ...values,
    ...blocks,
    `z += ${stages.hoistedSize}; x += ${program.input}; t++;`,
    "}",
  ];
  const evaluate = compileKernel<Evaluation>("arrays, OLD, START, range, F, G", body, use);
  return { evaluate, size, count, channel: (u, p) => Number(units.channel(u, p)) };
}
