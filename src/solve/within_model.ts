import { DeviceError } from "../core/errors.ts";
import type { Verdict } from "../engine/engine.ts";
import type { Step } from "../step.ts";
import { hold, memoryOf, release as letGo, type Tensor } from "../tensor.ts";
import { type Attempt, begin, lastState, release } from "./attempt.ts";
import type { SolveOptions } from "./entry.ts";
import { explainFailure } from "./failure.ts";
import { iterate } from "./iterate.ts";
import { emptyVerdict, overall, statsOf } from "./outcome.ts";
import type { Problem, ProblemSources } from "./problem.ts";
import { recordSolve } from "./record_solve.ts";
import { createSolution, type Solution, SolveError } from "./solution.ts";

/** A solve among other functions, which wait for nothing. */
export interface ModelSolve {
  /** `(B, T, D)` or `(T, D)`, the caller's. */
  readonly ys: Tensor;
  /** `(B, D)` or `(D)`, the caller's. */
  readonly yT: Tensor;
  /** Waits, and answers or throws as `solve` would; there if it was asked for. */
  readonly verdict?: () => Promise<Solution>;
}

/**
 * A solve as a part of a model: enqueued, and all that it took is free at once, but for what it answers. Its verdict, if it is
 * `watched`, costs a few words a sequence until it is read, and leaves the answer alone; if not, what was not solved is NaN.
 */
export function solveWithin(step: Step, problem: Problem, options: SolveOptions, watched: boolean): ModelSolve {
  const attempt = begin(step, problem, options, !watched);
  const { engine, run, ys, maxSweeps, problem: { temporary, sources: { h0 } } } = attempt;
  let yT: Tensor | undefined;
  try {
    for (const _ of iterate(engine, run, maxSweeps, null));
    yT = lastState(attempt);
    recordSolve(attempt, yT);
  } catch (error) {
    yT?.dispose();
    release(attempt, true);
    throw error;
  }
  if (!watched) {
    release(attempt, false);
    return { ys, yT };
  }
  // Of what was made for this solve alone the first states are looked at if it has failed, and they are small.
  hold(h0);
  for (const copy of temporary) copy.dispose();
  const read = engine.closeRun(run);
  const end = yT;
  let verdict: Promise<Solution> | undefined;
  return { ys, yT, verdict: () => verdict ??= report(attempt, end, read) };
}

async function report(attempt: Attempt, yT: Tensor, read: () => Promise<Verdict>): Promise<Solution> {
  const { engine, job, ys, maxSweeps, problem: { batched, sources } } = attempt;
  try {
    const told = await read();
    const verdict = job.time === 0 ? emptyVerdict(attempt) : told;
    const stats = statsOf(attempt, verdict);
    const result = overall(verdict);
    const solution = createSolution({ ys, yT, result, stats });
    if (result === "successful") return solution;
    const readable = isReadable(sources);
    const message = await explainFailure(engine, job, verdict, result, stats, maxSweeps, batched, readable);
    throw new SolveError(message, solution);
  } finally {
    letGo(sources.h0);
  }
}

/** Whether parameters and inputs of a solve were not freed meanwhile. */
function isReadable({ params, xs }: ProblemSources): boolean {
  try {
    for (const source of [...params, ...(xs === null ? [] : [xs])]) memoryOf(source);
    return true;
  } catch (error) {
    if (error instanceof DeviceError) return false;
    throw error;
  }
}
