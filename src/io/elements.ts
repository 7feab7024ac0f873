import type { HostArray } from "../core/types.ts";

/** The element types that the readers understand, in the words of safetensors; `I8` to `U16` come from NumPy alone. */
export type StoredType = "F16" | "BF16" | "F32" | "F64" | "I8" | "I16" | "I32" | "I64" | "U8" | "U16" | "U32" | "BOOL";

/** Bytes of one stored element. */
export const STORED_BYTES: Readonly<Record<StoredType, number>> = {
  F16: 2,
  BF16: 2,
  F32: 4,
  F64: 8,
  I8: 1,
  I16: 2,
  I32: 4,
  I64: 8,
  U8: 1,
  U16: 2,
  U32: 4,
  BOOL: 1,
};

const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * The elements in `bytes`, copied: offsets in a file need not be aligned, and an answer must not keep the file alive.
 * 16-bit floats become f32, narrow integers and booleans 32-bit ones, and 64-bit integers i32 where every one fits:
 * else, as for a boolean that is neither 0 nor 1, a SyntaxError that starts with `context`.
 */
export function decodeElements(type: StoredType, bytes: Uint8Array, littleEndian: boolean, context: string): HostArray {
  // Not bytes.slice(): that of Node's Buffer shares its memory.
  const own = new Uint8Array(bytes);
  if (littleEndian !== HOST_IS_LITTLE_ENDIAN) swapBytes(own, STORED_BYTES[type]);
  const { buffer } = own;
  switch (type) {
    case "F16":
      return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    case "BF16":
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return new Float64Array(buffer);
    case "I8":
      return new Int32Array(new Int8Array(buffer));
    case "I16":
      return new Int32Array(new Int16Array(buffer));
    case "I32":
      return new Int32Array(buffer);
    case "I64":
      return narrowIntegers(buffer, context);
    case "U8":
      return new Uint32Array(own);
    case "U16":
      return new Uint32Array(new Uint16Array(buffer));
    case "U32":
      return new Uint32Array(buffer);
    case "BOOL": {
      const wrong = own.findIndex((byte) => byte > 1);
      if (wrong >= 0) {
        throw new SyntaxError(`${context}: element ${wrong} must be a boolean, 0 or 1, got ${own[wrong]}`);
      }
      return new Uint32Array(own);
    }
  }
}

/** Writes the elements of `data` into `target` from `offset` on, little endian. */
export function encodeElements(data: HostArray, target: Uint8Array, offset: number): void {
  target.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
  if (!HOST_IS_LITTLE_ENDIAN) swapBytes(target.subarray(offset, offset + data.byteLength), data.BYTES_PER_ELEMENT);
}

function swapBytes(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

// By arithmetic, exactly: Float16Array is missing in browsers of 2024.
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function narrowIntegers(buffer: ArrayBuffer, context: string): Int32Array {
  // Halves instead of bigints: a bigint for each element would cost an allocation each.
  const words = new Int32Array(buffer);
  const low = HOST_IS_LITTLE_ENDIAN ? 0 : 1;
  const result = new Int32Array(words.length / 2);
  for (let i = 0; i < result.length; i++) {
    const value = words[2 * i + low]!;
    if (words[2 * i + 1 - low] !== value >> 31) {
      const got = new BigInt64Array(buffer)[i];
      throw new SyntaxError(`${context}: element ${i} must fit a 32-bit integer, got ${got}`);
    }
    result[i] = value;
  }
  return result;
}
