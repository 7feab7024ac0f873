import { DeviceError } from "../core/errors.ts";
import type { Verdict } from "../engine/engine.ts";
import { hold, memoryOf, release as letGo, type Tensor, whenDisposed } from "../tensor.ts";
import { type Attempt, freeIterates, lastState, release } from "./attempt.ts";
import { iterate } from "./iterate.ts";
import { emptyVerdict } from "./outcome.ts";
import { leave } from "./problem.ts";
import { recordSolve } from "./record_solve.ts";

/** What is left of a solve that was recorded: how it ended, and where to look if it has failed. */
export interface Closed {
  /** What the engine says; to be called once. From then on {@linkcode Closed.release} is the caller's. */
  read(): Promise<Verdict>;
  /** Whether all that the solve was given is still there. */
  isReadable(): boolean;
  /** Frees what was kept to be looked at. */
  release(): void;
}

/** Records all sweeps of a solve, and answers with the last state; frees everything if that fails. */
export function recordSweeps(attempt: Attempt): Tensor {
  let yT: Tensor | undefined;
  try {
    for (const _ of iterate(attempt.engine, attempt.run, attempt.maxSweeps, attempt.errorKind));
    yT = lastState(attempt);
    recordSolve(attempt, yT);
    return yT;
  } catch (error) {
    yT?.dispose();
    release(attempt, true);
    throw error;
  }
}

/**
 * Frees all that a solve took, but for its answer, a few words that say how it ended, iterates, and copies that were made for it
 * of what a failure is explained by: h0, with `whole` all of the problem. The latter two go with the trajectory, if nobody has
 * asked by then.
 */
export function closeAttempt(attempt: Attempt, whole: boolean): Closed {
  const { engine, run, ys, job, problem } = attempt;
  const { params, xs, h0 } = problem.sources;
  const looked = new Set(whole ? [h0, ...params, xs] : [h0]);
  const kept = problem.temporary.filter((copy) => looked.has(copy));
  for (const copy of kept) hold(copy);
  leave(problem);
  const verdict = engine.closeRun(run);
  const { iterates } = run;
  const sources = new Set([...params, ...(xs === null ? [] : [xs]), h0]);
  for (const copy of kept) sources.delete(copy);
  const empty = job.time === 0 ? emptyVerdict(attempt) : undefined;
  let asked = false;
  let released = false;
  const letAllGo = (): void => {
    if (released) return;
    released = true;
    for (const copy of kept) letGo(copy);
    freeIterates(engine, { iterates });
  };
  whenDisposed(ys, () => {
    if (!asked) letAllGo();
  });
  return {
    read() {
      asked = true;
      return empty === undefined ? verdict() : Promise.resolve(empty);
    },
    isReadable: () => !released && [...sources].every(isThere),
    release: letAllGo,
  };
}

/** An attempt that was closed, without the arrays that its run may hold. */
export function withoutRun(attempt: Attempt): Attempt {
  const { job, run: { iterates } } = attempt;
  return { ...attempt, run: { job, residual: NaN, iterates } };
}

function isThere(value: Tensor): boolean {
  try {
    memoryOf(value);
    return true;
  } catch (error) {
    if (error instanceof DeviceError) return false;
    throw error;
  }
}
