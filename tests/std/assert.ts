/**
 * A stand-in for the part of `@std/assert` that the tests use, for machines that cannot fetch it (see run.ts).
 * Same names, same verdicts and nearly the same messages; std_test.ts holds it against the original where there is one.
 */

type Constructor<T> = abstract new (...args: never[]) => T;

/** Thrown by every assertion that does not hold. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Fails unless `value` is truthy. */
export function assert(value: unknown, message = ""): asserts value {
  if (!value) throw new AssertionError(message);
}

/** Fails always. */
export function fail(message?: string): never {
  throw new AssertionError(`Failed assertion${suffix(message)}`);
}

/** Fails unless both are deeply equal: `NaN` equals `NaN`, `0` equals `-0`, constructors must agree. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  if (isEqual(actual, expected)) return;
  throw new AssertionError(`Values are not equal${suffix(message)}\n${difference(actual, expected)}`);
}

/** Fails if both are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  if (!isEqual(actual, expected)) return;
  throw new AssertionError(
    `Expected actual: ${format(actual)} not to be: ${format(expected)}${suffix(message)}`,
  );
}

/** Fails unless `Object.is(actual, expected)`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  if (Object.is(actual, expected)) return;
  if (format(actual) === format(expected)) {
    const shown = format(actual).replace(/^/gm, "    ");
    throw new AssertionError(
      `Values have the same structure but are not reference-equal${suffix(message)}\n\n${shown}\n`,
    );
  }
  throw new AssertionError(`Values are not strictly equal${suffix(message)}\n${difference(actual, expected)}`);
}

/** Fails unless `|actual - expected| <= tolerance`; the default tolerance is `1e-7 |expected|`. */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, message?: string): void {
  if (Object.is(actual, expected)) return;
  const delta = Math.abs(expected - actual);
  const limit = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (delta <= limit) return;
  const shown = (n: number): string => Number.isInteger(n) ? `${n}` : n.toExponential();
  throw new AssertionError(
    `Expected actual: "${shown(actual)}" to be close to "${shown(expected)}": ` +
      `delta "${shown(delta)}" is greater than "${shown(limit)}"${suffix(message)}`,
  );
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  if (actual > expected) return;
  throw new AssertionError(message ?? `Expect ${format(actual)} > ${format(expected)}`);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  if (actual < expected) return;
  throw new AssertionError(message ?? `Expect ${format(actual)} < ${format(expected)}`);
}

/** Fails unless `expected` is a part of `actual`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(`Expected actual: "${actual}" to contain: "${expected}"${suffix(message)}`);
}

/** Fails unless `expected` matches `actual`. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError(`Expected actual: "${actual}" to match: "${expected}"${suffix(message)}`);
}

/** Fails for `null` and `undefined`. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(`Expected actual: "${actual}" to not be null or undefined${suffix(message)}`);
}

/** Fails unless `actual instanceof expected`. */
export function assertInstanceOf<T>(
  actual: unknown,
  expected: Constructor<T>,
  message?: string,
): asserts actual is T {
  if (actual instanceof expected) return;
  const found = typeof actual === "object" && actual !== null
    ? actual.constructor?.name ?? "Object"
    : actual === null
    ? "null"
    : typeof actual;
  throw new AssertionError(
    `Expected object to be an instance of "${expected.name}" but was "${found}"${suffix(message)}`,
  );
}

/** Fails unless `fn` throws, and what it throws fits the class and the part of the message. Answers the error. */
export function assertThrows(fn: () => unknown, message?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  expected: Constructor<E>,
  includes?: string,
  message?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  ...[expected, includes, message]: [(string | Constructor<Error>)?, string?, string?]
): unknown {
  const [type, note] = typeof expected === "string" ? [undefined, expected] : [expected, message];
  try {
    fn();
  } catch (error) {
    if (type) checkError(error, type, includes, "thrown", note);
    return error;
  }
  throw new AssertionError(`Expected function to throw${suffix(note)}`);
}

/** Fails unless the promise that `fn` answers rejects, and fits as in {@linkcode assertThrows}. Answers the error. */
export function assertRejects(fn: () => PromiseLike<unknown>, message?: string): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  expected: Constructor<E>,
  includes?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  ...[expected, includes, message]: [(string | Constructor<Error>)?, string?, string?]
): Promise<unknown> {
  const [type, note] = typeof expected === "string" ? [undefined, expected] : [expected, message];
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch { /* reported below, like an answer that is no promise */ }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(`Function throws when expected to reject${suffix(note)}`);
  }
  try {
    await promise;
  } catch (error) {
    if (type) checkError(error, type, includes, "rejected", note);
    return error;
  }
  throw new AssertionError(`Expected function to reject${suffix(note)}`);
}

function checkError(
  error: unknown,
  type: Constructor<Error>,
  includes: string | undefined,
  verb: "thrown" | "rejected",
  note: string | undefined,
): void {
  if (!(error instanceof Error)) throw new AssertionError(`A non-Error object was ${verb}${suffix(note)}`);
  const found = error.constructor?.name;
  if (!(error instanceof type)) {
    throw new AssertionError(`Expected error to be instance of "${type.name}", but was "${found}"${suffix(note)}`);
  }
  if (includes && !error.message.includes(includes)) {
    const [wanted, got] = [JSON.stringify(includes), JSON.stringify(error.message)];
    throw new AssertionError(`Expected error message to include ${wanted}, but got ${got}${suffix(note)}`);
  }
}

/** Deep equality. `pairs` holds the pairs under comparison, so that cycles end. */
function isEqual(a: unknown, b: unknown, pairs: Map<object, unknown> = new Map()): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if ((a.constructor ?? Object) !== (b.constructor ?? Object)) return false;
  if (a instanceof Date) return Object.is(a.getTime(), (b as Date).getTime());
  if (a instanceof RegExp || a instanceof URL) return String(a) === String(b);
  if (pairs.get(a) === b) return true;
  pairs.set(a, b);
  if (a instanceof Set || a instanceof Map) return isEqualCollection(a, b as typeof a, pairs);
  if (isTypedArray(a)) {
    const other = b as typeof a;
    return a.length === other.length && a.every((value, i) => value === other[i] || Object.is(value, other[i]));
  }
  const keys = ownKeys(a);
  return keys.length === ownKeys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(Reflect.get(a, key), Reflect.get(b, key), pairs));
}

/** Order does not matter; keys and members are compared deeply. */
function isEqualCollection(
  a: Set<unknown> | Map<unknown, unknown>,
  b: Set<unknown> | Map<unknown, unknown>,
  pairs: Map<object, unknown>,
): boolean {
  if (a.size !== b.size) return false;
  const rest = [...b.entries()];
  for (const entry of a.entries()) {
    const index = rest.findIndex((other) => isEqual(entry, other, new Map(pairs)));
    if (index < 0) return false;
    rest.splice(index, 1);
  }
  return true;
}

/** Any kind: the type names one of them, because the signatures of `every` differ only in the kind. */
function isTypedArray(value: object): value is Float64Array {
  return ArrayBuffer.isView(value) && "length" in value;
}

function ownKeys(value: object): PropertyKey[] {
  return Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

function suffix(message: string | undefined): string {
  return message ? `: ${message}` : ".";
}

function format(value: unknown): string {
  return Deno.inspect(value, {
    depth: Infinity,
    sorted: true,
    trailingComma: true,
    compact: false,
    iterableLimit: Infinity,
    strAbbreviateSize: Infinity,
  });
}

/** The lines from the first to the last that differ, marked `-` for actual and `+` for expected. */
function difference(actual: unknown, expected: unknown): string {
  const [left, right] = [format(actual).split("\n"), format(expected).split("\n")];
  const shorter = Math.min(left.length, right.length);
  let head = 0;
  while (head < shorter && left[head] === right[head]) head++;
  let tail = 0;
  while (tail < shorter - head && left.at(-1 - tail) === right.at(-1 - tail)) tail++;
  const shown = (lines: string[], mark: string): string[] => {
    const part = lines.slice(head, lines.length - tail).map((line) => `${mark}   ${line}`);
    return part.length > 40 ? [...part.slice(0, 40), `${mark}   ... ${part.length - 40} more lines`] : part;
  };
  const same = head > 0 ? [`    ... ${head} equal lines`] : [];
  return ["", "    [Diff] Actual / Expected", "", ...same, ...shown(left, "-"), ...shown(right, "+"), ""].join("\n");
}
