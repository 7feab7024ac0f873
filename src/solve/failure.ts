import type { Engine, Memory, SweepJob, Verdict } from "../engine/engine.ts";
import type { SolveResult, SolveStats } from "./solution.ts";
import { RESULTS } from "./solution.ts";

/** What went wrong, where and first in which sequence, and the cure: the message of a SolveError. */
export async function explainFailure(
  engine: Engine,
  job: SweepJob,
  verdict: Verdict,
  result: SolveResult,
  stats: SolveStats,
  maxSweeps: number,
  batched: boolean,
  /** Whether what was given to the solve is still there. */
  readable = true,
): Promise<string> {
  const context = `Cannot solve "${job.program.name}" by ${stats.method}`;
  // What is already held back has no scale.
  const damped = job.transition.trust !== undefined && result === "max-sweeps-reached";
  const cure = damped ? DAMPED_CURE : RESULTS[result].cure;
  const failed = verdict.sequences.filter((sequence) => sequence.result === result).length;
  const share = job.batch === 1 ? "" : `${failed} of ${job.batch} sequences `;
  if (result === "max-sweeps-reached") {
    const last = stats.residuals.at(-1) ?? NaN;
    const b = verdict.sequences.findIndex((sequence) => sequence.result === result);
    const from = verdict.sequences[b]?.unsolvedFrom ?? 0;
    const where = job.window < job.time ? ` in the window from t = ${from}` : "";
    const update = `last update ${last.toPrecision(3)} tolerances`;
    const state = `not converged after ${maxSweeps} sweeps (maxSweeps)${where}, ${update}`;
    const cause = readable ? await findCause(engine, job, b, 0, job.time, batched) : "";
    return `${context}: ${share}${state}${cause}; ${cure}`;
  }
  const b = verdict.sequences.findIndex((sequence) => sequence.result === "nonfinite");
  const t = verdict.sequences[b]?.firstNonfinite ?? 0;
  const cause = readable ? await findCause(engine, job, b, t, t + 1, batched) : "";
  return `${context}: ${share}not finite${
    job.batch === 1 ? ", first" : `, sequence ${b} first`
  } at t = ${t}${cause}; ${cure}`;
}

const DAMPED_CURE =
  'raise maxSweeps, use another damping or "adaptive", solve in windows, give a better guess, or use ' +
  "the sequential method";

/** The parameter, or the input at steps `from` to `to`, that is not finite, if any: read only when a solve has failed. */
async function findCause(
  engine: Engine,
  job: SweepJob,
  b: number,
  from: number,
  to: number,
  batched: boolean,
): Promise<string> {
  const { program: { params, input, state }, time } = job;
  const lead = batched ? `${b}, ` : "";
  const find = async (memory: Memory, begin: number, end: number): Promise<[number, number] | undefined> => {
    const data = await engine.read(memory);
    for (let i = begin; i < end; i++) if (!Number.isFinite(data[i])) return [i - begin, data[i]!];
    return undefined;
  };
  for (const [k, memory] of job.params.entries()) {
    const found = await find(memory, 0, memory.length);
    if (found) return `, params.${params[k]!.path} is ${found[1]} at element ${found[0]}`;
  }
  const initial = await find(job.h0, b * state, (b + 1) * state);
  if (initial) return `, h0[${lead}${initial[0]}] is ${initial[1]}`;
  if (job.xs === null) return "";
  const found = await find(job.xs, (b * time + from) * input, (b * time + to) * input);
  if (!found) return "";
  return `, xs[${lead}${from + Math.floor(found[0] / input)}, ${found[0] % input}] is ${found[1]}`;
}
