// Traces and stages: which nodes there are, what is computed ahead, and how time enters.

import { assert, assertEquals } from "@std/assert";
import { defineStep, openDevice, ops, solve, type Step, type Sym, toHost } from "../../mod.ts";
import { programOf } from "../../src/step.ts";
import { jvp, vjp } from "../../src/trace/differentiate.ts";
import { type Node, topological, Trace } from "../../src/trace/graph.ts";
import { hoist, type Slot } from "../../src/trace/stages.ts";
import { transitionAction } from "../../src/trace/transition.ts";
import { runNodes, traceBody } from "./helpers.ts";
import { stepCases } from "./steps.ts";

Deno.test("graph: equal expressions are one node, leaves never are", () => {
  const trace = new Trace("test");
  const [a, b] = [trace.leaf("a", [3]), trace.leaf("a", [3])];
  assert(a !== b);
  trace.run(() => {
    assert(ops.add(a, b) === ops.add(a, b));
    assert(ops.add(a, b) !== ops.add(b, a));
    assert(ops.sin(a) !== ops.sin(b));
    assert(ops.slice(a, 0, 2) === ops.slice(a, 0, 2));
    assert(ops.slice(a, 0, 2) !== ops.slice(a, 1, 3));
    assert(ops.reshape(a, [3, 1]) !== ops.reshape(a, [1, 3]));
    assert(ops.broadcast(1, 3) === ops.constant(1, [3]));
    assert(trace.constant(0) === trace.constant(0));
    assert(trace.constant(0) !== trace.constant(-0));
    assert(trace.constant(NaN) === trace.constant(NaN));
    assert(ops.grad((v) => ops.dot(v, v))(a) === ops.grad((v) => ops.dot(v, v))(a));
  });
});

Deno.test("graph: a step that repeats itself computes once", () => {
  const trace = (body: (h: Sym) => Sym): number => topological([traceBody((_, h) => body(h!), [[4]]).output]).length;
  const gate = (h: Sym): Sym => ops.sigmoid(ops.mul(h, 2));
  assertEquals(
    trace((h) => ops.mul(gate(h), ops.sub(1, gate(h)))),
    trace((h) => {
      const g = gate(h);
      return ops.mul(g, ops.sub(1, g));
    }),
  );
});

Deno.test("graph: arguments come before users, each node once, in graphs too deep for recursion", () => {
  const depth = 30_000;
  const { trace, leaves, output } = traceBody((o, h) => {
    let v = h!;
    for (let i = 0; i < depth; i++) v = o.sin(v);
    return v;
  }, [[2]]);
  const order = topological([output, output]);
  assertEquals(order.length, depth + 1);
  const seen = new Set<Node>();
  for (const node of order) {
    assert(node.args.every((arg) => seen.has(arg)) && !seen.has(node));
    seen.add(node);
  }
  trace.run(() => {
    assert(jvp([output], new Map([[leaves[0]!, leaves[0]!]]))[0] !== null);
    assert(vjp([output], [leaves[0]!], leaves)[0] !== null);
  });
});

/** All nodes that a value needs, by plain recursion. */
function needs(node: Node, found = new Set<Node>()): Set<Node> {
  if (!found.has(node)) {
    found.add(node);
    node.args.forEach((arg) => needs(arg, found));
  }
  return found;
}

/** Words per (b, t) and words per solve, for n units: counted by hand from the equations. */
const AHEAD: Readonly<Record<string, (n: number) => readonly [hoisted: number, shared: number]>> = {
  gru: (n) => [3 * n, 0],
  lstm: (n) => [4 * n, 0],
  elman: (n) => [n, 0],
  lem: (n) => [4 * n, 0],
  // Views of x are read where they are.
  "weights from x": () => [0, 0],
  zero: (n) => [n, 0],
  leaky: (n) => [0, n],
  diagonal: () => [1, 0],
  // cos and sin of the angle.
  pairs: () => [0, 2],
};

for (const n of [3, 20]) {
  Deno.test(`graph: steps of ${n} units compute ahead what is free of h, and nothing else`, () => {
    for (const { name, step } of stepCases(n)) {
      const program = programOf(step);
      const { output, tangent, h, delta, x, t } = program;
      const before = hoist([output], program);
      const ahead = AHEAD[name]?.(n);
      if (ahead !== undefined) assertEquals([before.hoistedSize, before.sharedSize], ahead, name);
      const action = transitionAction(program, { kind: "diagonal", scale: 0.1, clip: 1 });
      const stages = hoist([output, tangent ?? output, action ?? output], program);
      const depends = (slots: readonly Slot[], leaf: Node): boolean => slots.some(({ node }) => needs(node).has(leaf));
      for (const slots of [stages.shared, stages.hoisted]) {
        assert(!depends(slots, h) && !depends(slots, delta), name);
        let offset = 0;
        for (const slot of slots) {
          assertEquals(slot.offset, offset, name);
          offset += slot.node.size;
        }
        assertEquals(offset, slots === stages.shared ? stages.sharedSize : stages.hoistedSize);
      }
      assert(!depends(stages.shared, x) && !depends(stages.shared, t), name);
      // What remains touches x, t and parameters through views and products with h alone.
      const known = new Set([...stages.shared, ...stages.hoisted].map(({ node }) => node));
      const varying = new Set<Node>([h, delta]);
      const rest = topological([output], (node) => known.has(node));
      for (const node of rest) if (node.args.some((arg) => varying.has(arg))) varying.add(node);
      const idle = rest.filter((node) => !varying.has(node) && !known.has(node)).map(({ op }) => op);
      assertEquals(idle.filter((op) => !["leaf", "constant", "slice", "reshape", "broadcast"].includes(op)), [], name);
    }
  });
}

Deno.test("graph: what hoisted values take from parameters alone is computed once per solve", () => {
  const step = defineStep({
    name: "test",
    state: 2,
    input: 3,
    params: { w: [3], m: [2, 3] },
    step: ({ h, x, p }) => ops.add(h, ops.matvec(ops.exp(p.m), ops.mul(ops.tanh(p.w), x))),
  });
  const program = programOf(step);
  const { shared, sharedSize, hoisted, hoistedSize } = hoist([program.output], program);
  assertEquals(shared.map(({ node }) => node.op).sort(), ["exp", "tanh"]);
  assertEquals(hoisted.map(({ node }) => node.op), ["matvec"]);
  assertEquals([sharedSize, hoistedSize], [9, 2]);
});

Deno.test("graph: derivatives of cells need no more hoisted words than their values", () => {
  const steps = new Map(stepCases(20).map(({ name, step }) => [name, programOf(step)]));
  for (const [name, kind, words] of [["gru", "diagonal", 60], ["gru", "dense", 60], ["lstm", "block", 80]] as const) {
    const program = steps.get(name)!;
    const action = transitionAction(program, { kind, scale: 0, clip: Infinity, block: 2, layout: "strided" });
    assertEquals(hoist([program.output, action!], program).hoistedSize, words, `${name}, ${kind}`);
  }
});

Deno.test("graph: a step is affine if f is, not where only its derivative is constant", () => {
  const step = (body: (h: Sym, x: Sym, p: Sym) => Sym): Step =>
    defineStep({
      name: "test",
      state: 3,
      input: 3,
      params: { w: [3, 3] },
      step: ({ h, x, p }) => body(h, x, p.w),
    });
  const { add, equal, less, matvec, mul, relu, sign, softmax, stopGradient, tanh, where } = ops;
  const rows: [name: string, affine: boolean, body: (h: Sym, x: Sym, w: Sym) => Sym][] = [
    ["matvec", true, (h, x, w) => add(matvec(w, h), tanh(x))],
    ["mul by what depends on x", true, (h, x) => mul(h, less(x, 0))],
    ["where by x", true, (h, x) => where(less(x, 0), h, mul(2, h))],
    ["free of h", true, (_, x) => x],
    ["square", false, (h) => mul(h, h)],
    ["relu", false, (h) => relu(h)],
    ["softmax", false, (h) => softmax(h)],
    ["a jump", false, (h) => add(h, less(h, 0))],
    ["a sign", false, (h) => sign(h)],
    ["a comparison with x", false, (h, x) => equal(h, x)],
    ["a hidden dependence", false, (h, x) => add(stopGradient(tanh(h)), x)],
    ["a condition on h", false, (h, x) => where(less(h, 0), x, 1)],
  ];
  for (const [name, affine, body] of rows) assertEquals(programOf(step(body)).affine, affine, name);
});

Deno.test("graph: t is the index of the step, through windows and for every sequence", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const { add, mul, sin } = ops;
  const clock = defineStep({
    name: "clock",
    state: 1,
    input: 0,
    params: {},
    step: ({ h, t }) => add(mul(0.5, h), add(t, sin(t))),
  });
  const expected: number[] = [];
  for (const start of [1, -2]) for (let t = 0, h = start; t < 7; t++) expected.push(h = 0.5 * h + (t + Math.sin(t)));
  const h0 = { data: Float64Array.of(1, -2), shape: [2, 1] };
  for (const method of ["sequential", "deer", "jacobi"] as const) {
    for (const window of [1, 3, 7]) {
      using solution = await solve(clock, { params: {}, time: 7, h0 }, { device, method, window });
      const { data } = await toHost(solution.ys);
      // Seven steps, to the roundings of values up to 12.
      const worst = Math.max(...expected.map((y, i) => Math.abs(y - data[i]!)));
      assert(worst < 1e-9, `${method}, window ${window}: off by ${worst}`);
    }
  }
});

Deno.test("graph: parameters are found by their path in the tree", () => {
  const step = defineStep({
    name: "nested",
    state: 2,
    input: 0,
    params: { b: [2], a: { z: [], y: { w: [2, 2] } } },
    step: ({ h, p }) => ops.add(ops.mul(p.a.z, ops.matvec(p.a.y.w, h)), p.b),
  });
  const program = programOf(step);
  assertEquals(program.params.map(({ path }) => path), ["a.y.w", "a.z", "b"]);
  const values = [[1, 2, 3, 4], [10], [0.5, 0.25]];
  const point = new Map<Node, number[]>(program.params.map(({ leaf }, i) => [leaf, values[i]!]));
  assertEquals(runNodes([program.output], point.set(program.h, [1, 1])), [[30.5, 70.25]]);
});
