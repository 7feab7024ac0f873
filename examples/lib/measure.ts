/** Runs a problem by several methods: how long, how many sweeps, how far from the sequential answer. */

import {
  type Device,
  type HostArray,
  type HostTensor,
  type Method,
  type MethodName,
  type Problem,
  solve,
  type SolveOptions,
  type SolveResult,
  type SolveStats,
  type Step,
  tensor,
  toHost,
} from "@cervid/cervid";
import type { ProgressBar } from "./progress.ts";

/** A method is timed again until it has taken this long in total, or this often. */
const REPEAT_MS = 500;
const MAX_RUNS = 5;
/** Steps of the run that warms up: enough to generate and compile all code, and short. */
const WARM_UP_STEPS = 4000;
const WARM_UP_SWEEPS = 4;

/** One method on one problem. */
export interface Measurement {
  /** As asked for: maybe `auto`. */
  readonly method: MethodName;
  readonly result: SolveResult;
  /** Median over the runs of the time from the call of `solve` to its answer, in ms. */
  readonly ms: number;
  readonly runs: number;
  readonly stats: SolveStats;
  /** max over all (t, i) of |h - h of the reference|; NaN if any state is. */
  readonly maxDeviation: number;
  /** `(T, D)` */
  readonly states: HostArray;
}

/** A problem whose inputs lie on the device, and the same problem cut to its first steps. */
export interface Workload {
  readonly device: Device;
  readonly step: Step;
  readonly problem: Problem;
  readonly warmUp: Problem;
  readonly time: number;
}

/** How a trajectory converges: after each sweep, the guess first, max over i of |h[t, i] - exact h[t, i]| for all t. */
export interface Convergence {
  readonly method: MethodName;
  readonly errors: readonly Float64Array[];
}

/** Copies the inputs `xs (T, I)`, if there are any, to the device, once for all runs. */
export function prepareWorkload(
  device: Device,
  step: Step,
  problem: Problem & ({ readonly xs: HostTensor } | { readonly xs?: never; readonly time: number }),
): Workload {
  if (problem.xs === undefined) {
    const { time } = problem;
    return { device, step, problem, warmUp: { ...problem, time: Math.min(time, WARM_UP_STEPS) }, time };
  }
  const { data, shape: [time = 0, input = 0] } = problem.xs;
  const short = Math.min(time, WARM_UP_STEPS);
  const start = { data: data.slice(0, short * input), shape: [short, input] };
  return {
    device,
    step,
    problem: { ...problem, xs: tensor(device, problem.xs) },
    warmUp: { ...problem, xs: tensor(device, start) },
    time,
  };
}

const nameOf = (method: MethodName | Method): MethodName => typeof method === "string" ? method : method.name;

/** Solves by one method, warm and a few times, and compares with `reference` if there is one. */
export async function measureMethod(
  { device, step, problem, warmUp, time }: Workload,
  asked: MethodName | Method,
  maxSweeps: number,
  bar: ProgressBar,
  reference?: HostArray,
  others: Pick<SolveOptions, "guess"> = {},
): Promise<Measurement> {
  const method = nameOf(asked);
  const options = { ...others, method: asked, maxSweeps, onFailure: "return", device } as const;
  (await solve(step, warmUp, { ...options, maxSweeps: Math.min(maxSweeps, WARM_UP_SWEEPS) })).dispose();
  const progress = method === "sequential" ? {} : { onProgress: bar.follow(method, Math.min(time, maxSweeps)) };
  const times: number[] = [];
  for (let total = 0;;) {
    const start = performance.now();
    using solution = await solve(step, problem, { ...options, ...progress });
    const ms = performance.now() - start;
    times.push(ms);
    total += ms;
    if (total < REPEAT_MS && times.length < MAX_RUNS) continue;
    const { data: states } = await toHost(solution.ys);
    bar.clear();
    const { result, stats } = solution;
    const maxDeviation = largestDeviation(states, reference ?? states);
    return { method, result, ms: median(times), runs: times.length, stats, maxDeviation, states };
  }
}

/** Solves with every iterate kept, and measures each against `exact (T, D)`: for a problem that is short. */
export async function observeConvergence(
  step: Step,
  problem: Problem,
  method: MethodName | Method,
  exact: HostArray,
  options: SolveOptions,
): Promise<Convergence> {
  using solution = await solve(step, problem, { ...options, method, keepIterates: true, onFailure: "return" });
  const { data, shape: [count = 0, time = 0, state = 0] } = await toHost(solution.iterates!);
  const errors = Array.from({ length: count }, (_, sweep) =>
    Float64Array.from({ length: time }, (_, t) => {
      const at = t * state;
      const iterate = data.subarray(sweep * time * state + at, sweep * time * state + at + state);
      return largestDeviation(iterate, exact.subarray(at, at + state));
    }));
  return { method: nameOf(method), errors };
}

function largestDeviation(a: HostArray, b: HostArray): number {
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const deviation = Math.abs(a[i]! - b[i]!);
    if (Number.isNaN(deviation)) return NaN;
    if (deviation > worst) worst = deviation;
  }
  return worst;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}
