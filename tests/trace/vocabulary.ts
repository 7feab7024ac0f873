// Calls of every operation, for tests of values and of derivatives.

import type { Shape, Sym } from "../../src/trace/ops.ts";
import type { Body } from "./helpers.ts";
import { numbers, REFERENCE, value, type Vocabulary } from "./reference.ts";

/** One way to call an operation, at any size n. */
export interface Call {
  /** Distinguishes the calls of one operation. */
  readonly label: string;
  readonly call: (o: Vocabulary, n: number, a: Sym, b: Sym, c: Sym) => Sym;
  readonly shapes: (n: number) => readonly Shape[];
  /** From which arguments are taken; default -2 to 2. */
  readonly range?: readonly [low: number, high: number];
  /** Has a kink or a jump: second derivatives are not compared. */
  readonly kinked?: boolean;
  /** Sums elements: an error of some roundings of the largest term is allowed, not of the result. */
  readonly sums?: boolean;
  /** Roundings allowed, where cancellation inside costs more than a few. */
  readonly ulps?: number;
  /** Error allowed where the reference is numeric. */
  readonly absolute?: number;
}

type UnaryName = {
  readonly [K in keyof Vocabulary]: Vocabulary[K] extends (a: Sym) => Sym ? K : never;
}[keyof Vocabulary];
type BinaryName = "add" | "sub" | "mul" | "div" | "pow" | "max" | "min" | "less" | "greater" | "equal";
type Extras = Partial<Call>;

const vector = (n: number): Shape[] => [[n]];

function unary(name: UnaryName, extras: Extras = {}): Call[] {
  return [{ label: name, call: (o, _, a) => o[name](a), shapes: vector, ...extras }];
}

/** Vectors with vectors, with scalars on either side, and with one element in an array. */
function binary(name: BinaryName, extras: Extras = {}): Call[] {
  const call: Call["call"] = (o, _, a, b) => o[name](a, b);
  return [
    { label: `${name}, two vectors`, call, shapes: (n) => [[n], [n]], ...extras },
    { label: `${name}, scalar first`, call, shapes: (n) => [[], [n]], ...extras },
    { label: `${name}, scalar last`, call, shapes: (n) => [[n], []], ...extras },
    { label: `${name}, one element last`, call, shapes: (n) => [[n], [1]], ...extras },
    { label: `${name}, one element first`, call, shapes: (n) => [[1, 1], [n]], ...extras },
    { label: `${name}, numbers`, call: (o, _, a) => o[name](o[name](0.7, a), 1.3), shapes: vector, ...extras },
    { label: `${name}, matrices`, call, shapes: (n) => [[n, 2], [n, 2]], ...extras },
  ];
}

const kinked = { kinked: true };
const sums = { sums: true };
const positive = { range: [0.3, 2.3] } as const;
const ramp = (n: number): number[] => Array.from({ length: n }, (_, i) => i / n - 0.4);

/** A square matrix whose tests do not take long. */
const few = (n: number): [number, number] => [Math.min(n, 5), Math.min(n, 5)];

/** A matrix far from singular whose largest entries stand beside the diagonal: every column needs an exchange of rows. */
function shifted(o: Vocabulary, a: Sym): Sym {
  const n = a.shape[0]!;
  const large = Array.from({ length: n * n }, (_, e) => (Math.floor(e / n) + 1) % n === e % n ? 7 : 0);
  return o.add(o.mul(0.5, a), o.constant(large, [n, n]));
}

/** A symmetric positive definite matrix whose first pivot is the smallest. */
function definite(o: Vocabulary, a: Sym): Sym {
  const n = a.shape[0]!;
  const diagonal = Array.from({ length: n * n }, (_, e) => e % (n + 1) === 0 ? 0.3 + Math.floor(e / n) : 0);
  return o.add(o.matmul(a, o.transpose(a)), o.constant(diagonal, [n, n]));
}

/** Elimination adds up to n products of entries of size 7. */
const solved = { ...sums, ulps: 100 };

/** Every export of ops.ts. */
export const CALLS: Readonly<Record<keyof Vocabulary, readonly Call[]>> = {
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div", positive),
  neg: unary("neg"),
  square: unary("square"),
  exp: unary("exp"),
  log: unary("log", positive),
  sqrt: unary("sqrt", positive),
  sin: unary("sin"),
  cos: unary("cos"),
  tanh: unary("tanh"),
  sigmoid: unary("sigmoid"),
  logSigmoid: unary("logSigmoid"),
  softplus: unary("softplus"),
  relu: unary("relu", kinked),
  // 1 + tanh(u) cancels below 0.
  gelu: unary("gelu", { ulps: 100 }),
  abs: unary("abs", kinked),
  sign: unary("sign", kinked),
  pow: [
    // log 2.3 · 2.3 roundings from the exponent of a power.
    ...binary("pow", { ...positive, ulps: 12 }),
    ...[-1, -0.5, 0, 0.5, 1, 2, 3].map((k): Call => ({
      label: `pow, constant ${k}`,
      call: (o, _, a) => o.pow(a, k),
      shapes: vector,
      ...positive,
    })),
    { label: "pow, below 0", call: (o, _, a) => o.pow(a, 3), shapes: vector, range: [-2, -0.3] },
  ],
  max: binary("max", kinked),
  min: binary("min", kinked),
  less: binary("less", kinked),
  greater: binary("greater", kinked),
  equal: [
    ...binary("equal", kinked),
    { label: "equal, ties", call: (o, _, a, b) => o.equal(o.sign(a), o.sign(b)), shapes: (n) => [[n], [n]], ...kinked },
  ],
  isNaN: [
    ...unary("isNaN", kinked),
    {
      label: "isNaN, some",
      call: (o, n, a) => {
        const holes = o.constant(Array.from({ length: n }, (_, i) => i % 3 === 1 ? NaN : i));
        return o.add(o.where(o.isNaN(o.mul(a, holes)), 2, o.mul(a, o.where(o.isNaN(holes), 0, holes))), o.isNaN(holes));
      },
      shapes: vector,
      ...kinked,
    },
  ],
  where: [
    {
      label: "where, three vectors",
      call: (o, _, a, b, c) => o.where(o.less(a, 0.2), o.sin(b), o.mul(b, c)),
      shapes: (n) => [[n], [n], [n]],
      ...kinked,
    },
    {
      label: "where, scalars",
      call: (o, n, a, b) => o.add(o.where(o.less(a, 0.2), b, 3), o.where(o.constant(ramp(n)), a, b)),
      shapes: (n) => [[n], []],
      ...kinked,
    },
    {
      label: "where, one condition",
      call: (o, _, a, b, c) => o.where(o.sub(o.sign(a), 1), b, c),
      shapes: (n) => [[], [n], [n]],
      ...kinked,
    },
  ],
  stopGradient: unary("stopGradient", kinked),
  matvec: [
    { label: "matvec, tall", call: (o, _, a, b) => o.matvec(a, b), shapes: (n) => [[n + 1, n], [n]], ...sums },
    { label: "matvec, wide", call: (o, _, a, b) => o.matvec(a, b), shapes: (n) => [[2, 3 * n], [3 * n]], ...sums },
    {
      label: "matvec, shared",
      call: (o, _, a, b, c) => o.mul(o.matvec(a, b), o.matvec(a, c)),
      shapes: (n) => [[n, n], [n], [n]],
      ...sums,
    },
    {
      label: "matvec, data",
      call: (o, n, a) => o.matvec(o.constant(ramp(3 * n), [3, n]), a),
      shapes: vector,
      ...sums,
    },
  ],
  matvecTransposed: [
    {
      label: "matvecTransposed, wide",
      call: (o, _, a, b) => o.matvecTransposed(a, b),
      shapes: (n) => [[n, n + 1], [n]],
      ...sums,
    },
    {
      label: "matvecTransposed, tall",
      call: (o, _, a, b) => o.matvecTransposed(a, b),
      shapes: (n) => [[3 * n, 2], [3 * n]],
      ...sums,
    },
    {
      label: "matvecTransposed, data",
      call: (o, n, a) => o.matvecTransposed(o.constant(ramp(3 * n), [n, 3]), a),
      shapes: vector,
      ...sums,
    },
  ],
  outer: [{ label: "outer", call: (o, _, a, b) => o.outer(a, b), shapes: (n) => [[n], [n + 2]] }],
  matmul: [
    { label: "matmul", call: (o, _, a, b) => o.matmul(a, b), shapes: (n) => [[2, 2 * n], [2 * n, 3]], ...sums },
    { label: "matmul, square", call: (o, _, a, b) => o.matmul(a, b), shapes: (n) => [few(n), few(n)], ...sums },
    {
      label: "matmul with a column, a row, and of one inner element",
      call: (o, n, a, b, c) => o.matmul(o.matmul(o.matmul(c, a), b), o.matmul(o.constant(ramp(n), [1, n]), a)),
      shapes: (n) => [[n, 1], [1, 1], [1, n]],
      ...sums,
    },
    {
      label: "matmul of what has no memory",
      call: (o, n, a, b) =>
        o.matmul(o.broadcast(a, [3, n]), o.matmul(o.reshape(b, [n, 2]), o.constant(ramp(4), [2, 2]))),
      shapes: (n) => [[], [2 * n]],
      ...sums,
    },
  ],
  transpose: [
    { label: "transpose", call: (o, _, a) => o.transpose(a), shapes: (n) => [[n, 2]] },
    {
      label: "transpose of a transpose",
      call: (o, _, a) => o.transpose(o.sin(o.transpose(a))),
      shapes: (n) => [[3, n]],
    },
    {
      label: "transposes in a product",
      call: (o, _, a, b) =>
        o.matmul(o.transpose(o.outer(a, b)), o.transpose(o.matmul(o.transpose(o.outer(b, b)), o.outer(b, a)))),
      shapes: (n) => [[Math.min(n, 4)], [3]],
      ...sums,
    },
  ],
  linearSolve: [
    {
      label: "linearSolve for a vector",
      call: (o, _, a, b) => o.linearSolve(shifted(o, a), b),
      shapes: (n) => [few(n), [few(n)[0]!]],
      ...solved,
    },
    {
      label: "linearSolve for a matrix",
      call: (o, _, a, b) => o.linearSolve(shifted(o, a), b),
      shapes: (n) => [few(n), [few(n)[0]!, 3]],
      ...solved,
    },
    {
      label: "linearSolve two",
      call: (o, _, a, b) => o.linearSolve(shifted(o, a), b),
      shapes: () => [[2, 2], [2, 2]],
      ...solved,
    },
    {
      label: "linearSolve for several at once",
      call: (o, n, a, b, c) => {
        const [m, rows] = [shifted(o, a), few(n)[0]];
        const flat = (x: Sym, size: number): Sym => o.reshape(x, [size]);
        return o.concat(
          o.linearSolve(m, b),
          flat(o.linearSolve(m, c), 9 * rows),
          flat(o.linearSolve(m, a), rows * rows),
        );
      },
      shapes: (n) => [few(n), [few(n)[0]!], [few(n)[0]!, 9]],
      ...solved,
    },
    {
      label: "linearSolve with a shared matrix",
      call: (o, _, a, b, c) => o.linearSolve(shifted(o, a), o.add(b, o.linearSolve(shifted(o, a), c))),
      shapes: (n) => [few(n), [few(n)[0]!], [few(n)[0]!]],
      ...solved,
    },
  ],
  logDet: [
    { label: "logDet", call: (o, _, a) => o.logDet(definite(o, a)), shapes: (n) => [few(n)], ...solved },
    { label: "logDet of two rows", call: (o, _, a) => o.logDet(definite(o, a)), shapes: () => [[2, 2]], ...solved },
    {
      label: "logDet among other values",
      call: (o, _, a, b) => o.mul(b, o.sub(o.logDet(definite(o, a)), o.logDet(definite(o, o.transpose(a))))),
      shapes: (n) => [few(n), [n]],
      ...solved,
    },
  ],
  dot: [{ label: "dot", call: (o, _, a, b) => o.dot(a, b), shapes: (n) => [[n], [n]], ...sums }],
  sum: [
    ...unary("sum", sums),
    { label: "sum of a matrix", call: (o, _, a) => o.sum(o.sin(a)), shapes: (n) => [[n, 3]], ...sums },
    { label: "sum of equals", call: (o, n, a) => o.sum(o.broadcast(o.sin(a), n)), shapes: () => [[]], ...sums },
  ],
  mean: unary("mean", sums),
  maximum: unary("maximum", kinked),
  logSumExp: unary("logSumExp", sums),
  softmax: unary("softmax", { ulps: 40 }),
  slice: [
    { label: "slice", call: (o, n, a) => o.slice(a, 1, n + 1), shapes: (n) => [[2 * n + 1]] },
    {
      label: "slice of all that can be sliced",
      call: (o, n, a, b, c) => {
        const joined = o.mul(o.concat(o.sin(a), b, o.matvec(c, a)), 0.5);
        return o.slice(o.slice(o.add(joined, o.slice(joined, 0, 1)), 1, 3 * n), n - 1, 2 * n);
      },
      shapes: (n) => [[n], [n], [n, n]],
      ...sums,
    },
  ],
  concat: [
    {
      label: "concat",
      call: (o, _, a, b, c) => o.concat(b, 3, o.sin(a), c, o.reshape(a, a.shape)),
      shapes: (n) => [[n], [n + 1], []],
    },
  ],
  reshape: [
    { label: "reshape to a matrix", call: (o, n, a) => o.reshape(a, [n, 2]), shapes: (n) => [[2 * n]] },
    { label: "reshape to a vector", call: (o, n, a) => o.reshape(a, [3 * n]), shapes: (n) => [[3, n]] },
    {
      label: "reshape to weights",
      call: (o, n, a, b) => o.add(o.matvec(o.reshape(a, [n, n]), b), o.matvecTransposed(o.reshape(a, [n, n]), b)),
      shapes: (n) => [[n * n], [n]],
      ...sums,
    },
  ],
  broadcast: [
    { label: "broadcast of a scalar", call: (o, n, a) => o.broadcast(o.sin(a), 2 * n), shapes: () => [[]] },
    { label: "broadcast of an element", call: (o, n, a) => o.broadcast(a, [n, 2]), shapes: () => [[1]] },
  ],
  constant: [
    { label: "constant number", call: (o, n) => o.constant(-0.1, [n]), shapes: () => [[]] },
    { label: "constant vector", call: (o, n) => o.constant(Float32Array.from(ramp(n))), shapes: () => [[]] },
    { label: "constant matrix", call: (o, n) => o.constant(ramp(2 * n), [n, 2]), shapes: () => [[]] },
  ],
  grad: [
    { label: "grad", call: (o, _, a) => o.grad((v) => o.sum(o.mul(o.sin(v), v)))(a), shapes: vector, absolute: 1e-9 },
    {
      label: "grad with a capture",
      call: (o, _, a, b) => o.grad((v) => o.mul(o.dot(v, o.tanh(b)), o.dot(o.square(v), a)))(b),
      shapes: (n) => [[n], [n]],
      absolute: 1e-9,
    },
    { label: "grad of what is constant", call: (o, _, a) => o.grad(() => o.sum(a))(a), shapes: vector },
  ],
};

/** A call at one size: a function, arguments that suit it, and their values. */
export interface Case {
  readonly label: string;
  readonly body: Body;
  readonly shapes: readonly Shape[];
  /** The same on numbers: all arguments in one row, all results in another. */
  readonly reference: (row: readonly number[]) => readonly number[];
}

/** The case of a call at size n. */
export function caseOf({ label, call, shapes }: Call, n: number): Case {
  const given = shapes(n);
  const body: Body = (o, ...args) => call(o, n, args[0]!, args[1]!, args[2]!);
  const reference = (row: readonly number[]): readonly number[] => {
    let start = 0;
    const args = given.map((shape) => {
      const size = shape.reduce((product, axis) => product * axis, 1);
      return value(row.slice(start, start += size), shape);
    });
    return numbers(body(REFERENCE, ...args));
  };
  return { label: `${label}, n = ${n}`, body, shapes: given, reference };
}
