import type { Engine, Memory, SweepJob, Verdict } from "../engine/engine.ts";
import type { SolveResult, SolveStats } from "./solution.ts";
import { explainResult } from "./solution.ts";

/** What went wrong, where and first in which sequence, and the cure: the message of a SolveError. */
export async function explainFailure(
  engine: Engine,
  job: SweepJob,
  verdict: Verdict,
  result: SolveResult,
  stats: SolveStats,
): Promise<string> {
  const context = `Cannot solve "${job.program.name}" by ${stats.method}`;
  const advice = explainResult(result).replace(/\.$/, "");
  const failed = verdict.sequences.filter((sequence) => sequence.result === result).length;
  const share = `${failed} of ${job.batch} sequences`;
  if (result === "max-sweeps-reached") {
    const last = stats.residuals.at(-1) ?? NaN;
    const state = `not converged after ${stats.sweeps} sweeps (last update ${last.toPrecision(3)} tolerances)`;
    return `${context}: ${share} ${state}; ${advice}`;
  }
  const b = verdict.sequences.findIndex((sequence) => sequence.result === "nonfinite");
  const t = verdict.sequences[b]?.firstNonfinite ?? 0;
  const cause = await findCause(engine, job, b, t);
  return `${context}: ${share} not finite, sequence ${b} first at t = ${t}${cause}; ${advice}`;
}

/** The input or parameter that is not finite, if there is one: read only when a solve has failed. */
async function findCause(engine: Engine, job: SweepJob, b: number, t: number): Promise<string> {
  const { program: { params, input, state }, time } = job;
  const first = async (memory: Memory, from: number, to: number): Promise<[number, number] | undefined> => {
    const data = await engine.read(memory);
    for (let i = from; i < to; i++) if (!Number.isFinite(data[i])) return [i - from, data[i]!];
    return undefined;
  };
  for (const [k, memory] of job.params.entries()) {
    const found = await first(memory, 0, memory.length);
    if (found) return `, params.${params[k]!.path} is ${found[1]} at element ${found[0]}`;
  }
  const state0 = await first(job.h0, b * state, (b + 1) * state);
  if (state0) return `, h0[${b}, ${state0[0]}] is ${state0[1]}`;
  if (job.xs === null) return "";
  const row = (b * time + t) * input;
  const found = await first(job.xs, row, row + input);
  return found ? `, xs[${b}, ${t}, ${found[0]}] is ${found[1]}` : "";
}
