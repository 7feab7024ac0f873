import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { record } from "../tape.ts";
import { isTensor, memoryOf, type Tensor, wrapMemory } from "../tensor.ts";
import { div, less, min, where } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { tabulate } from "./flat.ts";
import { type IndicesLike, placeIndices } from "./indices.ts";

interface PoolPrograms {
  /** n for row n, but NaN for 0: the mean of nothing. */
  readonly lengths: RowProgram;
  /** `x[t] / length`, 0 beyond the length. */
  readonly share: RowProgram;
  /** The same of one row for all t: the cotangent. */
  readonly spread: RowProgram;
}

const programs = new Map<number, PoolPrograms>();

function poolPrograms(width: number): PoolPrograms {
  const make = (per: "step" | "sequence"): RowProgram =>
    traceRows({
      name: "mean pool",
      inputs: { x: [width], length: [] },
      access: { x: { per }, length: { per: "sequence" } },
      params: {},
      // A length that is none is NaN, which comparisons and products with 0 need not pass on; min does.
      fn: ({ x, length }, _, t) => ({ value: where(less(t, length), div(x, length), min(length, 0)) }),
    });
  let made = programs.get(width);
  if (made === undefined) {
    const lengths = traceRows({
      name: "lengths",
      inputs: {},
      params: {},
      fn: (_, __, t) => ({ length: where(less(t, 1), NaN, t) }),
    });
    programs.set(width, made = { lengths, share: make("step"), spread: make("sequence") });
  }
  return made;
}

/**
 * The mean over the steps of each sequence, `out[b] = Σ_{t < length[b]} x[b, t] / length[b]`: `(B, T, n)` to `(B, n)`, or
 * `(T, n)` to `(n)`. Differentiable. What lies beyond a length, the padding, counts for nothing here, also if it is NaN; but
 * the gradients of what came before, a recurrence or a norm, are NaN if its inputs were NaN there.
 *
 * `lengths`: one for each sequence, u32 or i32 on the device or whole numbers in host memory; T where they are absent. In
 * host memory a length outside 1 to T is a `RangeError`; on the device it gives NaN. Cost: two passes over x. Throws a
 * `TypeError` for other shapes, a `RangeError` for no steps.
 *
 * @example Two sequences, the second one padded
 * ```ts
 * import { meanPool, openDevice, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const x = tensor(device, { data: new Float32Array([1, 2, 3, 4, 5, NaN]), shape: [2, 3, 1] });
 * console.log((await toHost(meanPool(x, { lengths: [3, 2] }))).data); // [2, 4.5]
 * ```
 */
export function meanPool(x: Tensor, options: { lengths?: IndicesLike } = {}): Tensor {
  const context = "Cannot take the mean over steps";
  checkKeys(context, "options", options, ["lengths"]);
  if (!isTensor(x)) throw new TypeError(`${context}: expected a tensor on a device, got ${describe(x)}`);
  const { device, shape } = x;
  if (x.dtype !== device.dtype || (shape.length !== 2 && shape.length !== 3)) {
    throw new TypeError(
      `${context}: expected ${device.dtype} of shape (B, T, n) or (T, n), got ${x.dtype} of ${formatShape(shape)}`,
    );
  }
  const batched = shape.length === 3;
  const [batch, time, width] = (batched ? shape : [1, ...shape]) as [number, number, number];
  if (time === 0) throw new RangeError(`${context}: expected at least one step, got shape ${formatShape(shape)}`);
  const engine = engineOf(device);
  const temporary: Tensor[] = [];
  try {
    const given = options.lengths ?? new Array<number>(batch).fill(time);
    const range = { least: 1, end: time + 1 };
    const counts = placeIndices(context, "lengths", given, range, device, temporary);
    if (!sameShape(counts.shape, [batch]) && (batched || counts.shape.length > 0)) {
      throw new TypeError(
        `${context}: lengths must have shape ${batched ? `(${batch},)` : "()"}, got ${formatShape(counts.shape)}`,
      );
    }
    const { lengths: numbers, share, spread } = poolPrograms(width);
    const table = tabulate(engine, numbers, time + 1);
    temporary.push(wrapMemory(device, [time + 1], table, "lengths"));
    const floats = engine.allocate(engine.dtype, batch, "lengths");
    engine.gather({ table, indices: memoryOf(counts), out: floats, rows: time + 1, width: 1, count: batch });
    const lengths = wrapMemory(device, [batch], floats, "lengths");
    temporary.push(lengths);
    const length = { memory: floats, start: null };
    const run = (program: RowProgram, memory: Memory): Memory => {
      const out = engine.allocate(engine.dtype, batch * time * width, "shares of a mean");
      engine.map({ program, params: [], inputs: [length, { memory, start: null }], outputs: [out], batch, time });
      return out;
    };
    const all = run(share, memoryOf(x));
    const shares = wrapMemory(device, shape, all, "shares of a mean");
    temporary.push(shares);
    const sums = engine.allocate(engine.dtype, batch * width, "means over steps");
    engine.reduce({ op: "sum", input: all, out: sums, outer: batch, length: time, inner: width });
    shares.dispose();
    const means = wrapMemory(device, batched ? [batch, width] : [width], sums, "means over steps");
    record({
      name: "meanPool",
      inputs: [x],
      outputs: [means],
      holds: [lengths],
      pullback: ([cotangent]) => [run(spread, cotangent!)],
    });
    return means;
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}
