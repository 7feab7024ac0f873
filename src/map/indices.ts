import { describe } from "../core/describe.ts";
import { checkHostTensor } from "../core/host.ts";
import { formatShape } from "../core/shape.ts";
import type { HostArray, Shape } from "../core/types.ts";
import type { Device } from "../device.ts";
import { isTensor, isTensorLike, type Tensor, tensor, type TensorLike } from "../tensor.ts";

/** Whole numbers: a tensor of u32 or i32, host data of these with a shape, or a flat list. */
export type IndicesLike = TensorLike | ArrayLike<number>;

/** The whole numbers from `least` to below `end`. */
export interface IndexRange {
  readonly least: number;
  readonly end: number;
}

/**
 * Whole numbers as a tensor on `device`; what is copied is added to `temporary`. Those in host memory are checked against the
 * range; those on a device cannot be looked at without waiting for it.
 */
export function placeIndices(
  context: string,
  what: string,
  value: IndicesLike,
  range: IndexRange,
  device: Device,
  temporary: Tensor[],
): Tensor {
  if (isTensor(value)) {
    if (value.device !== device) throw new TypeError(`${context}: ${what} live on another device`);
    if (value.dtype !== "u32" && value.dtype !== "i32") {
      throw new TypeError(`${context}: ${what} must have dtype u32 or i32, got ${value.dtype}`);
    }
    return value;
  }
  let [data, shape]: [ArrayLike<number>, Shape] = [[], []];
  if (isTensorLike(value)) {
    checkHostTensor(context, what, value);
    [data, shape] = [value.data as HostArray, value.shape];
  } else if (typeof value === "object" && Number.isSafeInteger(value?.length)) {
    [data, shape] = [value, [value.length]];
  } else {
    throw new TypeError(`${context}: ${what} must be whole numbers, got ${describe(value)}`);
  }
  for (let n = 0; n < data.length; n++) {
    const number = data[n]!;
    if (Number.isInteger(number) && number >= range.least && number < range.end) continue;
    throw new RangeError(
      `${context}: ${what} must be whole numbers from ${range.least} to ${range.end - 1}, got ${number} at ${
        shape.length > 1 ? formatShape(placeOf(n, shape)) : n
      }`,
    );
  }
  const copy = tensor(device, { data: Uint32Array.from(data), shape }, what);
  temporary.push(copy);
  return copy;
}

/** The place of element n of an array. */
function placeOf(n: number, shape: Shape): Shape {
  return shape.map((axis, k) => Math.floor(n / shape.slice(k + 1).reduce((a, b) => a * b, 1)) % axis);
}
