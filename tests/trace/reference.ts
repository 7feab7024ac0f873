// The vocabulary of traced steps written a second time, on plain numbers: what printed code is held against.

import type * as ops from "../../src/trace/ops.ts";
import type { Operand, Sym } from "../../src/trace/ops.ts";

/** What a traced function may call. A function of a vocabulary can be traced (`ops`) and computed ({@linkcode REFERENCE}). */
export type Vocabulary = typeof ops;

/** An array of numbers in place of a symbol. */
export interface Value extends Sym {
  readonly data: readonly number[];
}

/** The number of elements of a shape. */
export function count(shape: readonly number[]): number {
  return shape.reduce((product, axis) => product * axis, 1);
}

/** Numbers as a value: a vector, unless a shape is given. */
export function value(data: ArrayLike<number>, shape: readonly number[] = [data.length]): Value {
  return { shape, data: Array.from(data) };
}

/** The numbers of a value that stands for a symbol. */
export function numbers(a: Operand): readonly number[] {
  return lift(a).data;
}

function lift(a: Operand): Value {
  return typeof a === "number" ? value([a], []) : a as Value;
}

/** `fn` element by element; a single element goes with all. */
function each(fn: (...x: number[]) => number, ...operands: readonly Operand[]): Value {
  const values = operands.map(lift);
  let shape = values[0]!.shape;
  for (const other of values) {
    const [old, size] = [count(shape), count(other.shape)];
    if (size > old || (size === old && other.shape.length > shape.length)) shape = other.shape;
  }
  const at = (data: readonly number[], i: number): number => data[data.length === 1 ? 0 : i]!;
  return value(Array.from({ length: count(shape) }, (_, i) => fn(...values.map(({ data }) => at(data, i)))), shape);
}

function product(matrix: Sym, vector: Operand, transposed: boolean): Value {
  const [m, n] = matrix.shape as [number, number];
  const out = new Array<number>(transposed ? n : m).fill(0);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const entry = numbers(matrix)[i * n + j]!;
      if (transposed) out[j]! += entry * numbers(vector)[i]!;
      else out[i]! += entry * numbers(vector)[j]!;
    }
  }
  return value(out);
}

/** x of `a x = b` by the method of Gauss and Jordan: every row is freed of every other unknown. */
function solution(a: Sym, b: Operand): Value {
  const n = a.shape[0]!;
  const width = numbers(b).length / n;
  const rows = Array.from({ length: n }, (_, i) => [
    ...numbers(a).slice(i * n, (i + 1) * n),
    ...numbers(b).slice(i * width, (i + 1) * width),
  ]);
  for (let k = 0; k < n; k++) {
    const rest = rows.slice(k).map((row) => Math.abs(row[k]!));
    const top = k + rest.indexOf(Math.max(...rest));
    [rows[k], rows[top]] = [rows[top]!, rows[k]!];
    rows[k] = rows[k]!.map((entry) => entry / rows[k]![k]!);
    rows.forEach((row, i) => i === k || (rows[i] = row.map((entry, j) => entry - row[k]! * rows[k]![j]!)));
  }
  return value(rows.flatMap((row) => row.slice(n)), lift(b).shape);
}

/** By its expansion along the first row. */
function determinant({ shape, ...a }: Sym): number {
  const n = shape[0]!;
  const { data } = a as Value;
  if (n === 1) return data[0]!;
  return total(Array.from({ length: n }, (_, j) => {
    const minor = data.slice(n).filter((_, e) => e % n !== j);
    return (j % 2 === 0 ? 1 : -1) * data[j]! * determinant(value(minor, [n - 1, n - 1]));
  }));
}

const total = (data: readonly number[]): number => data.reduce((sum, x) => sum + x, 0);
const larger = (x: number, y: number): number => x !== x || y !== y ? NaN : x > y ? x : y;
const logistic = (x: number): number => x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x));
const SQRT_2_OVER_PI = 0.7978845608028654;

/** Every operation on numbers, by the textbook: nothing here guards against overflow, and `grad` is numeric. */
export const REFERENCE: Vocabulary = {
  add: (a, b) => each((x, y) => x + y, a, b),
  sub: (a, b) => each((x, y) => x - y, a, b),
  mul: (a, b) => each((x, y) => x * y, a, b),
  div: (a, b) => each((x, y) => x / y, a, b),
  neg: (a) => each((x) => -x, a),
  square: (a) => each((x) => x ** 2, a),
  exp: (a) => each(Math.exp, a),
  log: (a) => each(Math.log, a),
  sqrt: (a) => each((x) => x ** 0.5, a),
  sin: (a) => each(Math.sin, a),
  cos: (a) => each(Math.cos, a),
  tanh: (a) => each((x) => Math.expm1(2 * x) / (Math.expm1(2 * x) + 2), a),
  sigmoid: (a) => each(logistic, a),
  logSigmoid: (a) => each((x) => x < 0 ? x - Math.log1p(Math.exp(x)) : -Math.log1p(Math.exp(-x)), a),
  softplus: (a) => each((x) => x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)), a),
  relu: (a) => each((x) => x < 0 ? 0 : x, a),
  gelu: (a) => each((x) => x * logistic(2 * SQRT_2_OVER_PI * (x + 0.044715 * x ** 3)), a),
  abs: (a) => each((x) => x < 0 ? -x : x, a),
  sign: (a) => each((x) => x > 0 ? 1 : x < 0 ? -1 : x, a),
  pow: (a, b) => each((x, y) => x ** y, a, b),
  max: (a, b) => each(larger, a, b),
  min: (a, b) => each((x, y) => -larger(-x, -y), a, b),
  less: (a, b) => each((x, y) => Number(x < y), a, b),
  greater: (a, b) => each((x, y) => Number(x > y), a, b),
  equal: (a, b) => each((x, y) => Number(x === y), a, b),
  isNaN: (a) => each((x) => Number(Number.isNaN(x)), a),
  where: (condition, a, b) => each((c, x, y) => c === 0 ? y : x, condition, a, b),
  stopGradient: (a) => each((x) => x, a),
  matvec: (matrix, vector) => product(matrix, vector, false),
  matvecTransposed: (matrix, vector) => product(matrix, vector, true),
  outer: (a, b) =>
    value(numbers(a).flatMap((x) => numbers(b).map((y) => x * y)), [numbers(a).length, numbers(b).length]),
  matmul(a, b) {
    const [m, inner, n] = [a.shape[0]!, a.shape[1]!, b.shape[1]!];
    const row = (i: number): Value => value(numbers(a).slice(i * inner, (i + 1) * inner));
    return value(Array.from({ length: m }, (_, i) => product(b, row(i), true).data).flat(), [m, n]);
  },
  transpose({ shape, ...a }) {
    const [m, n] = shape as [number, number];
    const { data } = a as Value;
    return value(Array.from({ length: m * n }, (_, e) => data[(e % m) * n + Math.floor(e / m)]!), [n, m]);
  },
  linearSolve: solution,
  logDet: (a) => value([Math.log(determinant(a))], []),
  dot: (a, b) => value([total(numbers(a).map((x, i) => x * numbers(b)[i]!))], []),
  sum: (a) => value([total(numbers(a))], []),
  mean: (a) => value([total(numbers(a)) / numbers(a).length], []),
  maximum: (a) => value([numbers(a).reduce(larger)], []),
  logSumExp: (a) => value([Math.log(total(numbers(a).map(Math.exp)))], []),
  softmax: (a) => each((x) => Math.exp(x) / total(numbers(a).map(Math.exp)), a),
  slice: (v, start, end) => value(numbers(v).slice(start, end)),
  concat: (...values) => value(values.flatMap(numbers)),
  reshape: (v, shape) => value(numbers(v), shape),
  broadcast(a, length) {
    const shape = typeof length === "number" ? [length] : length;
    return value(Array.from({ length: count(shape) }, () => numbers(a)[0]!), shape);
  },
  constant: (data, shape) =>
    typeof data === "number"
      ? value(Array.from({ length: count(shape ?? []) }, () => data), shape ?? [])
      : value(data, shape ?? [data.length]),
  grad: (fn) => (v) => {
    const { shape, data } = lift(v);
    const jacobian = numericJacobian((at) => numbers(fn(value(at, shape))), data);
    return value(jacobian[0]!, shape);
  },
};

/** `∂f/∂v` row by row, by central differences of fourth order: the error is about `h⁴ f⁽⁵⁾ / 30 + eps |f| / h`. */
export function numericJacobian(
  f: (v: readonly number[]) => readonly number[],
  at: readonly number[],
  h = 1e-3,
): number[][] {
  const columns = at.map((_, j) => {
    const shifted = (steps: number): readonly number[] => f(at.map((x, k) => k === j ? x + steps * h : x));
    const [back2, back, forward, forward2] = [shifted(-2), shifted(-1), shifted(1), shifted(2)];
    return forward.map((_, i) => (8 * (forward[i]! - back[i]!) - (forward2[i]! - back2[i]!)) / (12 * h));
  });
  const rows = columns[0]?.length ?? 0;
  return Array.from({ length: rows }, (_, i) => columns.map((column) => column[i]!));
}

/** `cᵀ ∇²g d`: the mixed second difference of fourth order of a scalar function. */
export function numericCurvature(
  g: (v: readonly number[]) => number,
  at: readonly number[],
  c: readonly number[],
  d: readonly number[],
  h = 4e-3,
): number {
  const stencil = [[-2, 1 / 12], [-1, -8 / 12], [1, 8 / 12], [2, -1 / 12]] as const;
  let curvature = 0;
  for (const [i, a] of stencil) {
    for (const [j, b] of stencil) curvature += a * b * g(at.map((x, k) => x + h * (i * c[k]! + j * d[k]!)));
  }
  return curvature / h ** 2;
}
