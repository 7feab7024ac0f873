import { formatShape } from "../core/shape.ts";
import type { HostArray, HostTensor, Shape } from "../core/types.ts";
import { checkHostTensor, countElements } from "../core/host.ts";
import { checkBytes, show } from "./checks.ts";
import { decodeElements, encodeElements, STORED_BYTES, type StoredType } from "./elements.ts";
import { formatNpyHeader, parseNpyHeader } from "./npy_header.ts";

const READ = "Cannot read .npy";
const WRITE = "Cannot write .npy";
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

const TYPES: Readonly<Record<string, StoredType>> = {
  f2: "F16",
  f4: "F32",
  f8: "F64",
  i1: "I8",
  i2: "I16",
  i4: "I32",
  i8: "I64",
  u1: "U8",
  u2: "U16",
  u4: "U32",
  b1: "BOOL",
};
const DESCRIPTIONS = { F32: "<f4", F64: "<f8", I32: "<i4", U32: "<u4" } as const;

/** What no tensor holds, by NumPy's name or its letter for the kind, and what to do about it. */
const CURES: Readonly<Record<string, string>> = {
  O: 'Python objects; save numbers instead, as with array.astype("float64")',
  S: "byte strings; save whole numbers that stand for them",
  U: "strings; save whole numbers that stand for them",
  V: "raw bytes; save each field as an array of its own",
  c: "complex numbers; save the real and the imaginary part as two arrays",
  m: 'durations; save numbers instead, as with array.astype("int64")',
  M: 'dates; save numbers instead, as with array.astype("int64")',
  f16: 'floats of 128 bits; save array.astype("float64")',
  u8: 'unsigned integers of 64 bits; save array.astype("uint32")',
};

/**
 * Reads the bytes of a NumPy `.npy` file, format versions 1 to 3, into a {@linkcode HostTensor} of the file's shape.
 *
 * `f4`, `f8`, `i4` and `u4` keep their type; `f2` becomes f32, `i1`, `i2` and `i8` become i32, `u1`, `u2` and `b1`
 * become u32. Big-endian files are swapped, Fortran order is transposed to row-major. Costs one copy of the data.
 *
 * Throws a TypeError if `bytes` is no Uint8Array, and a SyntaxError that says what was expected and what came if the
 * file is damaged, holds another type, or holds an `i8` that does not fit 32 bits.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 *
 * @example
 * ```ts
 * import { readNpy, writeNpy } from "@cervid/cervid/io";
 *
 * const bytes = writeNpy({ data: new Float32Array([1, 2, 3, 4, 5, 6]), shape: [2, 3] });
 * const { data, shape } = readNpy(bytes);
 * console.log(data, shape); // 1 to 6, [2, 3]
 * ```
 */
export function readNpy(bytes: Uint8Array): HostTensor {
  checkBytes(READ, bytes);
  const { text, end } = readHeaderText(bytes);
  const { descr, fortranOrder, shape } = parseNpyHeader(text, READ);
  const { type, littleEndian } = parseType(descr);
  const expected = countElements(shape) * STORED_BYTES[type];
  const got = bytes.length - end;
  if (got !== expected) {
    const what = `${expected} bytes of data for ${formatShape(shape)} ${descr}`;
    throw new SyntaxError(`${READ}: expected ${what}, got ${got}`);
  }
  const data = decodeElements(type, bytes.subarray(end), littleEndian, READ);
  return { data: fortranOrder ? toRowMajor(data, shape) : data, shape };
}

/**
 * Writes a tensor as the bytes of a NumPy `.npy` file, version 1.0, little endian, row-major: the very bytes that
 * `numpy.save` writes for `<f4`, `<f8`, `<i4` and `<u4`. Costs one copy of the data.
 *
 * Throws a TypeError if `value` is no {@linkcode HostTensor}, its shape does not fit its data, or it has more than
 * the 64 axes that NumPy reads.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 *
 * @example
 * ```ts
 * import { writeNpy } from "@cervid/cervid/io";
 *
 * const bytes = writeNpy({ data: new Float64Array([0.5, 0.25]), shape: [2] });
 * console.log(bytes.length); // 144: a header padded to 128, and two f64
 * ```
 */
export function writeNpy(value: HostTensor): Uint8Array<ArrayBuffer> {
  const descr = DESCRIPTIONS[checkHostTensor(WRITE, "the value", value)];
  const { data, shape } = value;
  if (shape.length > 64) throw new TypeError(`${WRITE}: NumPy reads at most 64 axes, got ${shape.length}`);
  const literal = formatNpyHeader({ descr, fortranOrder: false, shape });
  // Like NumPy, which pads by 64 where 0 would do.
  const start = literal.length + 11 + 64 - ((literal.length + 11) % 64);
  const bytes = new Uint8Array(start + data.byteLength);
  bytes.set([...MAGIC, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, start - 10, true);
  bytes.set(new TextEncoder().encode(literal.padEnd(start - 11) + "\n"), 10);
  encodeElements(data, bytes, start);
  return bytes;
}

function readHeaderText(bytes: Uint8Array): { text: string; end: number } {
  if (bytes.length < MAGIC.length || !MAGIC.every((byte, i) => bytes[i] === byte)) {
    const got = bytes.length === 0 ? "an empty file" : [...bytes.subarray(0, MAGIC.length)].join(" ");
    throw new SyntaxError(`${READ}: expected the signature ${MAGIC.join(" ")} ("\\x93NUMPY"), got ${got}`);
  }
  const major = bytes[6];
  const minor = bytes[7];
  if (major !== undefined && minor !== undefined && (major < 1 || major > 3 || minor !== 0)) {
    throw new SyntaxError(`${READ}: expected version 1.0, 2.0 or 3.0, got ${major}.${minor}`);
  }
  const start = major === 1 ? 10 : 12;
  if (bytes.length < start) {
    throw new SyntaxError(`${READ}: expected ${start} bytes before the header, got ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const end = start + length;
  if (end > bytes.length) {
    throw new SyntaxError(`${READ}: expected ${length} bytes of header, got ${bytes.length - start}`);
  }
  try {
    // The decoder named latin1 is that of windows-1252; both agree on ASCII, and nothing else is accepted later.
    const decoder = new TextDecoder(major === 3 ? "utf-8" : "latin1", { fatal: true, ignoreBOM: true });
    return { text: decoder.decode(bytes.subarray(start, end)), end };
  } catch (cause) {
    throw new SyntaxError(`${READ}: expected a header in UTF-8, got other bytes`, { cause });
  }
}

function parseType(descr: string): { type: StoredType; littleEndian: boolean } {
  const order = descr.charAt(0);
  const name = descr.slice(1);
  const type = Object.hasOwn(TYPES, name) ? TYPES[name]! : undefined;
  // One byte has no order: other writers than NumPy put "<" there.
  if (type !== undefined && (order === "<" || order === ">" || (order === "|" && STORED_BYTES[type] === 1))) {
    return { type, littleEndian: order !== ">" };
  }
  const kind = Object.hasOwn(CURES, name) ? name : name.charAt(0);
  if ("<>|=".includes(order) && Object.hasOwn(CURES, kind)) {
    throw new SyntaxError(`${READ}: expected numbers that a tensor can hold, got ${show(descr)}: ${CURES[kind]}`);
  }
  const known = `"<" or ">" and one of ${Object.keys(TYPES).join(", ")}`;
  throw new SyntaxError(`${READ}: expected a type made of ${known}, got ${show(descr)}`);
}

/** A copy in row-major order of data whose first axis runs fastest. */
function toRowMajor(data: HostArray, shape: Shape): HostArray {
  const result = data.slice();
  const index = shape.map(() => 0);
  let stride = 1;
  const strides = shape.map((axis) => (stride *= axis) / axis);
  let source = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = data[source]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += strides[axis]!;
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      source -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
