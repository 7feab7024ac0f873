/** λ of the first sweep of a window. */
export const FIRST_DAMPING = 0.1;
/** The gain ratio at which λ stays what it is: where G is ∂f/∂h, and where it is a part of it. */
export const BALANCE = { whole: 0.3, part: 1 } as const;
/** A sweep of a larger ratio has left the region in which G says anything. */
export const BEYOND = 2;
/** λ changes by at most this factor at a time, and a refused sweep raises it by this. */
export const MOST_CHANGE = 10;
/** Times the size of roundings: from smaller updates a part of ∂f/∂h learns nothing about λ. */
export const NEAR = 1000;
/** λ stays between these: the variances of a filter are below 1/λ, times entries of G squared, and must be numbers. */
export const LEAST_DAMPING = 1e-20;
export const MOST_DAMPING = 1e6;

/** What the rule for λ knows of one sequence within one window. */
export interface TrustHistory {
  /** λ of the next sweep. */
  damping: number;
  /** Σ |F - h⁺|² of the last sweep, NaN where the next has nothing to compare with. */
  predicted: number;
  /** Σ |r|² of the last iterate that was accepted. */
  merit: number;
}

/** Sums over the steps of a sequence that were not exact before the sweep. */
export interface TrustSums {
  /** Σ |r|² of the iterate that the sweep began with, `r[t] = f(h[t-1]) - h[t]`. */
  readonly merit: number;
  /** Σ |n|² of `n[t] = f(h[t-1]) - F[t]`, with F as the sweep before had predicted f. */
  readonly nonlinear: number;
  /** Σ |F - h⁺|² of this sweep: the residual that it predicts for what it made. */
  readonly predicted: number;
}

/** A sequence before its first sweep. */
export function createTrust(): TrustHistory {
  return { damping: FIRST_DAMPING, predicted: NaN, merit: Infinity };
}

/**
 * Levenberg and Marquardt's choice, for a filter: whether the iterate that a sweep began with is accepted, and λ of the next
 * sweep. `largest` is the largest update, and `floor` what roundings may make of one, in units of the tolerance.
 *
 * A damped sweep predicts f at the iterate that it makes, F = f + G δ, and leaves the residual F - h⁺ on purpose. The next
 * sweep finds F - h⁺ + n, where n is what f does beyond G. With the merit Σ |r|² of the iterate before
 *
 *     q = Σ |n|² / (Σ |F - h⁺|² + Σ |r|²),   λ ← λ clamp((q / b)^p, 1/10, 10),  p = 1 above b, ¼ below
 *
 * b = 0.3 where G is ∂f/∂h: what curvature does balances what is held back, λ falls to 0 with the updates, and convergence
 * becomes Newton's. Where G is a part of ∂f/∂h, n does not vanish beside δ, and b = 1 asks that residuals do not grow. An
 * iterate with q > 2 whose merit is above that of the one before is refused: that one comes back, and λ rises tenfold.
 * Iterates within tolerance are never refused. For a part of ∂f/∂h, λ stays once the largest update is below 1000 roundings,
 * which decide what q is there, while it is λ that decides whether they are amplified.
 *
 * The merit itself need not fall: a filter minimises nothing that is later than t, and a front that advances through a
 * trajectory that is wrong makes it rise. Rules that want it to fall (Nielsen's) raise λ without end. The numbers are those that
 * served 40 trajectories of Lorenz 96 and 8 of an autoregressive GRU best (bench/elk_sweeps.ts).
 */
export function weigh(
  trust: TrustHistory,
  sums: TrustSums,
  largest: number,
  { whole, floor }: { readonly whole: boolean; readonly floor: number },
): boolean {
  const { merit, nonlinear, predicted } = sums;
  const compares = !Number.isNaN(trust.predicted);
  const q = nonlinear === 0 ? 0 : nonlinear / (trust.predicted + trust.merit);
  if (compares && !(q <= BEYOND) && !(merit <= trust.merit) && !(largest <= 1)) {
    trust.damping = Math.min(MOST_DAMPING, trust.damping * MOST_CHANGE);
    trust.predicted = NaN;
    return false;
  }
  if (compares && (whole || !(largest <= NEAR * floor))) {
    const ratio = q / (whole ? BALANCE.whole : BALANCE.part);
    const change = Number.isNaN(ratio) ? MOST_CHANGE : ratio < 1 ? ratio ** 0.25 : ratio;
    const damping = trust.damping * Math.min(MOST_CHANGE, Math.max(1 / MOST_CHANGE, change));
    trust.damping = Math.min(MOST_DAMPING, Math.max(LEAST_DAMPING, damping));
  }
  trust.predicted = predicted;
  trust.merit = merit;
  return true;
}
