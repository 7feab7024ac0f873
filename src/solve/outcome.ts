import type { Verdict } from "../engine/engine.ts";
import type { Attempt } from "./attempt.ts";
import type { SolveResult, SolveStats } from "./solution.ts";

/** How a batch ended: as the sequence that fared worst. */
export function overall(verdict: Verdict): SolveResult {
  const results = verdict.sequences.map((sequence) => sequence.result);
  return results.includes("nonfinite")
    ? "nonfinite"
    : results.includes("max-sweeps-reached")
    ? "max-sweeps-reached"
    : "successful";
}

/** Of T = 0 there is nothing to ask an engine. */
export function emptyVerdict({ job: { batch }, errorKind }: Attempt): Verdict {
  const sequences = Array.from({ length: batch }, () => ({ result: "successful", sweeps: 0 }) as const);
  return { sequences, residuals: [], ...(errorKind && { errorBound: new Array<number>(batch).fill(0) }) };
}

/** What a verdict says of a solve. */
export function statsOf({ method, reason }: Attempt, { sequences, residuals, errorBound, gpuMs }: Verdict): SolveStats {
  return {
    method,
    ...(reason === undefined ? {} : { reason }),
    sweeps: residuals.length,
    sequenceSweeps: sequences.map(({ sweeps }) => sweeps),
    residuals: [...residuals],
    converged: sequences.map(({ result }) => result === "successful"),
    ...(errorBound === undefined ? {} : { errorBound: [...errorBound] }),
    ...(gpuMs === undefined ? {} : { gpuMs }),
  };
}
