import { checkKeys, describe } from "../core/describe.ts";
import { checkCount, formatShape, sameShape } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { place, shapeOf } from "../place.ts";
import { programOf, type Step } from "../step.ts";
import { memoryOf, type TensorLike } from "../tensor.ts";
import type { StepProgram } from "../trace/program.ts";
import { estimateGrowth, type LyapunovEstimate } from "./growth_estimate.ts";
import { keepFor, leave, type PreparedProblem, prepareProblem, type Problem } from "./problem.ts";
import { solve } from "./sequence.ts";

/** How {@linkcode lyapunovExponent} estimates. */
export interface LyapunovOptions {
  /** Needed only where no argument is a device tensor. */
  device?: Device;
  /** How many random vectors are carried along. Default 3. */
  vectors?: number;
  /** Of the random vectors. Default 0. */
  seed?: number;
}

/**
 * The largest Lyapunov exponent λ = lim (1/T) log |J[T-1] ... J[0]| along a trajectory: negative where differences shrink
 * and parallel methods take few sweeps whatever T, positive where the dynamics are chaotic and their sweeps grow with T;
 * {@linkcode expectedSweeps} says how many.
 *
 * A few random vectors are carried along, `v' = J v / |J v|`, and the logarithms of their lengths averaged; the first steps, in
 * which they turn, are left out: an eighth of them, at most 64. `problem.ys` is the trajectory `(B, T, D)` or `(T, D)`; without it the problem is solved first,
 * one step after the other. `spread` is how far the vectors are apart; those of one state have nothing to disagree on.
 * On WebGPU long trajectories are cut into chunks that run side by side, each with vectors of its own.
 *
 * Cost: one pass with `vectors` Jacobian-vector products a step; D + I words a step for what is read, k (D + 1) for k vectors.
 * Throws a `TypeError` or `RangeError` for what does not fit, and what `solve` throws where it has to solve.
 *
 * Gonzalez et al., "Predictability enables parallelization of nonlinear state space models", 2025, arXiv 2508.16817. Benettin
 * et al. 1980, doi 10.1007/BF02128236.
 *
 * @example The logistic map is chaotic, with λ = log 2
 * ```ts
 * import { defineStep, lyapunovExponent, openDevice } from "@cervid/cervid";
 * import { mul, sub } from "@cervid/cervid/ops";
 *
 * const logistic = defineStep({
 *   name: "logistic",
 *   state: 1,
 *   input: 0,
 *   params: {},
 *   step: ({ h }) => mul(4, mul(h, sub(1, h))),
 * });
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const h0 = { data: new Float64Array([0.3]), shape: [1] };
 * const { exponents } = await lyapunovExponent(logistic, { params: {}, time: 10_000, h0 }, { device });
 * console.log(exponents[0]); // about 0.693
 * ```
 */
export async function lyapunovExponent(
  step: Step,
  problem: Problem & { ys?: TensorLike },
  options: LyapunovOptions = {},
): Promise<LyapunovEstimate> {
  const program = programOf(step);
  const context = `Cannot estimate the growth of "${program.name}"`;
  checkKeys(context, "options", options, ["device", "vectors", "seed"]);
  const { vectors = 3, seed = 0 } = options;
  checkCount(context, "vectors", vectors, 1);
  checkCount(context, "seed", seed, 0);
  if (typeof problem !== "object" || problem === null) {
    throw new TypeError(`${context}: expected a problem { params, xs, h0, ys }, got ${describe(problem)}`);
  }
  const { ys, ...rest } = problem;
  // Without inputs a trajectory says how long it is.
  const length = rest.time === undefined && program.input === 0 && ys !== undefined
    ? shapeOf(context, "ys", ys).at(-2)
    : rest.time;
  const posed: Problem = { ...rest, ...(length !== undefined && { time: length }) };
  // Whether a parallel method would do is what is being asked.
  const how = { method: "sequential", ...(options.device && { device: options.device }) } as const;
  const solved = ys === undefined ? await solve(step, posed, how) : undefined;
  const prepared = prepareProblem(program, posed, options.device);
  try {
    const trajectory = placeTrajectory(context, ys ?? solved!.ys, prepared, program);
    const { device, params, xs, h0, batch, time } = prepared;
    const along = { program, params, xs, h0, ys: trajectory, batch, time };
    return await estimateGrowth(engineOf(device), along, vectors, seed);
  } finally {
    leave(prepared);
    solved?.dispose();
  }
}

function placeTrajectory(context: string, ys: TensorLike, problem: PreparedProblem, { state }: StepProgram): Memory {
  const { batch, time, batched, device, temporary } = problem;
  const wanted = batched ? [batch, time, state] : [time, state];
  const placed = keepFor(problem, place(context, "ys", ys, device, temporary));
  if (!sameShape(shapeOf(context, "ys", ys), wanted)) {
    throw new TypeError(`${context}: ys must have shape ${formatShape(wanted)}, got ${formatShape(placed.shape)}`);
  }
  if (time === 0) throw new RangeError(`${context}: the trajectory must have at least one step, got T = 0`);
  return memoryOf(placed);
}
