import { checkKeys } from "../core/describe.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import { findDevice, place } from "../place.ts";
import { isTensorLike, memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import {
  add,
  constant,
  equal,
  exp,
  log,
  maximum,
  min,
  mul,
  square,
  stopGradient,
  sub,
  sum,
  where,
} from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { mapFlat, tabulate } from "./flat.ts";
import { type IndicesLike, placeIndices } from "./indices.ts";
import { mean } from "./reduce.ts";

let difference: RowProgram | undefined;

/**
 * The mean of squares `Σ (prediction - target)² / size`, a tensor of shape `()`; NaN of nothing. Arrays of one shape.
 * Differentiable in both. Cost: one pass over both, one over their differences.
 *
 * Throws a `TypeError` where the shapes differ: nothing is broadcast.
 *
 * @example
 * ```ts
 * import { openDevice, squaredError, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const prediction = tensor(device, { data: new Float32Array([1, 2, 3]), shape: [3] });
 * const loss = squaredError(prediction, { data: new Float32Array([1, 0, 0]), shape: [3] });
 * console.log((await toHost(loss)).data); // [4.333...]
 * ```
 */
export function squaredError(prediction: TensorLike, target: TensorLike, options: { device?: Device } = {}): Tensor {
  const context = "Cannot take the squared error";
  checkKeys(context, "options", options, ["device"]);
  const device = findDevice(context, options.device, [prediction, target]);
  const temporary: Tensor[] = [];
  try {
    const x = place(context, "prediction", prediction, device, temporary);
    const y = place(context, "target", target, device, temporary);
    if (!sameShape(x.shape, y.shape)) {
      throw new TypeError(
        `${context}: target must have the shape of prediction, ${formatShape(x.shape)}, got ${formatShape(y.shape)}`,
      );
    }
    difference ??= traceRows({
      name: "squaredError",
      inputs: { x: [], y: [] },
      params: {},
      fn: ({ x, y }) => ({ value: square(sub(x, y)) }),
    });
    const squares = mapFlat(device, difference, [x, y], sizeOf(x.shape), x.shape);
    temporary.push(squares);
    return mean(squares);
  } finally {
    for (const tensor of temporary) tensor.dispose();
  }
}

interface EntropyPrograms {
  /** n for row n: a class by its number. */
  readonly classes: RowProgram;
  readonly entropy: RowProgram;
}

const entropies = new Map<number, EntropyPrograms>();

function entropyPrograms(classes: number): EntropyPrograms {
  let made = entropies.get(classes);
  if (made === undefined) {
    const entropy = traceRows({
      name: "softmaxCrossEntropy",
      inputs: { label: [], logits: [classes] },
      params: {},
      fn({ label, logits }) {
        const below = sub(logits, stopGradient(maximum(logits)));
        const own = sum(where(equal(label, constant(Float64Array.from({ length: classes }, (_, c) => c))), below, 0));
        // The factor is 1, or NaN for a label that is none: so that the gradient is NaN, too.
        return { value: mul(add(1, min(label, 0)), sub(log(sum(exp(below))), own)) };
      },
    });
    made = { classes: traceRows({ name: "classes", inputs: {}, params: {}, fn: (_, __, t) => ({ t }) }), entropy };
    entropies.set(classes, made);
  }
  return made;
}

/**
 * The mean over rows of the cross entropy `log Σ_c e^(logits[c]) - logits[label]` of a softmax, a tensor of shape `()`; NaN
 * of no rows: logits `(..., C)`, labels `(...)` the numbers of the right classes, u32 or i32 on the device or in host memory
 * (for logits `(B, C)` a flat list too). Differentiable in the logits; no logits overflow it. (optax calls it
 * `softmax_cross_entropy_with_integer_labels`, and leaves the mean to its caller.)
 *
 * Labels in host memory that are no class are a `RangeError`; one on a device, which cannot be seen without waiting, makes
 * the loss NaN, and the gradient of its own row. Throws a `TypeError` for shapes and dtypes that do not fit. Cost: one pass
 * over the logits, each row by one invocation; meant for up to thousands of classes.
 *
 * @example
 * ```ts
 * import { openDevice, softmaxCrossEntropy, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const logits = tensor(device, { data: new Float32Array([4, 0, 0, 0, 0, 4]), shape: [2, 3] });
 * console.log((await toHost(softmaxCrossEntropy(logits, [0, 2]))).data); // [0.036...]
 * ```
 */
export function softmaxCrossEntropy(
  logits: TensorLike,
  labels: IndicesLike,
  options: { device?: Device } = {},
): Tensor {
  const context = "Cannot take the cross entropy";
  checkKeys(context, "options", options, ["device"]);
  const device = findDevice(context, options.device, [logits, isTensorLike(labels) ? labels : undefined]);
  const engine = engineOf(device);
  const temporary: Tensor[] = [];
  try {
    const x = place(context, "logits", logits, device, temporary);
    const classes = x.shape.at(-1);
    if (classes === undefined || classes === 0) {
      throw new TypeError(
        `${context}: logits must have shape (..., C) of at least one class, got ${formatShape(x.shape)}`,
      );
    }
    const leading = x.shape.slice(0, -1);
    const rows = sizeOf(leading);
    const given = placeIndices(context, "labels", labels, { least: 0, end: classes }, device, temporary);
    if (!sameShape(given.shape, leading)) {
      throw new TypeError(
        `${context}: labels must have shape ${formatShape(leading)}, as logits have without their last axis, got ${
          formatShape(given.shape)
        }`,
      );
    }
    const programs = entropyPrograms(classes);
    // As floats, NaN for what is no class.
    const numbers = tabulate(engine, programs.classes, classes);
    const floats = engine.allocate(engine.dtype, rows, "labels");
    engine.gather({ table: numbers, indices: memoryOf(given), out: floats, rows: classes, width: 1, count: rows });
    engine.free(numbers);
    const label = wrapMemory(device, leading, floats, "labels");
    temporary.push(label);
    const entropy = mapFlat(device, programs.entropy, [label, x], rows, leading);
    temporary.push(entropy);
    return mean(entropy);
  } finally {
    for (const tensor of temporary) tensor.dispose();
  }
}
