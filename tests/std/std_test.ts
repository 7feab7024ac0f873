// The stand-ins against what @std promises: the verdicts below are those of the original, which is asked as well.
// On a machine that cannot fetch @std, "original" is the stand-in itself and only the written verdicts count.

import * as original from "@std/assert";
import * as originalPath from "@std/path";
import * as standIn from "./assert.ts";
import * as standInPath from "./path.ts";
import { isPassed } from "./report.ts";

const MODULES: [name: string, module: typeof original][] = [
  ["stand-in", standIn as unknown as typeof original],
  ["original", original],
];

function cycle(value: number): unknown {
  const node: { value: number; self?: unknown } = { value };
  node.self = node;
  return node;
}

class Point {
  constructor(readonly x: number) {}
}

const EQUAL: [label: string, a: unknown, b: unknown, equal: boolean][] = [
  ["numbers", 1, 1, true],
  ["different numbers", 1, 1 + Number.EPSILON, false],
  ["NaN", NaN, NaN, true],
  ["zeros of both signs", 0, -0, true],
  ["number and string", 1, "1", false],
  ["null and undefined", null, undefined, false],
  ["nested", { a: [1, { b: NaN }] }, { a: [1, { b: NaN }] }, true],
  ["order of keys", { a: 1, b: 2 }, { b: 2, a: 1 }, true],
  ["a key too many", { a: 1 }, { a: 1, b: undefined }, false],
  ["another key", { a: undefined }, { b: undefined }, false],
  ["no prototype", Object.create(null), {}, true],
  ["another class", new Point(1), { x: 1 }, false],
  ["same class", new Point(1), new Point(1), true],
  ["symbol keys", { [Symbol.iterator]: 1 }, { [Symbol.iterator]: 2 }, false],
  ["arrays", [1, 2, 3], [1, 2, 4], false],
  ["array lengths", [1, 2], [1, 2, 3], false],
  ["typed arrays", Float32Array.of(1, NaN, -0), Float32Array.of(1, NaN, 0), true],
  ["typed array values", Float64Array.of(1, 2), Float64Array.of(1, 3), false],
  ["typed array lengths", Float64Array.of(1, 2), Float64Array.of(1, 2, 0), false],
  ["typed array kinds", Float32Array.of(1), Float64Array.of(1), false],
  ["typed array and array", Float32Array.of(1), [1], false],
  ["dates", new Date(5), new Date(5), true],
  ["different dates", new Date(5), new Date(6), false],
  ["invalid dates", new Date(NaN), new Date(NaN), true],
  ["regular expressions", /a/g, /a/i, false],
  ["addresses", new URL("file:///a"), new URL("file:///a"), true],
  ["sets", new Set([1, 2]), new Set([2, 1]), true],
  ["sets of objects", new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 1 }]), true],
  ["different sets", new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 2 }, { a: 3 }]), false],
  ["maps", new Map([["a", [1]], ["b", [2]]]), new Map([["b", [2]], ["a", [1]]]), true],
  ["different maps", new Map([["a", [1]]]), new Map([["a", [2]]]), false],
  ["cycles", cycle(1), cycle(1), true],
  ["different cycles", cycle(1), cycle(2), false],
];

/** A name, the assertion in terms of either module, and whether it holds. */
const ASSERTIONS: [label: string, run: (module: typeof original) => unknown, holds: boolean][] = [
  ["assert", (m) => m.assert(1), true],
  ["assert of nothing", (m) => m.assert(0), false],
  ["fail", (m) => m.fail("why"), false],
  ["assertStrictEquals", (m) => m.assertStrictEquals(0, 0), true],
  ["assertStrictEquals of zeros", (m) => m.assertStrictEquals(0, -0), false],
  ["assertStrictEquals of twins", (m) => m.assertStrictEquals([1], [1]), false],
  ["assertAlmostEquals", (m) => m.assertAlmostEquals(1 + 1e-8, 1), true],
  ["assertAlmostEquals beyond", (m) => m.assertAlmostEquals(1 + 1e-6, 1), false],
  ["assertAlmostEquals at the tolerance", (m) => m.assertAlmostEquals(1.5, 1, 0.5), true],
  ["assertAlmostEquals of NaN", (m) => m.assertAlmostEquals(NaN, NaN), true],
  ["assertAlmostEquals of NaN and 1", (m) => m.assertAlmostEquals(NaN, 1, 1), false],
  ["assertAlmostEquals of infinities", (m) => m.assertAlmostEquals(Infinity, -Infinity), false],
  ["assertGreater", (m) => m.assertGreater(2, 1), true],
  ["assertGreater of equals", (m) => m.assertGreater(1, 1), false],
  ["assertGreater of NaN", (m) => m.assertGreater(NaN, 1), false],
  ["assertLess", (m) => m.assertLess(1, 2), true],
  ["assertLess of equals", (m) => m.assertLess(1, 1), false],
  ["assertStringIncludes", (m) => m.assertStringIncludes("hello", "ell"), true],
  ["assertStringIncludes of another", (m) => m.assertStringIncludes("hello", "elk"), false],
  ["assertMatch", (m) => m.assertMatch("hello", /l+/), true],
  ["assertMatch of another", (m) => m.assertMatch("hello", /x/), false],
  ["assertExists", (m) => m.assertExists(0), true],
  ["assertExists of null", (m) => m.assertExists(null), false],
  ["assertInstanceOf", (m) => m.assertInstanceOf(new RangeError("a"), Error), true],
  ["assertInstanceOf of another", (m) => m.assertInstanceOf(new Error("a"), RangeError), false],
  ["assertInstanceOf of null", (m) => m.assertInstanceOf(null, Error), false],
  ["assertThrows", (m) => m.assertThrows(raise(new RangeError("a b")), RangeError, "a b"), true],
  ["assertThrows of a subclass", (m) => m.assertThrows(raise(new RangeError("a b")), Error), true],
  ["assertThrows of another class", (m) => m.assertThrows(raise(new Error("a b")), RangeError), false],
  ["assertThrows of another message", (m) => m.assertThrows(raise(new Error("a b")), Error, "c"), false],
  ["assertThrows of a string", (m) => m.assertThrows(raise("a")), true],
  ["assertThrows of a string, as an Error", (m) => m.assertThrows(raise("a"), Error), false],
  ["assertThrows of nothing", (m) => m.assertThrows(() => 1), false],
  ["assertRejects", (m) => m.assertRejects(() => Promise.reject(new Error("a b")), Error, "b"), true],
  ["assertRejects of another class", (m) => m.assertRejects(() => Promise.reject(new Error("a")), TypeError), false],
  ["assertRejects of another message", (m) => m.assertRejects(() => Promise.reject(new Error("a")), Error, "b"), false],
  ["assertRejects of success", (m) => m.assertRejects(() => Promise.resolve(1)), false],
  ["assertRejects of a throw", (m) => m.assertRejects(raise(new Error("a")), Error), false],
];

function raise(value: unknown): () => never {
  return () => {
    throw value;
  };
}

/** Whether `fn` passes; anything but an AssertionError is a fault of its own. */
async function holds(fn: () => unknown): Promise<boolean> {
  try {
    await fn();
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === "AssertionError") return false;
    throw error;
  }
}

function expect(label: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${label}: expected ${expected}, got ${found}`);
}

Deno.test("std stand-in: assertEquals and assertNotEquals give the verdicts of the original", async () => {
  for (const [label, a, b, equal] of EQUAL) {
    for (const [name, module] of MODULES) {
      expect(`${name}, ${label}`, await holds(() => module.assertEquals(a, b)), equal);
      expect(`${name}, ${label}, swapped`, await holds(() => module.assertEquals(b, a)), equal);
      expect(`${name}, not ${label}`, await holds(() => module.assertNotEquals(a, b)), !equal);
    }
  }
});

Deno.test("std stand-in: the other assertions give the verdicts of the original", async () => {
  for (const [label, run, expected] of ASSERTIONS) {
    for (const [name, module] of MODULES) expect(`${name}, ${label}`, await holds(() => run(module)), expected);
  }
});

Deno.test("std stand-in: assertThrows and assertRejects answer the error", async () => {
  const error = new RangeError("a");
  expect("assertThrows", standIn.assertThrows(raise(error), RangeError), error);
  expect("assertRejects", await standIn.assertRejects(() => Promise.reject(error), RangeError), error);
});

Deno.test("std stand-in: a failed assertEquals shows the lines that differ", () => {
  const error = standIn.assertThrows(() => standIn.assertEquals([1, 2, 3], [1, 5, 3], "why"), standIn.AssertionError);
  for (const part of ["Values are not equal: why", "-     2,", "+     5,"]) {
    standIn.assertStringIncludes(error.message, part);
  }
});

Deno.test("std stand-in: paths are those of the original", () => {
  const url = "file:///a/b%20c/d.test.ts";
  for (const module of [standInPath as unknown as typeof originalPath, originalPath]) {
    const path = module.fromFileUrl(url);
    expect("round trip", module.toFileUrl(path).href, url);
    expect("basename", module.basename(path), "d.test.ts");
    expect("basename with a suffix", module.basename(new URL(url), ".ts"), "d.test");
    expect("extname", module.extname(path), ".ts");
    expect("dirname and join", module.join(module.dirname(path), "..", "x", "."), module.resolve(path, "../../x"));
    expect("relative", module.relative(module.dirname(path), path), "d.test.ts");
  }
});

Deno.test("isPassed() takes whole reports of tests that passed, and nothing else", () => {
  const report = (tests: number, failures: number, errors: number): string =>
    `<?xml version="1.0"?>\n<testsuites name="deno test" tests="${tests}" failures="${failures}" errors="${errors}" time="1">\n</testsuites>\n`;
  original.assertEquals(isPassed(report(3, 0, 0)), true);
  const refused = [report(0, 0, 0), report(3, 1, 0), report(3, 0, 1), "", report(3, 0, 0).slice(0, -10)];
  original.assertEquals(refused.map(isPassed), refused.map(() => false));
});
