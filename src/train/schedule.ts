import { describe } from "../core/describe.ts";

/** A number, or that number as a function of the count of steps before: 0, 1, 2, ... */
export type Schedule = number | ((count: number) => number);

/** Throws unless `schedule` is one. */
export function checkSchedule(context: string, name: string, schedule: unknown): asserts schedule is Schedule {
  if (typeof schedule !== "function" && (typeof schedule !== "number" || !Number.isFinite(schedule))) {
    throw new TypeError(
      `${context}: ${name} must be a finite number or a function of the count, got ${describe(schedule)}`,
    );
  }
}

/** The value of a schedule at a step. */
export function scheduledAt(context: string, name: string, schedule: Schedule, count: number): number {
  const value: unknown = typeof schedule === "function" ? schedule(count) : schedule;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new RangeError(`${context}: ${name} must be a finite number, got ${describe(value)} at step ${count}`);
}
