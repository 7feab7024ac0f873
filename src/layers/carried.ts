import { describe } from "../core/describe.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import type { Device } from "../device.ts";
import { place, shapeOf } from "../place.ts";
import { isTensorLike, type Tensor, type TensorLike } from "../tensor.ts";
import { assemble } from "./assemble.ts";

/** The axes of one call: B, T, and whether there is an axis of the batch. */
export interface Axes {
  readonly batch: number;
  readonly time: number;
  readonly batched: boolean;
}

/** B and T from the shape of the inputs. */
export function findAxes(context: string, xs: unknown, input: number): Axes {
  const wanted = `${context}: xs must have shape (B, T, ${input}) or (T, ${input})`;
  if (!isTensorLike(xs)) throw new TypeError(`${wanted}, got ${describe(xs)}`);
  const shape = shapeOf(context, "xs", xs);
  if ((shape.length !== 2 && shape.length !== 3) || shape.at(-1) !== input) {
    throw new TypeError(`${wanted}, got ${formatShape(shape)}`);
  }
  const time = shape.at(-2)!;
  return shape.length === 3 ? { batch: shape[0]!, time, batched: true } : { batch: 1, time, batched: false };
}

/** One row a sequence, with or without an axis of the batch. */
export const rowsOf = ({ batch, batched }: Axes, ...shape: Shape): Shape => batched ? [batch, ...shape] : shape;

/** What is carried from piece to piece as `(B, width)` or, of one sequence, `(width)`; one for all is spread. */
export function placeCarried(
  context: string,
  what: string,
  value: TensorLike,
  width: number,
  axes: Axes,
  device: Device,
  temporary: Tensor[],
): Tensor {
  if (width === 0) {
    throw new TypeError(
      `${context}: ${what} must be absent, as no step looks at an earlier input, got ${describe(value)}`,
    );
  }
  const placed = place(context, what, value, device, temporary);
  const wanted = rowsOf(axes, width);
  if (sameShape(placed.shape, wanted)) return placed;
  if (!sameShape(placed.shape, [width])) {
    const single = axes.batched ? ` or (${width},)` : "";
    throw new TypeError(
      `${context}: ${what} must have shape ${formatShape(wanted)}${single}, got ${formatShape(placed.shape)}`,
    );
  }
  const rows = { fromStart: 0, fromStride: 0, toStart: 0, toStride: width, width, rows: axes.batch };
  const spread = assemble(device, wanted, [{ from: placed, rows }], what);
  temporary.push(spread);
  return spread;
}

/** Columns `start` to `start + width` of what is carried; `from` itself where that is all of it. */
export function columnsOf(from: Tensor, start: number, width: number, axes: Axes, temporary: Tensor[]): Tensor {
  const total = from.shape.at(-1)!;
  if (width === total) return from;
  const rows = { fromStart: start, fromStride: total, toStart: 0, toStride: width, width, rows: axes.batch };
  const part = assemble(from.device, rowsOf(axes, width), [{ from, rows }], "a part of a state");
  temporary.push(part);
  return part;
}
