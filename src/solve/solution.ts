import type { MethodName } from "./methods.ts";
import type { Tensor } from "../tensor.ts";

/** How a solve ended; {@linkcode explainResult} says it in a sentence. */
export type SolveResult = "successful" | "max-sweeps-reached" | "nonfinite" | "aborted";

/** What a solve did. */
export interface SolveStats {
  /** The method that ran. */
  readonly method: MethodName;
  /** Why `auto` chose it. */
  readonly reason?: string;
  /** Sweeps, those of all windows together; 0 for the sequential method, which has none. */
  readonly sweeps: number;
  /** Sweeps of each sequence: one that has converged stops. */
  readonly sequenceSweeps: readonly number[];
  /**
   * max over the sequence of |h⁺ - h| / (atol + rtol |h⁺|) after each sweep, the largest of the batch. The last one may be large
   * where the sweep before had made all but the last steps exact.
   */
  readonly residuals: readonly number[];
  /** Per sequence of the batch. */
  readonly converged: readonly boolean[];
  /**
   * Estimate of max |h - h_sequential|, per sequence, by the scan that the option `errorBound` names. It linearises at the answer: near the solution it is sharp, far from it (a solve that failed) it says little.
   */
  readonly errorBound?: readonly number[];
  /** Milliseconds by kernel, on a WebGPU device with `profile`. */
  readonly gpuMs?: Readonly<Record<string, number>>;
}

/** The answer of {@linkcode solve}; freed by `using`, `tidy` or `dispose()`. */
export interface Solution extends Disposable {
  /** The trajectory `(B, T, D)` or `(T, D)`, without h0. */
  readonly ys: Tensor;
  /** The last state `(B, D)` or `(D)`. */
  readonly yT: Tensor;
  /** How it ended. */
  readonly result: SolveResult;
  /** What it took. */
  readonly stats: SolveStats;
  /** `(sweeps + 1, B, T, D)` or `(sweeps + 1, T, D)`, the guess first; only with `keepIterates`. */
  readonly iterates?: Tensor;
  /** Frees its tensors. */
  dispose(): void;
}

/** A solution with the methods that free it. */
export function createSolution(parts: Omit<Solution, "dispose" | typeof Symbol.dispose>): Solution {
  const dispose = (): void => {
    for (const part of [parts.ys, parts.yT, parts.iterates]) part?.dispose();
  };
  return { ...parts, dispose, [Symbol.dispose]: dispose };
}

/** What each result means, and what to do about it. */
export const RESULTS: Readonly<Record<SolveResult, { readonly meaning: string; readonly cure: string }>> = {
  "successful": {
    meaning: "The trajectory equals the sequential one to the tolerance",
    cure: "nothing is left to do",
  },
  "max-sweeps-reached": {
    meaning: "Some sequences still changed by more than the tolerance after the last allowed sweep",
    cure:
      "raise maxSweeps, solve in windows, use elk, stabilise with scale (0.1, then 0.3), give a better guess, or use " +
      "the sequential method",
  },
  "nonfinite": {
    meaning: "The true trajectory of some sequence becomes infinite or NaN",
    cure: "look for NaN in xs, h0 and params, for a step that grows without bound, or use f64",
  },
  "aborted": {
    meaning: "The solve was aborted by its signal before it ended",
    cure: "solve again to have the answer",
  },
};

/**
 * What a result means and what to do about it, in a sentence or two.
 *
 * @example
 * ```ts
 * import { explainResult } from "@cervid/cervid";
 *
 * console.log(explainResult("max-sweeps-reached"));
 * ```
 */
export function explainResult(result: SolveResult): string {
  if (!Object.hasOwn(RESULTS, result)) {
    const known = Object.keys(RESULTS).join(", ");
    throw new RangeError(`Cannot explain the result: expected one of ${known}, got "${String(result)}"`);
  }
  const { meaning, cure } = RESULTS[result];
  return `${meaning}: ${cure}.`;
}

/**
 * A solve that did not succeed. `solution` tells its statistics; its tensors are freed already: to look at an unfinished
 * trajectory, solve with `onFailure: "return"`.
 */
export class SolveError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "SolveError";
  /** How the solve ended. */
  readonly result: SolveResult;
  /** Its statistics. */
  readonly solution: Solution;

  /** An error for a solution that failed. */
  constructor(message: string, solution: Solution) {
    super(message);
    this.result = solution.result;
    this.solution = solution;
  }
}
