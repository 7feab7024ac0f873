// The values of every operation, as printed to WGSL in both dialects and computed by a WebGPU device, against the same
// operation written on plain numbers.

import { assert } from "@std/assert";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { EXTREME_VECTORS, EXTREMES } from "./extremes.ts";
import { evaluateOnGpu, FORMS, type GpuBody } from "./gpu.ts";
import { assertClose, spread } from "./helpers.ts";
import { count, type Vocabulary } from "./reference.ts";
import { type Call, CALLS, caseOf } from "./vocabulary.ts";

/** Straight code for few elements, loops for many; tiles of four rows, the last one not full. */
const SIZES = [3, 9];
const ROWS = 6;
/** The largest relative rounding of one operation. */
const HALF_ULP = 2 ** -24;

/**
 * Errors allowed of each function, in half units in the last place. Those of WGSL's own: exp 3 + 2 |x| ulp, log 3 ulp or
 * 2⁻²¹, sqrt and division 2.5 ulp, pow as exp2(b log2(a)); here |x| ≤ 2.3. The others are made of those.
 */
const ALLOWED: Partial<Record<keyof Vocabulary, number>> = {
  exp: 15,
  log: 16,
  sqrt: 8,
  div: 16,
  tanh: 12,
  sigmoid: 16,
  logSigmoid: 24,
  softplus: 24,
  gelu: 100,
  pow: 64,
  logSumExp: 32,
  softmax: 40,
  concat: 8,
  grad: 100,
  linearSolve: 100,
  logDet: 100,
};

/** What constants that are no short binary fractions, and cancellation between numbers of size 2 or 3, may cost. */
const ALWAYS = 8 * HALF_ULP;

function rowOf(call: Call, n: number, r: number): number[] {
  const [low, high] = call.range ?? [-2, 2];
  const width = call.shapes(n).reduce((sum, shape) => sum + count(shape), 0);
  return spread(width, low, high, 10 * n + r).map(Math.fround);
}

for (const form of FORMS) {
  testOnGpu(`every operation equals its reference (${form})`, async () => {
    const machine = await openTestMachine();
    for (const [name, calls] of Object.entries(CALLS)) {
      // How scalars meet arrays is the same for all: the operation that is the first shows it.
      const some = calls.filter(({ label }) => name === "add" || !/matrices|one element/.test(label));
      // Compilers take long over much code of one invocation, and over many kernels of a workgroup.
      const groups = form === "lane" ? some.map((call) => [call]) : [some];
      for (const group of groups) {
        const cases = group.flatMap((call) => SIZES.map((n) => ({ call, n, ...caseOf(call, n) })));
        const rows = Array.from({ length: ROWS }, (_, r) => cases.map(({ call, n }) => rowOf(call, n, r)));
        const results = await evaluateOnGpu(machine, form, cases, rows.map((row) => row.flat()));
        for (const [r, row] of results.entries()) {
          for (const [k, { call, label, reference }] of cases.entries()) {
            const given = rows[r]![k]!;
            const relative = (ALLOWED[name as keyof Vocabulary] ?? 4) * HALF_ULP;
            const largest = Math.max(1, ...given.map(Math.abs)) ** 2;
            const absolute = (call.absolute ?? 0) + (call.sums ? relative * given.length * largest : 0) + ALWAYS;
            assertClose(row[k]!, reference(given), { relative, absolute }, `${label}, row ${r}`);
          }
        }
      }
    }
    await machine.dispose();
  });

  testOnGpu(`extreme arguments give the limits, and NaN is not lost (${form})`, async () => {
    const machine = await openTestMachine();
    // One row for each argument: short rows are filled up with the first.
    const length = Math.max(...EXTREMES.map(([, , at]) => at.length));
    const size = form === "lane" ? 4 : EXTREMES.length;
    const parts = EXTREMES.flatMap((_, k) => k % size === 0 ? [EXTREMES.slice(k, k + size)] : []);
    for (const [n, part] of [1, 9].flatMap((n) => parts.map((part) => [n, part] as const))) {
      const bodies = part.map(([, fn]): GpuBody => ({ body: (o, a) => fn(o, a!), shapes: [[n]] }));
      const rows = Array.from(
        { length },
        (_, r) => part.flatMap(([, , at]) => new Array<number>(n).fill(at[r] ?? at[0]!)),
      );
      const results = await evaluateOnGpu(machine, form, bodies, rows);
      for (const [k, [name, , at, expected]] of part.entries()) {
        for (const [r, x] of at.entries()) {
          const wanted = new Array<number>(results[r]![k]!.length).fill(expected[r]!);
          // Of 1 / (1 + e^1000) nothing is left in f64; here e^87 is the largest.
          const tolerance = { relative: 64 * HALF_ULP, absolute: 2e-38 };
          assertClose(results[r]![k]!, wanted, tolerance, `${name} at ${x}, ${n} elements`);
        }
      }
    }
    for (const [name, fn, at, once, repeated] of EXTREME_VECTORS) {
      const many = Array.from({ length: 20 }, () => at).flat();
      const bodies = [at, many].map(({ length }): GpuBody => ({ body: (o, a) => fn(o, a!), shapes: [[length]] }));
      const [[one, twenty]] = await evaluateOnGpu(machine, form, bodies, [[...at, ...many]]) as [number[][]];
      const tolerance = { relative: 32 * HALF_ULP, absolute: 1e-38 };
      assertClose(one!, once, tolerance, `${name} at ${at}`);
      assertClose(twenty!.slice(0, repeated.length), repeated, tolerance, `${name} at 20 times ${at}`);
    }
    await machine.dispose();
  });
}

/** Evaluates a function of numbers, element by element. */
async function valuesAt(fn: GpuBody["body"], rows: readonly (readonly number[])[]): Promise<number[]> {
  const machine = await openTestMachine();
  const shapes = rows[0]!.map(() => []);
  const results = await evaluateOnGpu(machine, "lane", [{ body: fn, shapes }], rows);
  await machine.dispose();
  return results.map(([result]) => result![0]!);
}

testOnGpu("sin and cos of large arguments", async () => {
  const sizes = [1, 1e1, 1e2, 1e3, 1e4, 2e4, 1e5, 1e6, 1e7, 1e8, 1e10, 1e15, 1e20, 1e30, 2.5e38];
  const at = sizes.flatMap((x) => [x, 1.2345 * x, -1.111 * x]).map(Math.fround);
  for (const name of ["sin", "cos"] as const) {
    const values = await valuesAt((o, a) => o[name](a!), at.map((x) => [x]));
    // Reduction by parts of π / 2 costs a few roundings below 2^14; above it loses nothing.
    for (const [i, x] of at.entries()) {
      assertClose([values[i]!], [Math[name](x)], { absolute: 6 * HALF_ULP }, `${name} at ${x}`);
    }
  }
});

testOnGpu("pow: every sign of base and exponent, zeros, infinities, NaN", async () => {
  const bases = [-Infinity, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 10, Infinity, NaN];
  const exponents = [-Infinity, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 4, 20, 21, 2.5, Infinity, NaN];
  const rows = bases.flatMap((a) => exponents.map((b) => [a, b]));
  const values = await valuesAt((o, a, b) => o.pow(a!, b!), rows);
  for (const [i, [a, b]] of rows.entries()) {
    // WGSL says nothing of what is infinite.
    if (a === -Infinity && b !== Math.round(b!)) continue;
    if (Math.abs(a!) === 1 && Math.abs(b!) === Infinity) continue;
    const wanted = Math.fround(Math.pow(a!, b!));
    // An error of log2 grows with the exponent.
    const relative = (8 + 8 * Math.abs(b! * Math.log2(Math.abs(a!)))) * HALF_ULP;
    assertClose([values[i]!], [wanted], { relative: Number.isFinite(relative) ? relative : 0 }, `pow(${a}, ${b})`);
  }
});

testOnGpu("division by zero and by infinity, and sums of infinities, are those of IEEE 754", async () => {
  const pairs = [[1, 0], [-1, 0], [0, 0], [1, Infinity], [Infinity, Infinity], [-Infinity, 2], [NaN, 1], [3e38, 0.1]];
  for (const op of ["div", "add", "sub", "mul"] as const) {
    const values = await valuesAt((o, a, b) => o[op](a!, b!), pairs);
    for (const [i, [a, b]] of pairs.entries()) {
      const [x, y] = [Math.fround(a!), Math.fround(b!)];
      const wanted = Math.fround({ div: x / y, add: x + y, sub: x - y, mul: x * y }[op]);
      assert(Object.is(values[i], wanted) || values[i] === wanted, `${op} of ${a}, ${b}: ${values[i]}, not ${wanted}`);
    }
  }
});
