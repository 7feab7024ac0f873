import { formatShape } from "../core/shape.ts";
import type { HostTensor } from "../core/types.ts";
import { kindOf } from "../core/describe.ts";
import { checkHostTensor, countElements, isCount, isRecord } from "../core/host.ts";
import { checkBytes, show } from "./checks.ts";
import { decodeElements, encodeElements, STORED_BYTES, type StoredType } from "./elements.ts";
import { parseJson } from "./json.ts";

const READ = "Cannot read safetensors";
const WRITE = "Cannot write safetensors";
const METADATA = "__metadata__";
const MAX_HEADER_BYTES = 100_000_000;
const READABLE: readonly StoredType[] = ["F32", "F16", "BF16", "F64", "I32", "U32", "I64", "BOOL", "U8"];
/** The reference writer sorts by falling alignment, then in this order, then by name. */
const WRITE_ORDER = ["F64", "F32", "U32", "I32"];

/** What a safetensors file holds. */
export interface Safetensors {
  /** The tensors by name. */
  tensors: Record<string, HostTensor>;
  /** The texts under `__metadata__` by name; empty where there are none. */
  metadata: Record<string, string>;
}

interface Entry {
  readonly name: string;
  readonly type: StoredType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads the bytes of a safetensors file: named tensors and named texts.
 *
 * `F32`, `F64`, `I32` and `U32` keep their type; `F16` and `BF16` become f32, `I64` becomes i32, `U8` and `BOOL` become
 * u32. Offsets need no alignment. Costs one copy of the data.
 *
 * Throws a TypeError if `bytes` is no Uint8Array, and a SyntaxError that says what was expected and what came if the
 * file is damaged, leaves holes or overlaps, names a tensor twice, has another type or a header above 100 MB, or holds
 * an `I64` that does not fit 32 bits.
 *
 * Format: https://huggingface.co/docs/safetensors/index#format
 *
 * @example
 * ```ts
 * import { readSafetensors, writeSafetensors } from "@cervid/cervid/io";
 *
 * const bias = { data: new Float32Array([0.5, -0.5]), shape: [2] };
 * const { tensors, metadata } = readSafetensors(writeSafetensors({ bias }, { trained: "for 10 epochs" }));
 * console.log(tensors.bias?.data, metadata.trained); // [0.5, -0.5] and "for 10 epochs"
 * ```
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  checkBytes(READ, bytes);
  const { text, start } = readHeaderText(bytes);
  const header = parseJson(text, `${READ}: the header`);
  if (!isRecord(header)) throw new SyntaxError(`${READ}: the header must be an object, got ${kindOf(header)}`);
  const data = bytes.subarray(start);
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) metadata = parseMetadata(value);
    else entries.push(parseEntry(name, value));
  }
  checkCoverage(entries, data.length);
  const tensors = entries.map(({ name, type, shape, begin, end }): [string, HostTensor] => {
    const elements = decodeElements(type, data.subarray(begin, end), true, `${READ}: tensor ${show(name)}`);
    return [name, { data: elements, shape }];
  });
  // fromEntries defines properties, so that a tensor named __proto__ is one like any other.
  return { tensors: Object.fromEntries(tensors), metadata };
}

/**
 * Writes named tensors and named texts as the bytes of a safetensors file, laid out as the reference implementation
 * does: data from a multiple of 8 bytes on; f64 before f32, u32, i32, and by name within each. Costs one copy of the data.
 *
 * Throws a TypeError if a tensor is no {@linkcode HostTensor}, its shape does not fit its data, a text is no string,
 * or a name is `__metadata__` or broken Unicode; a RangeError if the header exceeds the 100 MB that readers accept.
 *
 * Format: https://huggingface.co/docs/safetensors/index#format
 *
 * @example
 * ```ts
 * import { writeSafetensors } from "@cervid/cervid/io";
 *
 * const weight = { data: new Float32Array(6), shape: [2, 3] };
 * const bytes = writeSafetensors({ weight }, { format: "pt" });
 * console.log(bytes.length); // 128: 8 for the length of the header, 96 for the header, 24 for six f32
 * ```
 */
export function writeSafetensors(
  tensors: Record<string, HostTensor>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  if (!isRecord(tensors)) throw new TypeError(`${WRITE}: tensors must be a record, got ${kindOf(tensors)}`);
  if (!isRecord(metadata)) throw new TypeError(`${WRITE}: metadata must be a record, got ${kindOf(metadata)}`);
  const sorted = Object.entries(tensors).map(([name, tensor]) => {
    checkName("a tensor's name", name);
    if (name === METADATA) {
      throw new TypeError(`${WRITE}: no tensor can have the name ${METADATA}; pass metadata instead`);
    }
    return { name, tensor, type: checkHostTensor(WRITE, `tensor ${show(name)}`, tensor) };
  }).sort((a, b) => WRITE_ORDER.indexOf(a.type) - WRITE_ORDER.indexOf(b.type) || (a.name < b.name ? -1 : 1));

  // Text by text: an object would move names such as "10" to the front, and swallow __proto__.
  const texts = Object.entries(metadata).map(([name, value]) => {
    checkName("a name in the metadata", name);
    if (typeof value !== "string") {
      throw new TypeError(`${WRITE}: metadata ${show(name)} must be a string, got ${kindOf(value)}`);
    }
    checkName(`metadata ${show(name)}`, value);
    return `${JSON.stringify(name)}:${JSON.stringify(value)}`;
  });
  const members = texts.length > 0 ? [`"${METADATA}":{${texts.join(",")}}`] : [];
  let length = 0;
  for (const { name, tensor: { data, shape }, type } of sorted) {
    const offsets = [length, length += data.byteLength];
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype: type, shape, data_offsets: offsets })}`);
  }
  const header = new TextEncoder().encode(`{${members.join(",")}}`);
  const padded = Math.ceil(header.length / 8) * 8;
  if (padded > MAX_HEADER_BYTES) {
    throw new RangeError(`${WRITE}: the header must have at most ${MAX_HEADER_BYTES} bytes, got ${padded}`);
  }

  const bytes = new Uint8Array(8 + padded + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.fill(0x20, 8, 8 + padded).set(header, 8);
  let at = 8 + padded;
  for (const { tensor: { data } } of sorted) {
    encodeElements(data, bytes, at);
    at += data.byteLength;
  }
  return bytes;
}

function checkName(what: string, name: string): void {
  if (!name.isWellFormed()) throw new TypeError(`${WRITE}: ${what} must be whole Unicode, got ${show(name)}`);
}

function readHeaderText(bytes: Uint8Array): { text: string; start: number } {
  if (bytes.length < 8) {
    throw new SyntaxError(`${READ}: expected 8 bytes for the length of the header, got ${bytes.length}`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw new SyntaxError(`${READ}: expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  }
  const start = 8 + Number(length);
  if (start > bytes.length) {
    throw new SyntaxError(`${READ}: expected ${length} bytes of header, got ${bytes.length - 8}`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(8, start));
  } catch (cause) {
    throw new SyntaxError(`${READ}: expected a header in UTF-8, got other bytes`, { cause });
  }
  if (!text.startsWith("{")) {
    throw new SyntaxError(`${READ}: expected a header that starts with "{", got ${show(text.slice(0, 20))}`);
  }
  return { text, start };
}

function parseMetadata(value: unknown): Record<string, string> {
  if (!isRecord(value)) throw new SyntaxError(`${READ}: ${METADATA} must be an object, got ${kindOf(value)}`);
  for (const [name, text] of Object.entries(value)) {
    if (typeof text === "string") continue;
    throw new SyntaxError(`${READ}: metadata ${show(name)} must be a string, got ${kindOf(text)}`);
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown): Entry {
  const context = `${READ}: tensor ${show(name)}`;
  if (!isRecord(value)) throw new SyntaxError(`${context} must be an object, got ${kindOf(value)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  const type = READABLE.find((candidate) => candidate === dtype);
  if (type === undefined) {
    throw new SyntaxError(`${context}: dtype must be one of ${READABLE.join(", ")}, got ${show(dtype)}`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    const expected = "a list of whole numbers of at least 0";
    throw new SyntaxError(`${context}: shape must be ${expected}, got ${show(shape)}`);
  }
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!isCount(begin) || !isCount(end) || begin > end) {
    const expected = "[begin, end] with 0 <= begin <= end";
    throw new SyntaxError(`${context}: data_offsets must be ${expected}, got ${show(offsets)}`);
  }
  const expected = countElements(shape) * STORED_BYTES[type];
  if (end - begin !== expected) {
    const what = `${expected} bytes for ${formatShape(shape)} ${type}`;
    throw new SyntaxError(`${context}: expected ${what}, got data_offsets for ${end - begin}`);
  }
  return { name, type, shape, begin, end };
}

/** Throws unless the tensors, laid end to end, are the data: no holes, no overlaps, nothing missing, nothing left. */
function checkCoverage(entries: readonly Entry[], length: number): void {
  let covered = 0;
  for (const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered) {
      const fault = begin > covered ? "leaves a hole" : "overlaps another tensor";
      throw new SyntaxError(`${READ}: tensor ${show(name)} ${fault}: expected it to begin at ${covered}, got ${begin}`);
    }
    if (end > length) {
      throw new SyntaxError(`${READ}: tensor ${show(name)} must end within ${length} bytes of data, got ${end}`);
    }
    covered = end;
  }
  if (covered !== length) throw new SyntaxError(`${READ}: expected ${covered} bytes of data, got ${length}`);
}
