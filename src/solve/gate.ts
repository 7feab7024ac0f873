import { chooseMethod } from "./auto.ts";
import type { Entry } from "./entry.ts";
import {
  type Foresight,
  isTurnOf,
  isWorthProbing,
  knowsParameters,
  noteFailure,
  probe,
  recallForesight,
} from "./foresight.ts";
import { leave } from "./problem.ts";

/**
 * Looks at the dynamics of a long solve by `auto` that would be parallel, once for its parameters; while they change, as in
 * training, and what was seen last lets it be parallel, ever more seldom. Undefined where there is nothing to wait for. Frees
 * the entry's copies where it fails.
 */
export function foresee(entry: Entry): Promise<void> | undefined {
  const { program, engine, method, options: { maxSweeps }, params, problem } = entry;
  const { batch, time } = problem;
  if (method !== null || program.affine || !isWorthProbing(time)) return undefined;
  const isParallel = (foresight?: Foresight): boolean =>
    chooseMethod(program, engine, batch, time, { foresight, maxSweeps }).name !== "sequential";
  if (!isParallel()) return undefined;
  const foresight = recallForesight(engine, program, params);
  if (knowsParameters(engine, program, params)) return undefined;
  if (foresight !== undefined && isParallel(foresight) && !isTurnOf(engine, program)) return undefined;
  return probe(engine, program, params, problem).catch((error) => {
    leave(problem);
    throw error;
  });
}

/** Keeps that what `auto` had chosen did not converge, unless the caller allowed fewer sweeps than it would have had. */
export function rememberFailure({ program, engine, method, options, params }: Entry, sweeps: number): void {
  if (method === null && options.maxSweeps === undefined) noteFailure(engine, program, params, sweeps);
}
