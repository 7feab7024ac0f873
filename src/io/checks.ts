import { kindOf } from "../core/describe.ts";

/** A value from a file, for error messages: as JSON, cut where it is long; by its kind where its depth is unknown. */
export function show(value: unknown): string {
  const isDeep = (part: unknown): boolean => typeof part === "object" && part !== null;
  const nested = Array.isArray(value) ? value.some(isDeep) : isDeep(value);
  const text = nested ? kindOf(value) : JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** Throws a TypeError unless `bytes` is a Uint8Array. */
export function checkBytes(context: string, bytes: unknown): asserts bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`${context}: expected the bytes of a file as a Uint8Array, got ${kindOf(bytes)}`);
  }
}
