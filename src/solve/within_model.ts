import type { Step } from "../step.ts";
import type { Tensor } from "../tensor.ts";
import { type Attempt, begin, release } from "./attempt.ts";
import { closeAttempt, type Closed, recordSweeps, withoutRun } from "./closed.ts";
import type { SolveOptions } from "./entry.ts";
import { explainFailure } from "./failure.ts";
import { overall, statsOf } from "./outcome.ts";
import type { Problem } from "./problem.ts";
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
  const { ys } = attempt;
  const yT = recordSweeps(attempt);
  if (!watched) {
    release(attempt, false);
    return { ys, yT };
  }
  // Of what was made for this solve alone the first states are looked at if it has failed, and they are small.
  const closed = closeAttempt(attempt, false);
  const rest = withoutRun(attempt);
  let verdict: Promise<Solution> | undefined;
  return { ys, yT, verdict: () => verdict ??= report(rest, closed, yT) };
}

async function report(attempt: Attempt, closed: Closed, yT: Tensor): Promise<Solution> {
  const { engine, job, ys, maxSweeps, problem: { batched } } = attempt;
  try {
    const verdict = await closed.read();
    const stats = statsOf(attempt, verdict);
    const result = overall(verdict);
    const solution = createSolution({ ys, yT, result, stats });
    if (result === "successful") return solution;
    const readable = closed.isReadable();
    const message = await explainFailure(engine, job, verdict, result, stats, maxSweeps, batched, readable);
    throw new SolveError(message, solution);
  } finally {
    closed.release();
  }
}
