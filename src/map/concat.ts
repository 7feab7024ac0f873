import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import type { CopyRows } from "../engine/engine.ts";
import { findDevice, place } from "../place.ts";
import { record } from "../tape.ts";
import { isTensor, memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import { fillZeros } from "./flat.ts";

/**
 * Arrays one after the other along an axis: -1, the default, is the last one, the features; -2 of `(B, T, n)` is the time.
 * All other axes must agree. Differentiable. Cost: one copy.
 *
 * Throws a `TypeError` for scalars and shapes that do not fit, a `RangeError` for an axis that is none.
 *
 * @example Both directions of a bidirectional layer
 * ```ts
 * import { concat, openDevice, tensor } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const forward = tensor(device, { data: new Float32Array(30), shape: [2, 5, 3] });
 * const backward = tensor(device, { data: new Float32Array(40), shape: [2, 5, 4] });
 * console.log(concat([forward, backward]).shape); // [2, 5, 7]
 * ```
 */
export function concat(parts: readonly TensorLike[], axis = -1, options: { device?: Device } = {}): Tensor {
  const context = "Cannot concatenate";
  checkKeys(context, "options", options, ["device"]);
  if (!Array.isArray(parts) || parts.length === 0) {
    throw new TypeError(`${context}: expected a list of at least one array, got ${describe(parts)}`);
  }
  const device = findDevice(context, options.device, parts);
  const engine = engineOf(device);
  const temporary: Tensor[] = [];
  try {
    const tensors = parts.map((part, k) => place(context, `part ${k}`, part, device, temporary));
    const { shape: first } = tensors[0]!;
    if (first.length === 0) {
      throw new TypeError(
        `${context}: expected arrays of at least one axis, got shape (); give scalars the shape (1,)`,
      );
    }
    if (!Number.isInteger(axis) || axis < -first.length || axis >= first.length) {
      throw new RangeError(
        `${context}: axis must be one of the ${first.length} of ${formatShape(first)}, from ${-first.length} to ${
          first.length - 1
        }, got ${axis}`,
      );
    }
    const at = axis < 0 ? axis + first.length : axis;
    const others = (shape: Shape): Shape => shape.toSpliced(at, 1);
    for (const [k, { shape }] of tensors.entries()) {
      if (shape.length === first.length && sameShape(others(shape), others(first))) continue;
      throw new TypeError(
        `${context}: part ${k} must have the shape of the first, ${formatShape(first)}, but along axis ${at}, got ${
          formatShape(shape)
        }`,
      );
    }
    const length = tensors.reduce((total, { shape }) => total + shape[at]!, 0);
    const shape = first.with(at, length);
    const outer = sizeOf(first.slice(0, at));
    const widths = tensors.map((tensor) => sizeOf(tensor.shape.slice(at)));
    const stride = sizeOf(shape.slice(at));
    const starts = widths.map((_, k) => widths.slice(0, k).reduce((total, width) => total + width, 0));
    const out = engine.allocate(engine.dtype, sizeOf(shape), "concatenated arrays");
    for (const [k, part] of tensors.entries()) {
      const width = widths[k]!;
      const rows = { fromStart: 0, fromStride: width, toStart: starts[k]!, toStride: stride, width, rows: outer };
      engine.copy(memoryOf(part), out, rows);
    }
    const whole = wrapMemory(device, shape, out, "concatenated arrays");
    record({
      name: "concat",
      inputs: tensors,
      outputs: [whole],
      holds: [],
      pullback: ([cotangent], wanted) =>
        tensors.map((_, k) => {
          if (!wanted[k]) return null;
          const width = widths[k]!;
          const part = engine.allocate(engine.dtype, outer * width, "the cotangent of a part");
          const rows = { fromStart: starts[k]!, fromStride: stride, toStart: 0, toStride: width, width, rows: outer };
          engine.copy(cotangent!, part, rows);
          return part;
        }),
    });
    return whole;
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}

/**
 * The last step of every sequence: `(B, T, n)` to `(B, n)`, `(T, n)` to `(n)`. Differentiable. Cost: one copy of the answer.
 * Of sequences that were padded at their ends take the rows `b T + length - 1` of `reshape(x, [-1, n])` by `take`.
 *
 * Throws a `TypeError` for another shape, and a `RangeError` for no steps.
 *
 * @example
 * ```ts
 * import { last, openDevice, tensor } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const states = tensor(device, { data: new Float32Array(30), shape: [2, 5, 3] });
 * console.log(last(states).shape); // [2, 3]
 * ```
 */
export function last(x: Tensor): Tensor {
  const context = "Cannot take the last step";
  if (!isTensor(x)) throw new TypeError(`${context}: expected a tensor on a device, got ${describe(x)}`);
  const { device, shape } = x;
  if (shape.length !== 2 && shape.length !== 3) {
    throw new TypeError(`${context}: expected shape (B, T, n) or (T, n), got ${formatShape(shape)}`);
  }
  const [batch, [time, width]] = [shape.length === 3 ? shape[0]! : 1, shape.slice(-2) as [number, number]];
  if (time === 0) throw new RangeError(`${context}: expected at least one step, got shape ${formatShape(shape)}`);
  const engine = engineOf(device);
  const stride = time * width;
  const rows: CopyRows = {
    fromStart: stride - width,
    fromStride: stride,
    toStart: 0,
    toStride: width,
    width,
    rows: batch,
  };
  const out = engine.allocate(x.dtype, batch * width, "last steps");
  engine.copy(memoryOf(x), out, rows);
  const answer = wrapMemory(device, shape.length === 3 ? [batch, width] : [width], out, "last steps");
  record({
    name: "last",
    inputs: [x],
    outputs: [answer],
    holds: [],
    pullback([cotangent]) {
      const whole = engine.allocate(engine.dtype, batch * stride, "the cotangent of all steps");
      fillZeros(engine, whole);
      const back = { fromStart: 0, fromStride: width, toStart: stride - width, toStride: stride, width, rows: batch };
      engine.copy(cotangent!, whole, back);
      return [whole];
    },
  });
  return answer;
}
