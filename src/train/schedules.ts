import { describe } from "../core/describe.ts";
import { checkNumber, settle } from "./settings.ts";

const contextOf = (name: string): string => `Cannot make a schedule by ${name}()`;

/**
 * The same value at every step.
 *
 * @example
 * ```ts
 * import { constantSchedule } from "@cervid/cervid";
 *
 * console.log(constantSchedule(0.1)(1000)); // 0.1
 * ```
 */
export function constantSchedule(value: number): (count: number) => number {
  checkNumber(contextOf("constantSchedule"), "value", value);
  return () => value;
}

/** Settings of {@linkcode cosineDecaySchedule}. */
export interface CosineDecayOptions {
  /** The value at the beginning. */
  initValue: number;
  /** Steps until the end is reached. */
  decaySteps: number;
  /** The last value as a part of the first. Default 0. */
  alpha?: number;
  /** Of the cosine. Default 1. */
  exponent?: number;
}

/**
 * Half a cosine from `initValue` down to `alpha · initValue` (Loshchilov & Hutter 2017, arXiv 1608.03983), by optax's
 * formula: at step k of n, with `c = ½ (1 + cos(π min(k, n) / n))`, it is `initValue ((1 - alpha) c^exponent + alpha)`.
 *
 * @example
 * ```ts
 * import { cosineDecaySchedule } from "@cervid/cervid";
 *
 * const schedule = cosineDecaySchedule({ initValue: 1e-3, decaySteps: 10_000 });
 * console.log(schedule(5000)); // 0.0005
 * ```
 */
export function cosineDecaySchedule(options: CosineDecayOptions): (count: number) => number {
  const { initValue, decaySteps, alpha, exponent } = settle(
    contextOf("cosineDecaySchedule"),
    options,
    { initValue: NaN, decaySteps: NaN, alpha: 0, exponent: 1 },
    { decaySteps: { above: 0 } },
  );
  return (count) => {
    const cosine = 0.5 * (1 + Math.cos(Math.PI * Math.min(count, decaySteps) / decaySteps));
    return initValue * ((1 - alpha) * cosine ** exponent + alpha);
  };
}

/** Settings of {@linkcode warmupCosineDecaySchedule}. */
export interface WarmupCosineDecayOptions {
  /** The value at step 0. */
  initValue: number;
  /** The value after the warm-up. */
  peakValue: number;
  /** Steps of the warm-up. */
  warmupSteps: number;
  /** Steps until the end is reached, those of the warm-up among them. */
  decaySteps: number;
  /** The last value. Default 0. */
  endValue?: number;
  /** Of the cosine. Default 1. */
  exponent?: number;
}

/**
 * A straight line from `initValue` to `peakValue` in `warmupSteps` steps, then a {@linkcode cosineDecaySchedule} to
 * `endValue` at step `decaySteps`. As in optax.
 *
 * @example
 * ```ts
 * import { adam, warmupCosineDecaySchedule } from "@cervid/cervid";
 *
 * const schedule = warmupCosineDecaySchedule({ initValue: 0, peakValue: 1e-3, warmupSteps: 100, decaySteps: 1000 });
 * console.log(schedule(50), schedule(100), adam(schedule)); // 0.0005 0.001 ...
 * ```
 */
export function warmupCosineDecaySchedule(options: WarmupCosineDecayOptions): (count: number) => number {
  const context = contextOf("warmupCosineDecaySchedule");
  const { initValue, peakValue, warmupSteps, decaySteps, endValue, exponent } = settle(
    context,
    options,
    { initValue: NaN, peakValue: NaN, warmupSteps: NaN, decaySteps: NaN, endValue: 0, exponent: 1 },
    { warmupSteps: { least: 0 } },
  );
  checkNumber(context, "decaySteps", decaySteps, { above: warmupSteps });
  const alpha = peakValue === 0 ? 0 : endValue / peakValue;
  const decay = cosineDecaySchedule({ initValue: peakValue, decaySteps: decaySteps - warmupSteps, alpha, exponent });
  return (count) =>
    count < warmupSteps ? peakValue + (initValue - peakValue) * (1 - count / warmupSteps) : decay(count - warmupSteps);
}

/** Settings of {@linkcode exponentialDecay}. */
export interface ExponentialDecayOptions {
  /** The value at the beginning. */
  initValue: number;
  /** Steps in which the value changes by the factor `decayRate`. */
  transitionSteps: number;
  /** The factor. */
  decayRate: number;
  /** Steps before it begins to change. Default 0. */
  transitionBegin?: number;
  /** Whether it changes after every `transitionSteps` steps only. Default false. */
  staircase?: boolean;
  /** What the value does not go beyond. Default none. */
  endValue?: number;
}

/**
 * `initValue · decayRate^(k / transitionSteps)` at step `transitionBegin + k`, with `staircase` the exponent rounded down; no
 * further than `endValue`. As in optax.
 *
 * @example
 * ```ts
 * import { exponentialDecay } from "@cervid/cervid";
 *
 * const schedule = exponentialDecay({ initValue: 0.1, transitionSteps: 100, decayRate: 0.5, endValue: 0.01 });
 * console.log(schedule(200), schedule(1000)); // 0.025 0.01
 * ```
 */
export function exponentialDecay(options: ExponentialDecayOptions): (count: number) => number {
  const context = contextOf("exponentialDecay");
  const { initValue, transitionSteps, decayRate, transitionBegin, staircase, endValue } = settle<
    Omit<ExponentialDecayOptions, "endValue"> & { endValue?: number | null }
  >(
    context,
    options,
    { initValue: NaN, transitionSteps: NaN, decayRate: NaN, transitionBegin: 0, staircase: false, endValue: null },
    { transitionSteps: { above: 0 }, decayRate: { above: 0 }, transitionBegin: { least: 0 } },
  );
  if (typeof staircase !== "boolean") {
    throw new TypeError(`${context}: staircase must be true or false, got ${describe(staircase)}`);
  }
  if (endValue !== null) checkNumber(context, "endValue", endValue);
  const bound = decayRate < 1 ? Math.max : Math.min;
  return (count) => {
    const parts = Math.max(0, count - transitionBegin) / transitionSteps;
    const value = initValue * decayRate ** (staircase ? Math.floor(parts) : parts);
    return endValue === null ? value : bound(value, endValue);
  };
}

/** Settings of {@linkcode piecewiseConstantSchedule}. */
export interface PiecewiseConstantOptions {
  /** The value at the beginning. */
  initValue: number;
  /** Factors, by the step from which on the value is multiplied by them. Default none. */
  boundariesAndScales?: { readonly [boundary: number]: number };
}

/**
 * `initValue` times the factors of all boundaries that were reached: a staircase. As in optax.
 *
 * @example
 * ```ts
 * import { piecewiseConstantSchedule } from "@cervid/cervid";
 *
 * const schedule = piecewiseConstantSchedule({ initValue: 1, boundariesAndScales: { 100: 0.5, 200: 0.1 } });
 * console.log(schedule(99), schedule(100), schedule(200)); // 1 0.5 0.05
 * ```
 */
export function piecewiseConstantSchedule(options: PiecewiseConstantOptions): (count: number) => number {
  const context = contextOf("piecewiseConstantSchedule");
  const { initValue, boundariesAndScales } = settle(context, options, { initValue: NaN, boundariesAndScales: {} });
  const entries = Object.entries<number>(boundariesAndScales).map(([boundary, scale]) => {
    checkNumber(context, `the boundary "${boundary}"`, Number(boundary));
    checkNumber(context, `the scale of ${boundary}`, scale, { least: 0 });
    return [Number(boundary), scale] as const;
  });
  return (count) => entries.reduce((value, [from, scale]) => count >= from ? value * scale : value, initValue);
}
