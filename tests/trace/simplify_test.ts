// Simplification: which expressions become the same node, and that no rule changes a value, on random expressions.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createRandom } from "../../src/core/random.ts";
import { concat, pad, slice } from "../../src/trace/build.ts";
import { jvp, vjp } from "../../src/trace/differentiate.ts";
import { type Node, Trace } from "../../src/trace/graph.ts";
import type { Sym } from "../../src/trace/ops.ts";
import { Generator, LEAVES } from "./expressions.ts";
import { assertClose, type Body, runNodes, traceBody, uniform } from "./helpers.ts";
import { count, numbers, REFERENCE, value, type Vocabulary } from "./reference.ts";

type Pair = (o: Vocabulary, a: Sym, b: Sym, s: Sym) => readonly [Sym, Sym];

/** Vectors a and b of 6, scalar s. */
const EQUAL: readonly [name: string, pair: Pair][] = [
  ["the same twice", (o, a, b) => [o.add(a, b), o.add(a, b)]],
  ["+ 0", (o, a) => [o.add(a, 0), a]],
  ["0 +", (o, a) => [o.add(0, a), a]],
  ["- 0", (o, a) => [o.sub(a, 0), a]],
  ["· 1", (o, a) => [o.mul(a, 1), a]],
  ["· -1", (o, a) => [o.mul(-1, a), o.neg(a)]],
  ["/ 1", (o, a) => [o.div(a, 1), a]],
  ["a + (-b)", (o, a, b) => [o.add(a, o.neg(b)), o.sub(a, b)]],
  ["(-b) + a", (o, a, b) => [o.add(o.neg(b), a), o.sub(a, b)]],
  ["a - (-b)", (o, a, b) => [o.sub(a, o.neg(b)), o.add(a, b)]],
  ["-(-a)", (o, a) => [o.neg(o.neg(a)), a]],
  ["a²", (o, a) => [o.pow(a, 2), o.square(a)]],
  ["√a", (o, a) => [o.pow(a, 0.5), o.sqrt(a)]],
  ["1 / a", (o, a) => [o.pow(a, -1), o.div(1, a)]],
  ["a known condition", (o, a, b) => [o.where(0, a, b), b]],
  ["equal branches", (o, a, b) => [o.where(o.less(a, b), b, b), b]],
  ["broadcast scalars", (o, _, __, s) => [o.sin(o.broadcast(s, 6)), o.broadcast(o.sin(s), 6)]],
  ["· 1, broadcast", (o, _, __, s) => [o.mul(s, o.constant(1, [6])), o.broadcast(s, 6)]],
  ["slice of all", (o, a) => [o.slice(a, 0, 6), a]],
  ["slice of a slice", (o, a) => [o.slice(o.slice(a, 1, 5), 1, 3), o.slice(a, 2, 4)]],
  ["slice of a part", (o, a, b) => [o.slice(o.concat(a, b), 7, 9), o.slice(b, 1, 3)]],
  ["slice across parts", (o, a, b) => [o.slice(o.concat(a, b), 5, 8), o.concat(o.slice(a, 5, 6), o.slice(b, 0, 2))]],
  ["slice of elementwise", (o, a, b) => [o.slice(o.add(a, b), 1, 3), o.add(o.slice(a, 1, 3), o.slice(b, 1, 3))]],
  ["slice of a broadcast", (o, _, __, s) => [o.slice(o.broadcast(s, 6), 1, 3), o.broadcast(s, 2)]],
  ["concat of one", (o, a) => [o.concat(a), a]],
  ["reshape and back", (o, a) => [o.reshape(o.reshape(a, [2, 3]), [6]), a]],
  ["sum of equals", (o, _, __, s) => [o.sum(o.broadcast(s, 6)), o.mul(s, 6)]],
  ["derivative of a sum", (o, a) => [o.grad((v) => o.sum(v))(a), o.constant(1, [6])]],
  [
    "derivative of ½ a²",
    (o, a) => [o.grad((v) => o.mul(0.5, o.dot(v, v)))(a), o.grad((v) => o.mul(o.dot(v, v), 0.5))(a)],
  ],
];

/** What would be wrong for NaN, infinities or zeros. */
const DIFFERENT: readonly [name: string, pair: Pair][] = [
  ["a · 0", (o, a) => [o.mul(a, 0), o.constant(0, [6])]],
  ["a - a", (o, a) => [o.sub(a, a), o.constant(0, [6])]],
  ["a / a", (o, a) => [o.div(a, a), o.constant(1, [6])]],
  ["0 / a", (o, a) => [o.div(0, a), o.constant(0, [6])]],
  ["a + -0", (o, a) => [o.add(a, -0), o.add(a, 1)]],
  ["zeros of both signs", (o, a) => [o.div(a, 0), o.div(a, -0)]],
  ["max(a, a)", (o, a) => [o.max(a, o.stopGradient(a)), a]],
  ["stopGradient", (o, a) => [o.stopGradient(a), a]],
];

const pairOf = (pair: Pair): readonly [Sym, Sym] => {
  let made: readonly [Sym, Sym] | undefined;
  traceBody((o, a, b, s) => {
    made = pair(o, a!, b!, s!);
    return made[0];
  }, [[6], [6], []]);
  return made!;
};

Deno.test("simplify: equal expressions become one node", () => {
  for (const [name, pair] of EQUAL) {
    const [left, right] = pairOf(pair);
    assert(left === right, name);
  }
});

Deno.test("simplify: what NaN, infinities or the sign of 0 would tell apart stays apart", () => {
  for (const [name, pair] of DIFFERENT) {
    const [left, right] = pairOf(pair);
    assert(left !== right, name);
  }
  const body: Body = (o, a) => o.concat(o.mul(a!, 0), o.sub(a!, a!), o.div(0, a!), o.mul(0, o.sum(a!)));
  const { leaves, output } = traceBody(body, [[1]]);
  const run = (x: number) => runNodes([output], new Map([[leaves[0]!, [x]]]))[0];
  assertEquals(run(NaN), [NaN, NaN, NaN, NaN]);
  assertEquals(run(Infinity), [NaN, NaN, 0, NaN]);
  assertEquals(run(0), [0, 0, NaN, 0]);
  assertEquals(run(2), [0, 0, 0, 0]);
});

Deno.test("simplify: slices of slices and of their transposes, with strides, take what indices say", () => {
  const trace = new Trace("test");
  const v = trace.leaf("v", [24]);
  const numbers = Array.from({ length: 24 }, (_, i) => i + 1);
  const random = createRandom(5);
  const whole = (least: number, most: number): number => least + Math.floor(random.uniform() * (most - least + 1));
  /** A random slice, or the transpose of one, of a node and of its numbers. */
  const change = (node: Node, data: readonly number[]): [Node, readonly number[]] => {
    const stride = whole(1, 3);
    if (random.uniform() < 0.4) {
      const length = stride * (data.length - 1) + 1 + whole(0, 4);
      const start = whole(0, length - stride * (data.length - 1) - 1);
      const padded = new Array<number>(length).fill(0);
      data.forEach((x, i) => padded[start + i * stride] = x);
      return [pad(node, start, length, stride), padded];
    }
    if (random.uniform() < 0.3) return [concat([v, node]), [...numbers, ...data]];
    const count = whole(1, Math.ceil(data.length / stride));
    const start = whole(0, data.length - 1 - (count - 1) * stride);
    return [slice(node, start, count, stride), Array.from({ length: count }, (_, i) => data[start + i * stride]!)];
  };
  for (let trial = 0; trial < 300; trial++) {
    let [node, expected]: [Node, readonly number[]] = [v, numbers];
    for (let depth = 0; depth < 3; depth++) [node, expected] = change(node, expected);
    const u = trace.leaf("u", node.shape);
    const [transposed] = vjp([node], [u], [v]);
    const cotangent = expected.map((_, i) => 2 ** (i % 7));
    // The number that an element holds says which element of v it is; 0 is none.
    const expectedTransposed = numbers.map((x) =>
      expected.reduce((sum, y, i) => sum + (x === y ? cotangent[i]! : 0), 0)
    );
    const run = runNodes([node, transposed!], new Map([[v, numbers], [u, cotangent]]));
    assertEquals(run, [expected, expectedTransposed], `trial ${trial}`);
  }
});

Deno.test("simplify: constants fold to what the operation gives", () => {
  const unary = [
    "neg",
    "square",
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "softplus",
    "relu",
    "gelu",
    "abs",
    "sign",
  ] as const;
  const binary = ["add", "sub", "mul", "div", "pow", "max", "min", "less", "greater", "equal"] as const;
  const points = [-2, -0.5, 0, 0.5, 3, NaN];
  const check = (name: string, call: (o: Vocabulary) => Sym): void => {
    const { output } = traceBody(call, []);
    assertEquals(output.op, "constant", name);
    assertClose(
      runNodes([output], new Map())[0]!,
      numbers(call(REFERENCE)),
      { relative: 1e-14, absolute: 1e-16 },
      name,
    );
  };
  for (const a of points) {
    for (const op of unary) check(`${op}(${a})`, (o) => o[op](a));
    for (const b of points) {
      for (const op of binary) check(`${op}(${a}, ${b})`, (o) => o[op](a, b));
      check(`where(${a}, ${b}, 7)`, (o) => o.where(a, b, 7));
    }
  }
});

const dataOf = (n: number, seed: number): number[][] =>
  LEAVES(n).map((shape, i) =>
    uniform(count(shape), seed + i).map((x) => shape.length === 2 ? x / Math.sqrt(n) : 1.5 * x)
  );

for (const n of [1, 2, 5, 17, 40]) {
  Deno.test(`simplify: 100 random expressions on vectors of ${n} keep their values and derivatives`, () => {
    const shapes = LEAVES(n);
    let different = 0;
    for (let seed = 0; seed < 100; seed++) {
      const expression = new Generator(createRandom(1000 * n + seed), n).any(seed % 4 > 0, 2 + seed % 4);
      const label = `n = ${n}, seed ${seed}`;
      const body: Body = (o, ...leaves) => o.concat(expression(o, leaves));
      const { trace, leaves, output } = traceBody(body, shapes);
      const data = dataOf(n, seed);
      const compute = (noise: number): readonly number[] => {
        const values = data.map((row, i) => value(row.map((x, k) => x * (1 + noise * Math.cos(k + i))), shapes[i]));
        return numbers(expression(REFERENCE, values));
      };
      const expected = compute(0);
      const moved = [1e-14, -1e-14].map(compute);
      const [actual] = runNodes([output], new Map(leaves.map((leaf, i) => [leaf, data[i]!])));
      for (const [i, x] of expected.entries()) {
        // As many roundings as the expression magnifies: what inputs off by 1e-14 do to it, a hundred times.
        const sensitivity = Math.max(...moved.map((row) => Math.abs(row[i]! - x)));
        const absolute = 1e-12 + 100 * (Number.isFinite(sensitivity) ? sensitivity : 0);
        assertClose([actual![i]!], [x], { relative: 1e-12, absolute }, `${label}, element ${i}`);
        if (x !== expected[0]) different++;
      }
      if (!expected.every(Number.isFinite)) continue;
      const seeds = shapes.map((shape) => trace.leaf("seed", shape));
      const cotangent = trace.leaf("cotangent", output.shape);
      const [forward, reverse] = trace.run(() => [
        jvp([output], new Map(leaves.map((leaf, i) => [leaf, seeds[i]!])))[0]!,
        vjp([output], [cotangent], leaves),
      ]);
      const v = dataOf(n, seed + 7);
      const u = uniform(output.size, seed);
      const all = [...leaves, ...seeds, cotangent];
      const run = runNodes([forward, ...reverse], new Map(all.map((leaf, i) => [leaf, [...data, ...v, u][i]!])));
      const products = (rows: number[][], others: number[][]): number[] =>
        rows.flatMap((row, i) => row.map((x, k) => x * others[i]![k]!));
      const [left, right] = [products(run.slice(0, 1), [u]), products(run.slice(1), v)];
      const size = [...left, ...right].reduce((sum, x) => sum + Math.abs(x), 1);
      const total = (terms: number[]): number => terms.reduce((sum, x) => sum + x, 0);
      assertClose([total(left)], [total(right)], { absolute: 1e-11 * size }, `${label}, <Jv, u> = <v, Jᵀu>`);
    }
    if (n > 1) assertNotEquals(different, 0);
  });
}
