import { describe } from "../core/describe.ts";
import { isRecord } from "../core/host.ts";
import { maskedCrc32c } from "./log_crc32c.ts";

/** Protocol buffers: the number of a field and how its value is stored, in one byte. */
const KEYS = {
  // tensorflow.Event
  wallTime: 1 << 3 | 1, // double
  step: 2 << 3 | 0, // int64
  fileVersion: 3 << 3 | 2, // string
  summary: 5 << 3 | 2, // Summary
  // tensorflow.Summary, and its Value
  value: 1 << 3 | 2,
  tag: 1 << 3 | 2, // string
  simpleValue: 2 << 3 | 5, // float
} as const;

/** A whole number of at least 0, seven bits to a byte, the lowest first. */
function encodeVarint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 | 128);
  return [...bytes, value];
}

const encodeBytes = (key: number, bytes: ArrayLike<number>): number[] => [
  key,
  ...encodeVarint(bytes.length),
  ...Array.from(bytes),
];

function encodeFloat(key: number, value: number, bytes: 4 | 8): number[] {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return [key, ...new Uint8Array(view.buffer)];
}

/** TFRecord: the length (u64) and its masked CRC, the data and its masked CRC, all little-endian. */
function frame(data: readonly number[]): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(16 + data.length);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(record.subarray(12, 12 + data.length)), true);
  return record;
}

function checkWallTime(wallTime: unknown): void {
  if (typeof wallTime === "number" && Number.isFinite(wallTime) && wallTime >= 0) return;
  throw new RangeError(
    `Cannot write for TensorBoard: wallTime must be seconds since 1970, got ${describe(wallTime)}`,
  );
}

/**
 * The first record of a file of events for TensorBoard: the version of the format, as bytes. What
 * {@linkcode writeTensorboardScalars} makes follows it. TensorBoard reads files whose names contain `tfevents`, for example
 * `runs/first/events.out.tfevents.0`.
 *
 * `wallTime`: seconds since 1970, now by default. Throws a `RangeError` if it is no such number.
 *
 * @example
 * ```ts
 * import { writeTensorboardHeader, writeTensorboardScalars } from "@cervid/cervid";
 *
 * const parts = [writeTensorboardHeader(), writeTensorboardScalars(1, { loss: 0.5, "digits/accuracy": 0.9 })];
 * console.log(await new Blob(parts).bytes()); // what to write to events.out.tfevents.0
 * ```
 */
export function writeTensorboardHeader(wallTime: number = Date.now() / 1000): Uint8Array<ArrayBuffer> {
  checkWallTime(wallTime);
  const version = new TextEncoder().encode("brain.Event:2");
  return frame([...encodeFloat(KEYS.wallTime, wallTime, 8), ...encodeBytes(KEYS.fileVersion, version)]);
}

/**
 * One record of a file of events for TensorBoard: numbers by their tags at a step, as bytes (a TFRecord that holds a
 * protocol buffer `Event`). Values are stored in single precision; NaN and infinite ones too, which TensorBoard marks.
 *
 * Throws a `RangeError` for a step that is no whole number of at least 0, a `TypeError` for values that are no numbers.
 * Formats: `tensorflow/core/util/event.proto`, `summary.proto`, `core/lib/io/record_writer.h`.
 *
 * @example The file of a training
 * ```ts
 * import { writeTensorboardHeader, writeTensorboardScalars } from "@cervid/cervid";
 *
 * const parts = [writeTensorboardHeader()];
 * for (let step = 1; step <= 3; step++) parts.push(writeTensorboardScalars(step, { loss: 1 / step }));
 * console.log(new Blob(parts).size);
 * ```
 */
export function writeTensorboardScalars(
  step: number,
  scalars: { readonly [tag: string]: number },
  wallTime: number = Date.now() / 1000,
): Uint8Array<ArrayBuffer> {
  const context = "Cannot write for TensorBoard";
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new RangeError(`${context}: step must be a whole number of at least 0, got ${describe(step)}`);
  }
  checkWallTime(wallTime);
  if (!isRecord(scalars)) throw new TypeError(`${context}: scalars must be a record, got ${describe(scalars)}`);
  const encoder = new TextEncoder();
  const summary = Object.entries(scalars).flatMap(([tag, value]) => {
    if (typeof value !== "number") {
      throw new TypeError(`${context}: "${tag}" must be a number, got ${describe(value)}`);
    }
    const fields = [...encodeBytes(KEYS.tag, encoder.encode(tag)), ...encodeFloat(KEYS.simpleValue, value, 4)];
    return encodeBytes(KEYS.value, fields);
  });
  return frame([
    ...encodeFloat(KEYS.wallTime, wallTime, 8),
    KEYS.step,
    ...encodeVarint(step),
    ...encodeBytes(KEYS.summary, summary),
  ]);
}
