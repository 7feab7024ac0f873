import { describe } from "./core/describe.ts";
import { DeviceError } from "./core/errors.ts";
import { checkHostTensor } from "./core/host.ts";
import type { Shape, Tree } from "./core/types.ts";
import { type Device, engineOf } from "./device.ts";
import { explainDisposal, isDisposed, isTensor, isTensorLike, type Tensor, tensor, type TensorLike } from "./tensor.ts";
import { deviceIn } from "./tensor_tree.ts";

/** The device of a call: the one given, else that of the first tensor among its arguments. */
export function findDevice(
  context: string,
  option: Device | undefined,
  values: readonly (Tree<TensorLike> | TensorLike | undefined)[],
): Device {
  const device = option ?? values.map(deviceIn).find((found) => found !== undefined);
  if (device === undefined) {
    throw new TypeError(
      `${context}: no argument is a tensor on a device; give the option device: await openDevice()`,
    );
  }
  engineOf(device);
  return device;
}

/** The shape of an array, before anyone asks for its length. */
export function shapeOf(context: string, what: string, { shape }: TensorLike): Shape {
  if (Array.isArray(shape)) return shape;
  throw new TypeError(`${context}: the shape of ${what} must be an array of whole numbers, got ${describe(shape)}`);
}

/** An array as a tensor of floats on `device`; what is copied is added to `temporary`. */
export function place(context: string, what: string, value: TensorLike, device: Device, temporary: Tensor[]): Tensor {
  if (!isTensorLike(value)) {
    throw new TypeError(`${context}: ${what} must be a tensor or { data, shape }, got ${describe(value)}`);
  }
  if (isTensor(value)) {
    if (isDisposed(value)) {
      throw new DeviceError(`${context}: ${what} ${explainDisposal(value)}`);
    }
    if (value.device !== device) {
      throw new TypeError(
        `${context}: ${what} lives on another device; copy it with tensor(device, await toHost(...))`,
      );
    }
    if (value.dtype !== device.dtype) {
      throw new TypeError(`${context}: ${what} must have dtype ${device.dtype}, got ${value.dtype}`);
    }
    return value;
  }
  checkHostTensor(context, what, value);
  if (!(value.data instanceof Float32Array) && !(value.data instanceof Float64Array)) {
    throw new TypeError(
      `${context}: ${what} must hold floats, got ${describe(value.data)}; convert with Float32Array.from`,
    );
  }
  const copy = tensor(device, value, what);
  temporary.push(copy);
  return copy;
}
