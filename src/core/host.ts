import { kindOf } from "./describe.ts";
import { formatShape, sizeOf } from "./shape.ts";
import type { HostArray, Shape } from "./types.ts";

/** The stored types that a {@linkcode HostTensor} holds as they are. */
export type HostType = "F32" | "F64" | "I32" | "U32";

/** Number of elements; unlike a plain product it is 0, not NaN, where a zero axis stands beside enormous ones. */
export function countElements(shape: Shape): number {
  return shape.includes(0) ? 0 : sizeOf(shape);
}

/** Whether `value` can be the length of an axis or an offset: a whole number of at least 0, and not -0. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

/** Whether `value` is a record: neither null nor a list, nor a Map, which would look like a record without names. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return kindOf(value) === "Object";
}

/** The stored type of a host array, or undefined where `data` is none. */
function storedTypeOf(data: unknown): HostType | undefined {
  if (data instanceof Float32Array) return "F32";
  if (data instanceof Float64Array) return "F64";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof Uint32Array) return "U32";
  return undefined;
}

/** Throws a TypeError unless `value` is a HostTensor whose shape fits its data, else returns its stored type. */
export function checkHostTensor(context: string, name: string, value: unknown): HostType {
  if (!isRecord(value)) {
    throw new TypeError(`${context}: ${name} must be { data, shape }, got ${kindOf(value)}`);
  }
  const { data, shape } = value;
  const type = storedTypeOf(data);
  if (type === undefined) {
    const expected = "a Float32Array, Float64Array, Int32Array or Uint32Array";
    throw new TypeError(`${context}: the data of ${name} must be ${expected}, got ${kindOf(data)}`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    const got = Array.isArray(shape) ? formatShape(shape) : kindOf(shape);
    throw new TypeError(`${context}: the shape of ${name} must be a list of whole numbers of at least 0, got ${got}`);
  }
  const count = countElements(shape);
  if (count !== (data as HostArray).length) {
    const expected = `${count} elements for its shape ${formatShape(shape)}`;
    throw new TypeError(`${context}: ${name} must have ${expected}, got ${(data as HostArray).length}`);
  }
  return type;
}
