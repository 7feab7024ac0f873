import { assert, assertEquals, assertThrows } from "@std/assert";
import { DeviceError, TraceError } from "../../mod.ts";
import { checkCount, formatShape, sameShape, sizeOf } from "../../src/core/shape.ts";
import { flattenTree, mapTree } from "../../src/core/tree.ts";
import type { Tree } from "../../src/core/types.ts";

Deno.test("sizeOf() is the product of the axes", () => {
  assertEquals([[], [0], [3], [2, 3], [4, 0, 2], [2, 3, 4]].map(sizeOf), [1, 0, 3, 6, 0, 24]);
});

Deno.test("sameShape() compares axis by axis", () => {
  assert(sameShape([], []) && sameShape([2, 3], [2, 3]));
  assert(!sameShape([], [1]) && !sameShape([2, 3], [3, 2]) && !sameShape([2], [2, 1]) && !sameShape([2, 1], [2]));
});

Deno.test("formatShape() writes shapes as NumPy does", () => {
  assertEquals([[], [4], [8, 1000, 3]].map(formatShape), ["()", "(4,)", "(8, 1000, 3)"]);
});

Deno.test("checkCount() takes whole numbers from the least on", () => {
  for (const value of [0, 1, 7, Number.MAX_SAFE_INTEGER]) checkCount("Cannot test", "n", value, 0);
  for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53, "3", null, undefined, 3n]) {
    const message = `Cannot test: n must be a whole number of at least 0, got ${String(value)}`;
    assertThrows(() => checkCount("Cannot test", "n", value, 0), RangeError, message);
  }
  assertThrows(() => checkCount("Cannot test", "n", 1, 2), RangeError, "of at least 2, got 1");
});

const isNumber = (value: unknown): value is number => typeof value === "number";
const tree: Tree<number> = { b: 2, a: { z: 26, y: { x: 24 } }, c: {} };

Deno.test("flattenTree() lists leaves by sorted paths, whatever the order of insertion", () => {
  const expected: [string, number][] = [["a.y.x", 24], ["a.z", 26], ["b", 2]];
  assertEquals(flattenTree(tree, isNumber), expected);
  assertEquals(flattenTree({ c: {}, a: { y: { x: 24 }, z: 26 }, b: 2 }, isNumber), expected);
  assertEquals(flattenTree({}, isNumber), []);
});

Deno.test("mapTree() keeps the tree, and visits leaves in the order of flattenTree()", () => {
  const paths: string[] = [];
  const doubled = mapTree(tree, isNumber, (leaf, path) => {
    paths.push(path);
    return `${2 * leaf}`;
  });
  assertEquals(doubled, { a: { y: { x: "48" }, z: "52" }, b: "4", c: {} });
  assertEquals(paths, flattenTree(tree, isNumber).map(([path]) => path));
  assertEquals(tree, { b: 2, a: { z: 26, y: { x: 24 } }, c: {} });
});

Deno.test("what is neither a leaf nor a record is refused with its path", () => {
  for (const value of [null, undefined, true, "text", 3n]) {
    const wrong = { a: { b: value } } as unknown as Tree<number>;
    const message = `Cannot read the tree: "a.b" must be a leaf, such as { data, shape }, or a record, got ${
      value === "text" ? '"text"' : String(value)
    }`;
    assertThrows(() => flattenTree(wrong, isNumber), TypeError, message);
    assertThrows(() => mapTree(wrong, isNumber, (leaf) => leaf), TypeError, message);
  }
});

Deno.test("errors have names of their own, and keep their causes", () => {
  const cause = new Error("deeper");
  for (const [type, name] of [[DeviceError, "DeviceError"], [TraceError, "TraceError"]] as const) {
    const error = new type("Cannot test", { cause });
    assert(error instanceof Error);
    assertEquals([error.name, error.message, error.cause], [name, "Cannot test", cause]);
  }
});
