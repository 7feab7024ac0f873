// The values of every operation, as the CPU engine prints it, against the same operation written on plain numbers.

import { assertEquals } from "@std/assert";
import * as ops from "../../src/trace/ops.ts";
import { openDevice } from "../../mod.ts";
import { EXTREME_VECTORS, EXTREMES } from "./extremes.ts";
import { assertClose, runNodes, solveBody, spread, traceBody } from "./helpers.ts";
import { count, numbers, value, type Vocabulary } from "./reference.ts";
import { type Call, CALLS, caseOf } from "./vocabulary.ts";

/** Straight code for few elements, loops for many. */
const SIZES = [1, 3, 10, 40];
const ROWS = 3;
const EPSILON = { f64: 2 ** -52, f32: 2 ** -23 };

Deno.test("ops: the table of calls has every operation", () => {
  assertEquals(Object.keys(CALLS).sort(), Object.keys(ops).sort());
});

/** Three rows of arguments; `round` is that of the device, so that the reference is given the same numbers. */
function rowsOf(call: Call, n: number, round: (x: number) => number): number[][] {
  const width = call.shapes(n).reduce((sum, shape) => sum + count(shape), 0);
  const [low, high] = call.range ?? [-2, 2];
  return Array.from({ length: ROWS }, (_, r) => spread(width, low, high, 10 * n + r).map(round));
}

for (const [name, calls] of Object.entries(CALLS)) {
  for (const dtype of ["f64", "f32"] as const) {
    Deno.test(`ops: ${name}() in ${dtype} equals its reference, hoisted and in the sweep`, async () => {
      await using device = await openDevice({ backend: "cpu", dtype });
      for (const call of calls) {
        for (const n of SIZES) {
          const { body, shapes, reference, label } = caseOf(call, n);
          const rows = rowsOf(call, n, dtype === "f32" ? Math.fround : Number);
          const expected = rows.map(reference);
          for (const from of ["x", "h"] as const) {
            const actual = await solveBody(body, shapes, rows, expected[0]!.length, device, from);
            for (const [r, row] of actual.entries()) {
              // Arithmetic is in f64 in both: f32 adds one rounding of the result.
              const relative = (call.ulps ?? 4) * EPSILON.f64 + (dtype === "f32" ? EPSILON.f32 / 2 : 0);
              const largest = Math.max(...rows[r]!.map(Math.abs)) ** 2;
              const absolute = (call.absolute ?? 0) + (call.sums ? relative * rows[r]!.length * largest : 0);
              assertClose(row, expected[r]!, { relative, absolute }, `${label} of ${from}, row ${r}`);
            }
          }
        }
      }
    });
  }
}

/** `body` of one vector, by printed code on the vector as it is (straight) and repeated (loops). */
function valuesAt(body: (o: Vocabulary, a: ops.Sym) => ops.Sym, at: readonly number[], repeat = 20): number[][] {
  return [1, repeat].map((times) => {
    const row = Array.from({ length: times }, () => at).flat();
    const { leaves, output } = traceBody((o, a) => body(o, a!), [[row.length]]);
    return runNodes([output], new Map([[leaves[0]!, row]]))[0]!;
  });
}

Deno.test("ops: extreme arguments give the limits, and NaN is not lost", () => {
  for (const [name, fn, at, expected] of EXTREMES) {
    for (const actual of valuesAt(fn, at)) {
      const wanted = Array.from(actual, (_, i) => expected[i % expected.length]!);
      assertClose(actual, wanted, { relative: 4 * EPSILON.f64 }, name);
    }
  }
});

Deno.test("ops: logSumExp, softmax and maximum stand extreme arguments", () => {
  for (const [name, fn, at, straight, loop] of EXTREME_VECTORS) {
    const [one, many] = valuesAt(fn, at);
    assertClose(one!, straight, { relative: 4 * EPSILON.f64 }, `${name} at ${at}`);
    assertClose(many!.slice(0, loop.length), loop, { relative: 20 * EPSILON.f64 }, `${name} at 20 times ${at}`);
  }
});

Deno.test("ops: a call is recorded, not computed: numbers alone make constants", () => {
  const { output } = traceBody((o) => o.concat(o.add(1, 2), o.sigmoid(0), o.where(0, 1, 2), o.sum(3), o.mean(4)), []);
  assertEquals(runNodes([output], new Map()), [[3, 0.5, 2, 3, 4]]);
  assertEquals(numbers(value([1, 2])), [1, 2]);
});
