// The values of every operation, as the CPU engine prints it, against the same operation written on plain numbers.

import { assertEquals } from "@std/assert";
import * as ops from "../../src/trace/ops.ts";
import { openDevice } from "../../mod.ts";
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

/** Function values to 16 digits, by a computer algebra system or exact. */
const EXTREMES: [name: string, fn: (o: Vocabulary, a: ops.Sym) => ops.Sym, at: number[], expected: number[]][] = [
  ["sigmoid", (o, a) => o.sigmoid(a), [-1000, -40, 0, 40, 1000], [0, 4.248354255291589e-18, 0.5, 1, 1]],
  ["logSigmoid", (o, a) => o.logSigmoid(a), [-1000, -40, 0, 1000], [-1000, -40, -0.6931471805599453, 0]],
  ["logSigmoid's tail", (o, a) => o.logSigmoid(a), [40], [-4.248354255291589e-18]],
  ["softplus", (o, a) => o.softplus(a), [-1000, -40, 0, 40, 1000], [
    0,
    4.248354255291589e-18,
    0.6931471805599453,
    40,
    1000,
  ]],
  ["tanh", (o, a) => o.tanh(a), [-1000, -1e-9, 0, 1e-9, 1000], [-1, -1e-9, 0, 1e-9, 1]],
  ["gelu", (o, a) => o.gelu(a), [-1000, 0, 1000], [0, 0, 1000]],
  ["exp", (o, a) => o.exp(a), [-1000, 0, 1000], [0, 1, Infinity]],
  ["log", (o, a) => o.log(a), [-1, 0, 1, Infinity], [NaN, -Infinity, 0, Infinity]],
  ["sqrt", (o, a) => o.sqrt(a), [-1, 0, 4, Infinity], [NaN, 0, 2, Infinity]],
  ["div", (o, a) => o.div(1, a), [-Infinity, 0, Infinity], [0, Infinity, 0]],
  ["pow", (o, a) => o.pow(a, 3), [-1000, 0, NaN], [-1e9, 0, NaN]],
  ["relu", (o, a) => o.relu(a), [-Infinity, NaN, -1, 0, 1, Infinity], [0, NaN, 0, 0, 1, Infinity]],
  ["abs", (o, a) => o.abs(a), [-Infinity, NaN, 0], [Infinity, NaN, 0]],
  ["sign", (o, a) => o.sign(a), [-Infinity, NaN, 0, 1e-300], [-1, NaN, 0, 1]],
  ["max", (o, a) => o.max(a, 0.5), [-Infinity, NaN, 0, 0.5, 1], [0.5, NaN, 0.5, 0.5, 1]],
  ["max, NaN last", (o, a) => o.max(0.5, a), [NaN, 1], [NaN, 1]],
  ["min", (o, a) => o.min(a, 0.5), [-Infinity, NaN, 0, 0.5, 1], [-Infinity, NaN, 0, 0.5, 0.5]],
  ["min, NaN last", (o, a) => o.min(0.5, a), [NaN, 1], [NaN, 0.5]],
  ["less", (o, a) => o.less(a, 0.5), [-Infinity, NaN, 0.5, 1], [1, 0, 0, 0]],
  ["greater", (o, a) => o.greater(a, 0.5), [-Infinity, NaN, 0.5, 1], [0, 0, 0, 1]],
  ["equal", (o, a) => o.equal(a, 0.5), [-Infinity, NaN, 0.5, 1], [0, 0, 1, 0]],
  // NaN is not 0: it chooses the first. What is not chosen does not show, even if it is NaN.
  ["where", (o, a) => o.where(a, 1, 2), [NaN, -0, 0, -1], [1, 2, 2, 1]],
  ["where, NaN not chosen", (o, a) => o.where(o.less(a, 0), 7, o.sqrt(a)), [-4, 4], [7, 2]],
];

Deno.test("ops: extreme arguments give the limits, and NaN is not lost", () => {
  for (const [name, fn, at, expected] of EXTREMES) {
    for (const actual of valuesAt(fn, at)) {
      const wanted = Array.from(actual, (_, i) => expected[i % expected.length]!);
      assertClose(actual, wanted, { relative: 4 * EPSILON.f64 }, name);
    }
  }
});

Deno.test("ops: logSumExp, softmax and maximum stand extreme arguments", () => {
  const check = (fn: (o: Vocabulary, a: ops.Sym) => ops.Sym, at: number[], straight: number[], loop: number[]) => {
    const [one, many] = valuesAt(fn, at);
    assertClose(one!, straight, { relative: 4 * EPSILON.f64 }, `${fn} at ${at}`);
    assertClose(many!.slice(0, loop.length), loop, { relative: 20 * EPSILON.f64 }, `${fn} at 20 times ${at}`);
  };
  const top = 1000 + Math.log(20);
  check((o, a) => o.logSumExp(a), [1000, 0, -1000], [1000], [top]);
  check((o, a) => o.logSumExp(a), [-1000, -1000], [-1000 + Math.LN2], [-1000 + Math.log(40)]);
  check((o, a) => o.softmax(a), [1000, 0, -1000], [1, 0, 0], [0.05, 0, 0]);
  check((o, a) => o.softmax(a), [-1000, -1000], [0.5, 0.5], [0.025, 0.025]);
  check((o, a) => o.maximum(a), [-Infinity, -5, -7], [-5], [-5]);
  check((o, a) => o.maximum(a), [-1, NaN, 2], [NaN], [NaN]);
  check((o, a) => o.softmax(a), [1, NaN], [NaN, NaN], [NaN, NaN]);
  check((o, a) => o.logSumExp(a), [1, NaN], [NaN], [NaN]);
  // What is masked with -Infinity has no weight.
  check((o, a) => o.softmax(a), [0, -Infinity], [1, 0], [0.05, 0]);
  check((o, a) => o.logSumExp(a), [2, -Infinity], [2], [2 + Math.log(20)]);
});

Deno.test("ops: a call is recorded, not computed: numbers alone make constants", () => {
  const { output } = traceBody((o) => o.concat(o.add(1, 2), o.sigmoid(0), o.where(0, 1, 2), o.sum(3), o.mean(4)), []);
  assertEquals(runNodes([output], new Map()), [[3, 0.5, 2, 3, 4]]);
  assertEquals(numbers(value([1, 2])), [1, 2]);
});
