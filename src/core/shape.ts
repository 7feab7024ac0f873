import type { Shape } from "./types.ts";

/** Number of elements of an array of `shape`: the product of its axes, 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const axis of shape) size *= axis;
  return size;
}

/** Whether two shapes have the same axes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((axis, i) => axis === b[i]);
}

/** A shape as error messages write it: `(8, 1000, 3)`, `(4,)`, `()`. */
export function formatShape(shape: Shape): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

/** Throws a RangeError unless `value` is a whole number of at least `least`. */
export function checkCount(context: string, name: string, value: unknown, least: number): asserts value is number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`${context}: ${name} must be a whole number of at least ${least}, got ${String(value)}`);
  }
}
