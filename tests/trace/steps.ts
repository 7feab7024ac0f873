// Steps with Jacobians of every structure, at any size, for tests of the proof and of the transitions.

import type { Shape, ShapeTree, Sym } from "../../mod.ts";
import { defineStep, elman, gru, type JacobianStructure, lem, lstm, ops, type Step } from "../../mod.ts";
import type { Node } from "../../src/trace/graph.ts";
import { programOf } from "../../src/step.ts";
import type { StepProgram } from "../../src/trace/program.ts";
import { compileNodes, uniform } from "./helpers.ts";
import { numbers, REFERENCE, value, type Vocabulary } from "./reference.ts";

/** A step, what is to be proven of it, and the same function on numbers. */
export interface StepCase {
  readonly name: string;
  /** Made for n units. */
  readonly step: Step;
  readonly jacobian: JacobianStructure;
  /** Whether ∂f/∂h is a sum of terms whose entries cost O(1). */
  readonly structured: boolean;
  readonly affine: boolean;
  /** f of the state (and the time), the rest at {@linkcode pointOf}. */
  readonly f: (h: readonly number[], t?: number) => readonly number[];
}

const TIME = 5;

/** A random point: the numbers of h, x, t and of every parameter, by leaf. */
export function pointOf(program: StepProgram): Map<Node, number[]> {
  const leaves = [program.h, program.x, ...program.params.map(({ leaf }) => leaf)];
  const point = new Map<Node, number[]>(leaves.map((leaf, i) => [leaf, uniform(leaf.size, 100 + i)]));
  return point.set(program.t, [TIME]);
}

type Arguments = { readonly h: Sym; readonly x: Sym; readonly p: Readonly<Record<string, Sym>>; readonly t: Sym };
type Body = (o: Vocabulary, args: Arguments, n: number) => Sym;

/** A cell: f is its printed code, which tests/cells holds against PyTorch. */
function cell(name: string, step: Step, jacobian: JacobianStructure, structured: boolean): StepCase {
  const program = programOf(step);
  const point = pointOf(program);
  point.delete(program.h);
  const run = compileNodes([program.output], [program.h, ...point.keys()]);
  return { name, step, jacobian, structured, affine: false, f: (h) => run(h, ...point.values())[0]! };
}

/** A step of a body that is traced, and computed on numbers. */
function own(
  name: string,
  n: number,
  sizes: { readonly state: number; readonly input?: number; readonly params?: ShapeTree },
  body: Body,
  expected: {
    readonly jacobian: JacobianStructure;
    readonly structured?: boolean;
    readonly affine?: boolean;
    /** The same with derivatives by hand; those of {@linkcode REFERENCE} are numeric. */
    readonly plain?: Body;
  },
): StepCase {
  const { state, input = 0, params = {} } = sizes;
  const spec = { name, state, input, params, step: (args: unknown) => body(ops, args as Arguments, n) };
  const step = defineStep(spec);
  const program = programOf(step);
  const point = pointOf(program);
  const at = (leaf: Node): Sym => value(point.get(leaf)!, leaf.shape);
  const p = Object.fromEntries(program.params.map(({ path, leaf }) => [path, at(leaf)]));
  const f = (h: readonly number[], t = TIME): readonly number[] =>
    numbers((expected.plain ?? body)(REFERENCE, { h: value(h), x: at(program.x), t: value([t], []), p }, n));
  const { jacobian, structured = true, affine = false } = expected;
  return { name, step, jacobian, structured, affine, f };
}

const halves = (o: Vocabulary, h: Sym, n: number): [Sym, Sym] => [o.slice(h, 0, n), o.slice(h, n, 2 * n)];

/** One step of the symplectic Euler method. */
function kick(o: Vocabulary, h: Sym, dt: Sym, n: number, gradient: (q: Sym) => Sym): Sym {
  const [q, v] = halves(o, h, n);
  const next = o.sub(v, o.mul(dt, gradient(q)));
  return o.concat(o.add(q, o.mul(dt, next)), next);
}

/** All steps for n units; n > 2. */
export function stepCases(n: number): StepCase[] {
  const strided = { block: 2, layout: "strided" } as const;
  const contiguous = { block: 2, layout: "contiguous" } as const;
  const square: Shape = [n, n];
  const size = { input: 2, hidden: n };
  const each = (o: Vocabulary, fn: (i: number) => Sym): Sym => o.concat(...Array.from({ length: n }, (_, i) => fn(i)));
  return [
    cell("gru", gru(size), "dense", true),
    cell("lstm", lstm(size), "dense", true),
    cell("elman", elman(size), "dense", true),
    cell("elman with relu", elman({ ...size, activation: "relu" }), "dense", true),
    cell("lem", lem({ ...size, dt: 0.7 }), "dense", true),
    own("two layers", n, { state: n, input: n, params: { v: square, w: square } }, (o, { h, x, p }) => {
      const inner = o.tanh(o.add(o.matvecTransposed(p.w!, h), x));
      return o.tanh(o.matvec(p.v!, inner));
    }, { jacobian: "dense" }),
    own("three layers", n, { state: n, params: { u: square, v: square, w: square } }, (o, { h, p }) => {
      const inner = o.tanh(o.matvec(p.v!, o.tanh(o.matvec(p.w!, h))));
      return o.add(o.matvec(p.u!, inner), h);
    }, { jacobian: "dense", structured: false }),
    own("one matrix twice", n, { state: n, params: { w: square, v: [n] } }, (o, { h, p }) => {
      const products = o.add(o.matvec(p.w!, h), o.matvec(p.w!, o.sin(h)));
      return o.add(products, o.add(o.mul(p.v!, o.dot(p.v!, h)), o.sum(o.cos(h))));
    }, { jacobian: "dense" }),
    own("stacked", n, { state: n, params: { w: square } }, (o, { h, p }) => {
      const rest = n > 2 ? [o.cos(o.slice(h, 1, n - 1))] : [];
      const stack = o.concat(o.sin(o.slice(h, 0, 1)), o.mean(o.square(h)), ...rest);
      return o.add(o.matvec(p.w!, stack), o.matvecTransposed(p.w!, stack));
    }, { jacobian: "dense" }),
    own("part of an energy", n, { state: n }, (o, { h }) => {
      return o.add(o.mul(0.5, h), o.grad((y) => o.sum(o.sin(o.slice(y, 1, n))))(h));
    }, {
      jacobian: "diagonal",
      plain: (o, { h }) => o.add(o.mul(0.5, h), o.concat(0, o.cos(o.slice(h, 1, n)))),
    }),
    own("one for all", n, { state: n }, (o, { h }) => o.broadcast(o.slice(h, 1, 2), n), {
      jacobian: "dense",
      affine: true,
    }),
    own("oscillators", n, { state: 2 * n, input: 1 }, (o, { h, x }) => {
      const [a, b] = halves(o, h, n);
      return o.concat(o.where(o.less(a, x), o.sin(b), o.mul(a, b)), o.sub(b, o.mul(0.1, o.cos(a))));
    }, { jacobian: strided }),
    own("attention", n, { state: n, input: 2 * n, params: { w: square } }, (o, { h, x, p }, n) => {
      const keys = o.reshape(x, [2, n]);
      const weights = o.softmax(o.matvec(keys, o.matvec(p.w!, h)));
      return o.tanh(o.add(h, o.matvecTransposed(keys, weights)));
    }, { jacobian: "dense", structured: false }),
    own("hamiltonian", n, { state: 2 * n, params: { w: [n], dt: [] } }, (o, { h, p }) => {
      const energy = (y: Sym): Sym => o.add(o.softplus(o.dot(p.w!, y)), o.sum(o.cos(y)));
      return kick(o, h, p.dt!, n, o.grad(energy));
    }, {
      jacobian: "dense",
      plain: (o, { h, p }) => kick(o, h, p.dt!, n, (q) => o.sub(o.mul(p.w!, o.sigmoid(o.dot(p.w!, q))), o.sin(q))),
    }),
    own("free hamiltonian", n, { state: 2 * n, params: { k: [n] } }, (o, { h, p }) => {
      const energy = (y: Sym): Sym => {
        const [q, v] = halves(o, y, n);
        return o.add(o.mul(0.5, o.dot(v, v)), o.dot(p.k!, o.mul(q, o.sin(q))));
      };
      const [dq, dv] = halves(o, o.grad(energy)(h), n);
      return o.add(h, o.mul(0.1, o.concat(dv, o.neg(dq))));
    }, {
      jacobian: strided,
      plain: (o, { h, p }) => {
        const [q, v] = halves(o, h, n);
        const force = o.mul(p.k!, o.add(o.sin(q), o.mul(q, o.cos(q))));
        return o.concat(o.add(q, o.mul(0.1, v)), o.sub(v, o.mul(0.1, force)));
      },
    }),
    own("weights from x", n, { state: n, input: n * n }, (o, { h, x }) => o.tanh(o.matvec(o.reshape(x, square), h)), {
      jacobian: "dense",
    }),
    own(
      "matvecTransposed",
      n,
      { state: n, input: 1, params: { w: square } },
      (o, { h, x, p }) => o.sigmoid(o.add(o.matvecTransposed(p.w!, o.sin(h)), x)),
      { jacobian: "dense" },
    ),
    own("linear", n, { state: n, params: { w: square } }, (o, { h, p }) => o.sub(o.matvec(p.w!, h), o.mul(0.5, h)), {
      jacobian: "dense",
      affine: true,
    }),
    own("zero", n, { state: n, input: n }, (o, { x }) => o.tanh(x), { jacobian: "zero", affine: true }),
    own(
      "leaky",
      n,
      { state: n, input: n, params: { rate: [n] } },
      (o, { h, x, p }) => o.add(h, o.mul(o.sigmoid(p.rate!), o.sub(x, h))),
      { jacobian: "diagonal", affine: true },
    ),
    own(
      "diagonal",
      n,
      { state: n, params: { w: [n] } },
      (o, { h, p, t }) => o.add(o.mul(h, o.sin(t)), o.tanh(o.mul(p.w!, o.relu(h)))),
      { jacobian: "diagonal" },
    ),
    own("jumps", n, { state: n, input: 1 }, (o, { h, x }) => o.add(o.mul(0.5, h), o.less(h, x)), {
      jacobian: "diagonal",
    }),
    own("threshold", n, { state: n }, (o, { h }) => o.sign(h), { jacobian: "zero" }),
    own("heads", n, { state: 2 * n, params: { a: square, b: square } }, (o, { h, p }) => {
      const [a, b] = halves(o, h, n);
      return o.tanh(o.concat(o.matvec(p.a!, a), o.matvec(p.b!, b)));
    }, { jacobian: { block: n, layout: "contiguous" } }),
    own("pairs", n, { state: 2 * n, params: { angle: [] } }, (o, { h, p }) =>
      each(o, (i) => {
        const [a, b] = [o.slice(h, 2 * i, 2 * i + 1), o.slice(h, 2 * i + 1, 2 * i + 2)];
        const [c, s] = [o.cos(p.angle!), o.sin(p.angle!)];
        return o.concat(o.sub(o.mul(c, a), o.mul(s, b)), o.tanh(o.add(o.mul(s, a), o.mul(c, b))));
      }), { jacobian: contiguous }),
    own(
      "neighbours",
      n,
      { state: 2 * n },
      (o, { h }) => each(o, (i) => o.concat(o.slice(h, 2 * i + 1, 2 * i + 2), o.slice(h, 2 * i, 2 * i + 1))),
      {
        jacobian: contiguous,
        affine: true,
      },
    ),
    own("halves", n, { state: 2 * n }, (o, { h }) => o.concat(...halves(o, h, n).reverse()), {
      jacobian: strided,
      affine: true,
    }),
    own("delay line", n, { state: n, input: 1 }, (o, { h, x }) => o.concat(x, o.slice(h, 0, n - 1)), {
      jacobian: "dense",
      affine: true,
    }),
    own("mean field", n, { state: n }, (o, { h }) => o.sin(o.add(h, o.mean(o.square(h)))), { jacobian: "dense" }),
    own("outer product", n, { state: n, input: n }, (o, { h, x }) => o.tanh(o.matvec(o.outer(h, x), h)), {
      jacobian: "dense",
      structured: false,
    }),
    own("a scalar", 1, { state: 1 }, (o, { h }) => o.sum(o.sin(h)), { jacobian: "diagonal" }),
    own("one state", 1, { state: 1, params: { w: [1, 1] } }, (o, { h, p }) => o.tanh(o.matvec(p.w!, h)), {
      jacobian: "diagonal",
    }),
  ];
}
