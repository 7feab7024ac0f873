// Derivatives of every operation against differences of the same operation on plain numbers: nothing of cervid's own
// derivatives, nor of its printed values, is on the other side.

import { assert, assertEquals } from "@std/assert";
import { jvp, vjp } from "../../src/trace/differentiate.ts";
import { Node } from "../../src/trace/graph.ts";
import { assertClose, type Body, cut, runNodes, spread, traceBody, uniform } from "./helpers.ts";
import { count, numericCurvature, numericJacobian, value, type Vocabulary } from "./reference.ts";
import { type Call, CALLS, caseOf } from "./vocabulary.ts";

const SIZES = [1, 3, 40];
/** Differences of fourth order at h = 1e-3 of functions of size 1: h⁴ and eps / h are both below 1e-12; derivatives ~ 100. */
const FIRST = { relative: 1e-9, absolute: 1e-9 };
/** The same at h = 4e-3 with eps / h²: 1e-9 and 1e-11, times up to 40 terms. */
const SECOND = { relative: 1e-6, absolute: 1e-6 };

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const magnitude = (a: readonly number[], b: readonly number[]): number => dot(a.map(Math.abs), b.map(Math.abs));

function pointOf(call: Call, n: number, seed: number): number[] {
  const width = call.shapes(n).reduce((sum, shape) => sum + count(shape), 0);
  return spread(width, ...(call.range ?? [-2, 2]), seed);
}

/** `J v` and `Jᵀ u` of a body at a point, by the printed code of both modes. */
function bothModes(body: Body, shapes: readonly (readonly number[])[], at: number[], v: number[], u: number[]) {
  const { trace, leaves, output } = traceBody(body, shapes);
  const seeds = shapes.map((shape, i) => trace.leaf(`seed ${i}`, shape));
  const cotangent = trace.leaf("cotangent", output.shape);
  const [forward, reverse] = trace.run(() => [
    jvp([output], new Map(leaves.map((leaf, i) => [leaf, seeds[i]!])))[0]!,
    vjp([output], [cotangent], leaves),
  ]);
  const known = new Map<Node, number[]>([[cotangent, u]]);
  let start = 0;
  for (const [i, shape] of shapes.entries()) {
    const end = start + count(shape);
    known.set(leaves[i]!, at.slice(start, end)).set(seeds[i]!, v.slice(start, end));
    start = end;
  }
  // Null means zero.
  const run = runNodes([forward, ...reverse], known);
  const jv = forward === null ? new Array<number>(output.size).fill(0) : run[0]!;
  const transposed = reverse.flatMap((node, i) =>
    node === null ? new Array<number>(count(shapes[i]!)).fill(0) : run[i + 1]!
  );
  return { jv, transposed };
}

for (const [name, calls] of Object.entries(CALLS)) {
  if (name === "stopGradient") continue;
  Deno.test(`derivatives: ${name}() forward and in reverse agree with differences`, () => {
    for (const call of calls) {
      for (const n of SIZES) {
        const { body, shapes, reference, label } = caseOf(call, n);
        const at = pointOf(call, n, n);
        const v = uniform(at.length, 1);
        const u = uniform(reference(at).length, 2);
        const jacobian = numericJacobian(reference, at);
        const { jv, transposed } = bothModes(body, shapes, at, v, u);
        // Where the reference is numeric itself, its error is magnified by 1 / h.
        const tolerance = { ...FIRST, absolute: FIRST.absolute + 1000 * (call.absolute ?? 0) };
        assertClose(jv, jacobian.map((row) => dot(row, v)), tolerance, `${label}, forward`);
        assertClose(
          transposed,
          at.map((_, j) => dot(jacobian.map((row) => row[j]!), u)),
          tolerance,
          `${label}, reverse`,
        );
        // <Jv, u> = <v, Jᵀu>, to the rounding of both sums and of the derivatives in them.
        const scale = magnitude(jv, u) + magnitude(v, transposed);
        const absolute = 4 * (at.length + u.length) ** 0.5 * 100 * 2 ** -52 * Math.max(scale, 1e-3);
        assertClose([dot(jv, u)], [dot(v, transposed)], { absolute }, `${label}, <Jv, u> = <v, Jᵀu>`);
      }
    }
  });

  const smooth = calls.filter((call) => !call.kinked);
  if (smooth.length === 0) continue;
  Deno.test(`derivatives: grad(grad) of ${name}() agrees with second differences`, () => {
    for (const call of smooth) {
      for (const n of SIZES) {
        const { body, shapes, reference, label } = caseOf(call, n);
        const at = pointOf(call, n, n + 1);
        const [c, d] = [uniform(at.length, 3), uniform(at.length, 4)];
        const w = uniform(reference(at).length, 5);
        const weighted = (o: Vocabulary, v: Parameters<Vocabulary["sin"]>[0]) =>
          o.dot(o.constant(w), o.reshape(body(o, ...cut(v as Node, shapes, o)), [w.length]));
        const product = traceBody(
          (o, v) => o.grad((y) => o.dot(o.constant(c), o.grad((z) => weighted(o, z))(y)))(v!),
          [[at.length]],
        );
        const [hessian] = runNodes([product.output], new Map([[product.leaves[0]!, at]]));
        const expected = numericCurvature((v) => dot(w, reference(v)), at, c, d);
        assertClose([dot(hessian!, d)], [expected], SECOND, label);
      }
    }
  });
}

/** The gradient of a sum at a point, element by element. */
function gradientAt(fn: (o: Vocabulary, a: Node) => ReturnType<Vocabulary["sin"]>, at: number[]): number[] {
  const { leaves, output } = traceBody((o, a) => o.grad((v) => o.sum(fn(o, v as Node)))(a!), [[at.length]]);
  return runNodes([output], new Map([[leaves[0]!, at]]))[0]!;
}

Deno.test("derivatives: at kinks and ties they are what the documentation says", () => {
  const rows: [name: string, fn: Parameters<typeof gradientAt>[0], at: number[], expected: number[]][] = [
    ["relu", (o, a) => o.relu(a), [-1, 0, 1], [0, 0, 1]],
    ["abs", (o, a) => o.abs(a), [-1, 0, 1], [-1, 0, 1]],
    ["sign", (o, a) => o.sign(a), [-1, 0, 1], [0, 0, 0]],
    ["max: the second at a tie", (o, a) => o.max(o.mul(2, a), o.mul(3, a)), [0], [3]],
    ["min: the second at a tie", (o, a) => o.min(o.mul(2, a), o.mul(3, a)), [0], [3]],
    ["maximum: shared", (o, a) => o.maximum(a), [1, 2, 2, 0], [0, 0.5, 0.5, 0]],
    ["where: to the chosen only", (o, a) => o.where(o.less(a, 0), o.mul(2, a), o.mul(5, a)), [-1, 0, 1], [2, 5, 5]],
    ["stopGradient", (o, a) => o.mul(o.stopGradient(a), a), [3, 4], [3, 4]],
    ["sqrt at 0", (o, a) => o.sqrt(a), [0], [Infinity]],
    ["pow: base 0", (o, a) => o.pow(a, o.constant([0, 1, 2, 3])), [0, 0, 0, 0], [0, 1, 0, 0]],
    ["pow: exponent at base 0 and below", (o, a) => o.pow(o.constant([0, -1, 1]), a), [2, 2, 2], [0, 0, 0]],
    ["softplus far out", (o, a) => o.softplus(a), [-1000, 0, 1000], [0, 0.5, 1]],
    ["sigmoid far out", (o, a) => o.sigmoid(a), [-1000, 0, 1000], [0, 0.25, 0]],
    ["tanh far out", (o, a) => o.tanh(a), [-1000, 0, 1000], [0, 1, 0]],
    ["logSigmoid far out", (o, a) => o.logSigmoid(a), [-1000, 0, 1000], [1, 0.5, 0]],
    ["logSumExp far out", (o, a) => o.logSumExp(a), [-1000, 1000, 1000], [0, 0.5, 0.5]],
    ["softmax far out", (o, a) => o.softmax(a), [-1000, 1000, 1000], [0, 0, 0]],
    ["an argument twice", (o, a) => o.mul(a, a), [3], [6]],
    ["NaN", (o, a) => o.relu(o.mul(a, NaN)), [3], [NaN]],
  ];
  for (const [name, fn, at, expected] of rows) {
    assertClose(gradientAt(fn, at), expected, { relative: 1e-15, absolute: 1e-15 }, name);
  }
});

Deno.test("derivatives: forward mode does not see what where did not choose", () => {
  // In reverse 0 · ∞ is NaN, as in JAX: there the argument of sqrt must be guarded.
  const body: Body = (o, a) => o.where(o.greater(a!, 0), o.sqrt(a!), a!);
  const { trace, leaves, output } = traceBody(body, [[2]]);
  const tangent = trace.leaf("tangent", [2]);
  const [forward] = trace.run(() => jvp([output], new Map([[leaves[0]!, tangent]])));
  assertEquals(runNodes([forward!], new Map([[leaves[0]!, [0, 4]], [tangent, [1, 1]]])), [[1, 0.25]]);
});

Deno.test("derivatives: the mixed derivative of pow at exponent 0 is 1 / a", () => {
  const body: Body = (o, a, b) => o.grad((v) => o.sum(o.grad((w) => o.sum(o.pow(w, v)))(a!)))(b!);
  const { leaves, output } = traceBody(body, [[1], [1]]);
  assertEquals(runNodes([output], new Map([[leaves[0]!, [4]], [leaves[1]!, [0]]])), [[0.25]]);
});

Deno.test("derivatives: the second derivative of pow at 0 is not lost in 0 · ∞", () => {
  const twice = (k: number): number[] => {
    const { leaves, output } = traceBody((o, a, b) => o.grad((v) => o.sum(o.grad((w) => o.sum(o.pow(w, b!)))(v)))(a!), [
      [1],
      [1],
    ]);
    return runNodes([output], new Map([[leaves[0]!, [0]], [leaves[1]!, [k]]]))[0]!;
  };
  assertEquals([0, 1, 2, 3].map(twice), [[0], [0], [2], [0]]);
});

Deno.test("derivatives: stopGradient and comparisons are provably zero", () => {
  for (
    const fn of [
      (o: Vocabulary, a: Node) => o.stopGradient(o.sin(a)),
      (o: Vocabulary, a: Node) => o.less(a, 0.3),
      (o: Vocabulary, a: Node) => o.sign(a),
      (o: Vocabulary, a: Node) => o.isNaN(a),
      (o: Vocabulary, a: Node) => o.where(a, 1, 2),
      (o: Vocabulary, _: Node) => o.constant([1, 2, 3]),
    ]
  ) {
    const { trace, leaves, output } = traceBody((o, a) => fn(o, a as Node), [[3]]);
    const tangent = trace.leaf("tangent", [3]);
    assertEquals(trace.run(() => jvp([output], new Map([[leaves[0]!, tangent]]))), [null]);
    assertEquals(trace.run(() => vjp([output], [tangent], leaves)), [null]);
  }
});

Deno.test("derivatives: grad of grad with captured variables is exact", () => {
  // d/dy [ y · d/dx (x² y + x³)(y) ] = d/dy [ y (2 y² + 3 y²) ] = 15 y²
  const { leaves, output } = traceBody(
    (o, a) => o.grad((y) => o.mul(y, o.grad((x) => o.add(o.mul(o.square(x), y), o.pow(x, 3)))(y)))(a!),
    [[]],
  );
  assert(output instanceof Node);
  assertEquals(runNodes([output], new Map([[leaves[0]!, [2]]])), [[60]]);
  assertEquals(value([1]).shape, [1]);
});
