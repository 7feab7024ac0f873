import { describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";

// Fitted to bench/predictability.ts, whose table stands in bench/results: recurrent networks by the size of their weights,
// maps, Lorenz 96, a trained GRU.
/** Sweeps in which Newton's method ends where nothing is in its way. */
const LEAST = 4;
/** Of a contraction: sweeps for each step that a difference takes to shrink to 1/e. */
const PER_MEMORY = 0.35;
/** Steps that a sweep makes right at an exponent of 0, and the exponent that leaves half of those beyond the first. */
const MOST_STEPS = 8;
const HALVING = 0.005;

/**
 * The number of sweeps that Newton's method (`deer`) is expected to take on T steps whose largest Lyapunov exponent is λ:
 * where λ < 0 about `4 + 0.35 / |λ|` whatever T, where λ ≥ 0 about `T / (1 + 7 / (1 + λ / 0.005))`: a sweep makes from 8 steps
 * right down to hardly more than the one that every sweep makes right. Never more than T.
 *
 * A rule of thumb, fitted to networks, maps and differential equations of 250 to 4000 steps. From λ = 0.1 on it was right within a
 * quarter, between 0 and 0.1 within a factor of 4. It knows the neighbourhood of the solution alone: for λ < 0 it was within that
 * factor in 32 of 55 cases, those whose iterates stay near. In the others, steps with several attractors or with cycles, sweeps grew with T at
 * exponents down to -0.9. Methods that converge linearly take more.
 *
 * Throws a `TypeError` or `RangeError` for an exponent that is no number, or a T that is no count.
 *
 * Gonzalez et al., "Predictability enables parallelization of nonlinear state space models", 2025, arXiv 2508.16817, who bound
 * the condition of the problem by (exp(λ) - 1) / (exp(λ T) - 1).
 *
 * @example Before a long solve
 * ```ts
 * import { elman, expectedSweeps, lyapunovExponent, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = elman({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 500 }, (_, t) => Math.sin(t / 5)), shape: [500, 1] };
 * const { exponents } = await lyapunovExponent(cell, { params: cell.init(device), xs });
 * console.log(expectedSweeps(exponents[0]!, 1_000_000)); // about 5: the cell forgets
 * console.log(expectedSweeps(0.1, 1_000_000)); // 750 000: it does not pay
 * ```
 */
export function expectedSweeps(exponent: number, time: number): number {
  const context = "Cannot tell the expected sweeps";
  if (typeof exponent !== "number") {
    throw new TypeError(`${context}: the exponent must be a number, got ${describe(exponent)}`);
  }
  if (Number.isNaN(exponent)) {
    throw new RangeError(`${context}: the exponent must be a number, got NaN; look for states that are not finite`);
  }
  checkCount(context, "time", time, 0);
  const steps = 1 + (MOST_STEPS - 1) / (1 + Math.max(0, exponent) / HALVING);
  const contracting = exponent < 0 ? LEAST - PER_MEMORY / exponent : Infinity;
  return Math.ceil(Math.min(time, Math.max(LEAST, Math.min(contracting, time / steps))));
}
