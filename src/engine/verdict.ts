/** When a sequence counts as solved; the same numbers for every method and engine. */
export interface StoppingRule {
  readonly atol: number;
  readonly rtol: number;
  /** One exact Newton sweep solves the problem: the step is affine in h and G is its Jacobian. */
  readonly affine: boolean;
  /** G is exactly ∂f/∂h: convergence only gets faster, and one ratio tells; elsewhere two must agree. */
  readonly newton: boolean;
  /** In units of the tolerance: an update this small is rounding, whatever the ratio. */
  readonly floor: number;
  /** The part of the tolerance that a window may use up: errors of windows add up where the step forgets nothing. */
  readonly share: number;
  /** The distance from 1 to the next number of the dtype: an update of size u leaves a rounding of u · epsilon. */
  readonly epsilon: number;
}

/**
 * Entries of an iterate beyond this multiple of the guess (of its largest entry, at least 1 and at most this) are replaced by the guess, as
 * DEER clips at 1e8 (arXiv 2309.12252).
 */
export const HUGE = 1e8;

/** What the rule has seen of one sequence within one window. */
export interface UpdateHistory {
  /** Sweeps so far. */
  sweeps: number;
  /** The last update `max |h⁺ - h| / (atol + rtol |h⁺|)`. */
  last: number;
  /** The ratio of the last two updates. */
  ratio: number;
  /** Whether the last sweep would have counted, had it not replaced entries. */
  settled: boolean;
}

/** A sequence before its first sweep. */
export function createHistory(): UpdateHistory {
  return { sweeps: 0, last: NaN, ratio: NaN, settled: false };
}

/**
 * Takes the update `e` of a sweep into the history and says whether the sequence is solved:
 *
 *     e ≤ 1  and  e min(ρ / (1 - ρ), n) ≤ share,   ρ the larger of the last two ratios e[k] / e[k-1]
 *
 * with n the `remaining` steps that are not known to be exact. An update alone says little where convergence is linear:
 * what is still to come is e (ρ + ρ² + ...), and no more than n such updates. Where there are no two ratios yet, or none
 * below 1, n alone counts: the second update is often tiny beside that of a rough guess, and the third is not. Newton's
 * method needs one ratio only, which is tiny near the solution. Updates of the size of rounding need no ratio. An affine
 * step needs neither, unless the guess was so far off that cancelling it cost digits. A sweep that had to replace entries
 * (`resets`) never counts; if it is `settled` otherwise, the trajectory is known up to a step at which f is not finite.
 */
export function judge(
  rule: StoppingRule,
  history: UpdateHistory,
  e: number,
  resets: number,
  remaining: number,
): boolean {
  // Of an infinite update (where atol + rtol |h⁺| is 0) there is no ratio either.
  const known = history.sweeps > 0 && Number.isFinite(history.last);
  const ratio = known ? e / history.last : NaN;
  const before = Number.isNaN(history.ratio) && rule.newton ? ratio : history.ratio;
  const worst = Math.max(ratio, before);
  history.sweeps++;
  history.last = e;
  history.ratio = ratio;
  const updates = worst < 1 ? Math.min(worst / (1 - worst), remaining) : remaining;
  const rounding = e <= rule.floor || (rule.affine && e * rule.epsilon <= 1);
  const enough = rounding || (e <= 1 && e * updates <= rule.share);
  history.settled = enough && resets > 0;
  return enough && resets === 0;
}
