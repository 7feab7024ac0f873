import { describe } from "../core/describe.ts";
import { isCount } from "../core/host.ts";
import { sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import type { IndicesLike } from "../map/indices.ts";
import { reshape } from "../map/reshape.ts";
import { take } from "../map/take.ts";
import { isTensor, isTensorLike, type Tensor } from "../tensor.ts";
import type { Axes } from "./carried.ts";

/** How many steps of each sequence count, checked; nothing where all do, or there is none. */
export function countedSteps(
  context: string,
  lengths: IndicesLike | undefined,
  { batch, time }: Pick<Axes, "batch" | "time">,
): readonly number[] | undefined {
  if (lengths === undefined) return undefined;
  if (isTensor(lengths)) {
    throw new TypeError(`${context}: lengths must be in host memory, as rows are put in order by them; give a list`);
  }
  const given = isTensorLike(lengths) ? lengths.data : lengths;
  if (typeof given !== "object" || given.length !== batch) {
    throw new TypeError(
      `${context}: lengths must be ${batch} whole numbers, one for each sequence, got ${
        typeof given === "object" ? given.length : describe(given)
      }`,
    );
  }
  if (time === 0) return undefined;
  const counts = Array.from(given);
  for (const [b, length] of counts.entries()) {
    if (isCount(length) && length >= 1 && length <= time) continue;
    throw new RangeError(
      `${context}: lengths must be whole numbers from 1 to ${time}, got ${describe(length)} at ${b}`,
    );
  }
  return counts;
}

/** For each of the B T rows of an array `(B, T, n)` which one takes its place, sequence by sequence. */
function orderSteps(
  lengths: readonly number[],
  time: number,
  stepAt: (t: number, length: number) => number,
): Uint32Array {
  return Uint32Array.from({ length: lengths.length * time }, (_, row) => {
    const b = Math.floor(row / time);
    return b * time + stepAt(row - b * time, lengths[b]!);
  });
}

/** The steps of each sequence in reversed order, the padding after them left where it is. It is its own inverse. */
export function reversedWithin(lengths: readonly number[], time: number): Uint32Array {
  return orderSteps(lengths, time, (t, length) => t < length ? length - 1 - t : t);
}

/** The steps of each sequence moved to the end, the padding before them. */
export function movedToEnd(lengths: readonly number[], time: number): Uint32Array {
  return orderSteps(lengths, time, (t, length) => (t + length) % time);
}

/** The inverse of {@linkcode movedToEnd}. */
export function movedBack(lengths: readonly number[], time: number): Uint32Array {
  return orderSteps(lengths, time, (t, length) => (t + time - length) % time);
}

/** Rows of an array by their numbers, all axes but the last counting them; of its shape if no other is given. Differentiable. */
export function takeRows(x: Tensor, order: Uint32Array, shape: Shape = x.shape): Tensor {
  const width = x.shape.at(-1)!;
  using rows = reshape(x, [sizeOf(x.shape.slice(0, -1)), width]);
  using taken = take(rows, { data: order, shape: [order.length] });
  return reshape(taken, shape);
}

/** Steps `starts[b]` to `starts[b] + count` of each sequence side by side: `(B, T, n)` to `(B, count n)`. Differentiable. */
export function takeSteps(x: Tensor, starts: readonly number[], count = 1): Tensor {
  const [time, width] = x.shape.slice(-2) as [number, number];
  const order = Uint32Array.from({ length: starts.length * count }, (_, k) => {
    const b = Math.floor(k / count);
    return b * time + starts[b]! + k - b * count;
  });
  return takeRows(x, order, [...x.shape.slice(0, -2), count * width]);
}
