import { describe } from "../core/describe.ts";

/** What is told of a step of training; the steps of `train` have it all. */
export interface LogRecord {
  /** Steps so far. */
  readonly step: number;
  /** The loss. */
  readonly loss: number;
  /** Sweeps of all solves of a step. */
  readonly sweeps?: number;
  /** Milliseconds of a step. */
  readonly milliseconds?: number;
  /** Measures by their names. */
  readonly evaluation?: { readonly [name: string]: number };
}

/** Four digits, without an exponent where that is readable. */
function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return size === 0 || (size >= 1e-3 && size < 1e5) ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

/** Hours, minutes and seconds: `1:02:03`, `2:03`. */
function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/**
 * A line for people: step, loss, sweeps of a step, steps per second, measures, and with `steps`, their number, the time that
 * is left. Write it after `"\r"` for a line that is drawn over, or after each other.
 *
 * @example
 * ```ts
 * import { formatProgress } from "@cervid/cervid";
 *
 * const line = formatProgress({ step: 300, loss: 0.25, sweeps: 4, milliseconds: 50 }, { steps: 1200 });
 * console.log(line); // "300/1200  loss 0.25  4 sweeps  20 it/s  0:45 left"
 * ```
 */
export function formatProgress(record: LogRecord, options: { steps?: number } = {}): string {
  const { step, loss, sweeps, milliseconds, evaluation = {} } = record;
  const { steps } = options;
  const parts = [
    steps === undefined ? `step ${step}` : `${String(step).padStart(String(steps).length)}/${steps}`,
    `loss ${formatNumber(loss)}`,
  ];
  if (sweeps !== undefined && sweeps > 0) parts.push(`${formatNumber(sweeps)} sweep${sweeps === 1 ? "" : "s"}`);
  if (milliseconds !== undefined && milliseconds > 0) {
    parts.push(`${Number((1000 / milliseconds).toPrecision(3))} it/s`);
    if (steps !== undefined && step < steps) {
      parts.push(`${formatDuration((steps - step) * milliseconds / 1000)} left`);
    }
  }
  for (const [name, value] of Object.entries(evaluation)) parts.push(`${name} ${formatNumber(value)}`);
  return parts.join("  ");
}

/**
 * A line of a JSONL file, with its end: step, loss, sweeps, milliseconds, and the measures beside them. Numbers that JSON has
 * not, NaN and infinite ones, are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
 *
 * Throws a `TypeError` where a measure has the name of another field.
 *
 * @example
 * ```ts
 * import { formatJsonLine } from "@cervid/cervid";
 *
 * const line = formatJsonLine({ step: 10, loss: 0.5, evaluation: { accuracy: 0.75 } });
 * console.log(line); // '{"step":10,"loss":0.5,"accuracy":0.75}\n'
 * ```
 */
export function formatJsonLine(record: LogRecord): string {
  const scalars: Record<string, number | string> = {};
  for (const [name, value] of Object.entries(scalarsOf(record, { step: true }))) {
    scalars[name] = Number.isFinite(value) ? value : String(value);
  }
  return `${JSON.stringify(scalars)}\n`;
}

/**
 * The numbers of a step by their names, as `writeTensorboardScalars` takes them: loss, sweeps, milliseconds, measures; with
 * `step` that too. Throws a `TypeError` where a measure has the name of another field.
 *
 * @example
 * ```ts
 * import { scalarsOf, writeTensorboardScalars } from "@cervid/cervid";
 *
 * const record = { step: 10, loss: 0.5, evaluation: { accuracy: 0.75 } };
 * console.log(writeTensorboardScalars(record.step, scalarsOf(record)));
 * ```
 */
export function scalarsOf(record: LogRecord, options: { step?: boolean } = {}): Record<string, number> {
  const { step, loss, sweeps, milliseconds, evaluation = {} } = record;
  const own = Object.entries({ step: options.step ? step : undefined, loss, sweeps, milliseconds });
  const scalars: Record<string, number> = {};
  for (const [name, value] of [...own, ...Object.entries(evaluation)]) {
    if (value === undefined) continue;
    if (typeof value !== "number" || Object.hasOwn(scalars, name)) {
      const got = typeof value === "number" ? `"${name}" twice` : `${describe(value)} for "${name}"`;
      throw new TypeError(`Cannot log the step: expected numbers, each under a name of its own, got ${got}`);
    }
    scalars[name] = value;
  }
  return scalars;
}
