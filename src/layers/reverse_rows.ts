import { isCount } from "../core/host.ts";
import { describe } from "../core/describe.ts";
import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import type { IndicesLike } from "../map/indices.ts";
import { reshape } from "../map/reshape.ts";
import { take } from "../map/take.ts";
import { record } from "../tape.ts";
import { isTensor, isTensorLike, memoryOf, type Tensor, wrapMemory } from "../tensor.ts";

/**
 * Sequences in reversed time, `out[b, t] = x[b, T - 1 - t]`: `(B, T, n)` or `(T, n)`. Of a batch two copies, one of all rows in
 * reversed order and one that puts the sequences in theirs; of one sequence the first. Differentiable.
 */
export function reverseSteps(x: Tensor): Tensor {
  const { device, shape } = x;
  const engine = engineOf(device);
  const width = shape.at(-1)!;
  const batch = shape.length === 3 ? shape[0]! : 1;
  const flip = (from: Memory, rows: number, length: number): Memory => {
    const out = engine.allocate(engine.dtype, rows * length, "reversed rows");
    if (rows * length === 0) return out;
    const fromStart = (rows - 1) * length;
    engine.copy(from, out, { fromStart, fromStride: -length, toStart: 0, toStride: length, width: length, rows });
    return out;
  };
  const reverse = (from: Memory): Memory => {
    const rows = flip(from, batch * shape.at(-2)!, width);
    if (batch === 1) return rows;
    try {
      return flip(rows, batch, shape.at(-2)! * width);
    } finally {
      engine.free(rows);
    }
  };
  const reversed = wrapMemory(device, shape, reverse(memoryOf(x)), "reversed steps");
  record({
    name: "reverseSteps",
    inputs: [x],
    outputs: [reversed],
    holds: [],
    pullback: ([cotangent]) => [reverse(cotangent!)],
  });
  return reversed;
}

/**
 * The first `length` steps of each sequence in reversed order, the padding after them left where it is: for each of the B T rows
 * which one takes its place. It is its own inverse.
 */
export function reversedWithin(context: string, lengths: IndicesLike, batch: number, time: number): Uint32Array {
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
  return Uint32Array.from({ length: batch * time }, (_, n) => {
    const [b, t] = [Math.floor(n / time), n % time];
    const length: unknown = given[b];
    if (!isCount(length) || length < 1 || length > time) {
      throw new RangeError(
        `${context}: lengths must be whole numbers from 1 to ${time}, got ${describe(length)} at ${b}`,
      );
    }
    return b * time + (t < length ? length - 1 - t : t);
  });
}

/** The rows of an array in another order, all axes but the last counting them. Differentiable. */
export function takeRows(x: Tensor, order: Uint32Array): Tensor {
  using rows = reshape(x, [order.length, x.shape.at(-1)!]);
  using taken = take(rows, { data: order, shape: [order.length] });
  return reshape(taken, x.shape);
}
