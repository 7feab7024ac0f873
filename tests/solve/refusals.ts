import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Device, type DeviceError, openDevice } from "../../mod.ts";

type ErrorClass = typeof TypeError | typeof RangeError | typeof DeviceError;

/** A wrong call, the class of its error and a part of the message: what was expected and what came. */
export type Refusal = readonly [call: (device: Device) => unknown, type: ErrorClass, fragment: string];

/** What JavaScript lets through though TypeScript would not. */
export function wrong<T>(value: unknown): T {
  return value as T;
}

/** What `call` throws, or its promise is rejected with. */
export async function caught(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** A test of a table of wrong calls: the class, the fragment, and the house's wording of all messages. */
export function testRefusals(name: string, table: readonly Refusal[]): void {
  Deno.test(`${name} are refused with a clear message (${table.length} calls)`, async () => {
    await using device = await openDevice({ backend: "cpu", dtype: "f64" });
    for (const [call, type, fragment] of table) {
      const error = await caught(() => call(device));
      assert(error instanceof type, `expected a ${type.name} "${fragment}", got ${error}`);
      assertEquals(error.constructor, type, fragment);
      assert(error.message.includes(fragment), `expected "${fragment}", got "${error.message}"`);
      // The action first, no period at the end, no object that nobody described.
      assertMatch(error.message, /^Cannot [a-z]+[ :]/);
      assert(!error.message.endsWith(".") && !error.message.includes("[object"), error.message);
    }
  });
}
