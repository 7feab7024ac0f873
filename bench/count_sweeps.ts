/** Counts the sweeps of a solve: until it is near the sequential answer on average, and until it converges. */
import { type Device, type GuessChoice, type Method, type Problem, solve, type Step } from "@cervid/cervid";
import type { HostArray } from "../src/core/types.ts";
import { begin, release } from "../src/solve/attempt.ts";
import { iterate } from "../src/solve/iterate.ts";
import { overall } from "../src/solve/outcome.ts";

/** What counts as near. */
const NEAR = 0.1;

/** What to count. */
export interface Counting {
  readonly method: Method;
  readonly guess: GuessChoice;
  readonly maxSweeps: number;
  /** The sequential answer `(T, D)`. */
  readonly exact: HostArray;
  /** How many of the first states of a step are compared. */
  readonly compared: number;
}

/** What was counted. */
export interface Counted {
  /** Sweeps until the mean deviation is below 0.1; null if it never was. */
  readonly near: number | null;
  readonly sweeps: number;
  readonly result: string;
  /** Of all sweeps. */
  readonly ms: number;
  /** The mean deviation in the end; null if it is not finite. */
  readonly deviation: number | null;
}

/** The mean of |a - b| over the first `compared` of each `state` states. */
function meanDeviation(a: HostArray, b: HostArray, state: number, compared: number): number {
  let sum = 0;
  for (let t = 0; t < a.length; t += state) for (let i = 0; i < compared; i++) sum += Math.abs(a[t + i]! - b[t + i]!);
  return sum / (a.length / state * compared);
}

/** Sweep after sweep of one sequence; each iterate is looked at and let go. */
export async function countSweeps(device: Device, step: Step, problem: Problem, counting: Counting): Promise<Counted> {
  const { method, guess, maxSweeps, exact, compared } = counting;
  const options = { device, method, guess, maxSweeps, keepIterates: true, onFailure: "return" } as const;
  const attempt = begin(step, problem, options);
  const { engine, run } = attempt;
  const steps = iterate(engine, run, maxSweeps, null);
  let [ms, deviation, near, sweep] = [0, NaN, null as number | null, 0];
  for (;;) {
    const start = performance.now();
    const { done } = steps.next();
    ms += performance.now() - start;
    // What is kept is read and let go: thousands of iterates are gigabytes.
    const kept = (run.iterates as typeof run.iterates[number][]).splice(0);
    for (const [i, iterate] of kept.entries()) {
      if (i === kept.length - 1) {
        deviation = meanDeviation(await engine.read(iterate) as HostArray, exact, step.state, compared);
      }
      engine.free(iterate);
    }
    if (done) break;
    sweep++;
    if (near === null && deviation < NEAR) near = sweep;
  }
  const result = overall(await engine.verdict(run));
  release(attempt, true);
  return { near, sweeps: sweep, result, ms, deviation: Number.isFinite(deviation) ? deviation : null };
}

/** Milliseconds of the sequential method, the best of three. */
export async function timeSequential(device: Device, step: Step, problem: Problem): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    (await solve(step, problem, { device, method: "sequential" })).dispose();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}
