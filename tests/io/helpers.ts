import { assert, assertEquals } from "@std/assert";
import type { HostTensor } from "../../src/io/mod.ts";

/** A tensor as tests/golden/make_io.py describes it. */
export interface Expectation {
  array: string;
  shape: number[];
  values: (number | string)[];
}

/** Fails unless `actual` has the array type, the shape and, bit for bit but for NaN payloads, the values expected. */
export function assertTensor(
  actual: HostTensor | undefined,
  { array, shape, values }: Expectation,
  name: string,
): void {
  assert(actual !== undefined, `${name} is missing`);
  assertEquals(actual.data.constructor.name, array, name);
  assertEquals(actual.shape, shape, name);
  assertEquals(actual.data.length, values.length, name);
  values.forEach((value, i) => {
    assert(Object.is(actual.data[i], Number(value)), `${name}: element ${i} is ${actual.data[i]}, expected ${value}`);
  });
}

/** The bytes in a base64 string. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** The bytes of `parts` one after the other; strings as Latin-1. */
export function concatBytes(...parts: (string | ArrayLike<number>)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "string" ? Array.from(part, (char) => char.charCodeAt(0)) : Array.from(part)
    ),
  );
}

/**
 * Reads every prefix of `file`, and `file` with every byte changed in several ways: whatever is not read must be
 * refused with a SyntaxError, never with another error or a tensor whose shape does not fit its data.
 */
export function assertSurvivesDamage(file: Uint8Array, read: (bytes: Uint8Array) => HostTensor[]): void {
  const check = (bytes: Uint8Array, what: string): void => {
    try {
      for (const { data, shape } of read(bytes)) {
        assertEquals(data.length, shape.reduce((product, axis) => product * axis, 1), what);
      }
    } catch (error) {
      assert(error instanceof SyntaxError, `${what}: ${error}`);
      assert(error.message.startsWith("Cannot read ") && !error.message.endsWith("."), error.message);
    }
  };
  for (let length = 0; length < file.length; length++) check(file.slice(0, length), `cut to ${length} bytes`);
  for (let at = 0; at < file.length; at++) {
    for (const change of [0x01, 0x02, 0x10, 0x80, 0xff]) {
      const bytes = file.slice();
      bytes[at]! ^= change;
      check(bytes, `byte ${at} xor ${change}`);
    }
  }
}
