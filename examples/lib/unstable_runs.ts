/** Runs an unstable recurrence by the methods that are parallel in time, and keeps how each came to its answer. */

import {
  deer,
  type Device,
  elk,
  expectedSweeps,
  type HostArray,
  lyapunovExponent,
  type Method,
  quasiDeer,
  quasiElk,
} from "@cervid/cervid";
import { AR_GRU, arGruProblem } from "./ar_gru.ts";
import { LORENZ_96, lorenzProblem } from "./lorenz96.ts";
import { measureMethod, observeConvergence, prepareWorkload, type Workload } from "./measure.ts";
import { createProgressBar } from "./progress.ts";
import type { CaseName, UnstableFlags } from "./unstable_flags.ts";

/** One method on one recurrence. */
export interface UnstableRun {
  /** As people call it: `elk`, `scale-deer`. */
  readonly label: string;
  readonly result: string;
  readonly sweeps: number;
  /** Median time of a solve, in ms. */
  readonly ms: number;
  /** From the sequential answer; null where a state is not finite. */
  readonly maxDeviation: number | null;
  /** The mean over all steps of the largest error of a state, of the guess and after each sweep, as many as were kept. */
  readonly errors: readonly number[];
}

/** What was found of a recurrence. */
export interface UnstableCase {
  readonly name: CaseName;
  readonly title: string;
  /** T */
  readonly time: number;
  /** The first state of the sequential answer. */
  readonly trajectory: Float64Array;
  readonly exponent: number;
  readonly expectedSweeps: number;
  readonly sequentialMs: number;
  readonly runs: readonly UnstableRun[];
}

const DEFAULT_LENGTH: Readonly<Record<CaseName, number>> = { "ar-gru": 2000, "lorenz-96": 1000 };
/** Numbers of iterates that are kept at most. */
const MOST_KEPT = 2 ** 26;

async function prepare(device: Device, name: CaseName, flags: UnstableFlags): Promise<Workload> {
  const time = flags.length ?? DEFAULT_LENGTH[name];
  if (name === "lorenz-96") {
    return prepareWorkload(device, LORENZ_96, await lorenzProblem(device, { time, seed: flags.seed }));
  }
  const { noise, start, seed } = flags;
  return prepareWorkload(device, AR_GRU, await arGruProblem({ time, noise, start, seed }));
}

function titleOf(name: CaseName, { noise, start }: UnstableFlags): string {
  return name === "ar-gru"
    ? `A GRU that draws its next input, from x = ${start}${noise === 1 ? "" : `, noise ${noise}`}`
    : "Lorenz 96, five places";
}

/** Solves by every method and watches its iterates. */
export async function runUnstable(device: Device, name: CaseName, flags: UnstableFlags): Promise<UnstableCase> {
  const { guess, scale, damping, quasiDamping } = flags;
  const workload = await prepare(device, name, flags);
  const { step, problem, time } = workload;
  const bar = createProgressBar();
  const maxSweeps = flags.maxSweeps ?? time;
  const sequential = await measureMethod(workload, "sequential", maxSweeps, bar);
  const exact = sequential.states;
  const methods: readonly (readonly [label: string, method: Method])[] = [
    ["deer", deer()],
    ["quasi-deer", quasiDeer()],
    ["elk", elk({ damping })],
    ["quasi-elk", quasiElk({ damping: quasiDamping })],
    ["scale-deer", deer({ scale })],
  ];
  const runs: UnstableRun[] = [];
  for (const [label, method] of methods) {
    const { result, stats: { sweeps }, ms, maxDeviation } = await measureMethod(
      workload,
      method,
      maxSweeps,
      bar,
      exact,
      {
        guess,
      },
    );
    const kept = Math.min(sweeps, Math.max(1, Math.floor(MOST_KEPT / exact.length) - 1));
    const options = { device, guess, maxSweeps: kept };
    const { errors } = await observeConvergence(step, problem, method, exact, options);
    runs.push({
      label,
      result,
      sweeps,
      ms,
      maxDeviation: Number.isFinite(maxDeviation) ? maxDeviation : null,
      errors: errors.map(mean),
    });
  }
  const ys = { data: exact as Exclude<HostArray, Uint32Array | Int32Array>, shape: [time, step.state] };
  const [exponent = NaN] = (await lyapunovExponent(step, { ...problem, ys }, { device })).exponents;
  return {
    name,
    title: titleOf(name, flags),
    time,
    trajectory: Float64Array.from({ length: time }, (_, t) => exact[t * step.state]!),
    exponent,
    expectedSweeps: expectedSweeps(exponent, time),
    sequentialMs: sequential.ms,
    runs,
  };
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
