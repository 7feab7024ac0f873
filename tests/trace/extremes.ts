// What functions give where they overflow, have no value, or meet NaN.

import type { Sym } from "../../src/trace/ops.ts";
import type { Vocabulary } from "./reference.ts";

/** Function values to 16 digits, by a computer algebra system or exact. */
export const EXTREMES: readonly [
  name: string,
  fn: (o: Vocabulary, a: Sym) => Sym,
  at: readonly number[],
  expected: readonly number[],
][] = [
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
  ["sign", (o, a) => o.sign(a), [-Infinity, NaN, 0, 1e-30], [-1, NaN, 0, 1]],
  ["max", (o, a) => o.max(a, 0.5), [-Infinity, NaN, 0, 0.5, 1], [0.5, NaN, 0.5, 0.5, 1]],
  ["max, NaN last", (o, a) => o.max(0.5, a), [NaN, 1], [NaN, 1]],
  ["min", (o, a) => o.min(a, 0.5), [-Infinity, NaN, 0, 0.5, 1], [-Infinity, NaN, 0, 0.5, 0.5]],
  ["min, NaN last", (o, a) => o.min(0.5, a), [NaN, 1], [NaN, 0.5]],
  ["less", (o, a) => o.less(a, 0.5), [-Infinity, NaN, 0.5, 1], [1, 0, 0, 0]],
  ["greater", (o, a) => o.greater(a, 0.5), [-Infinity, NaN, 0.5, 1], [0, 0, 0, 1]],
  ["equal", (o, a) => o.equal(a, 0.5), [-Infinity, NaN, 0.5, 1], [0, 0, 1, 0]],
  ["isNaN", (o, a) => o.isNaN(a), [-Infinity, NaN, 0, 1, Infinity], [0, 1, 0, 0, 0]],
  ["isNaN of what is computed", (o, a) => o.isNaN(o.sqrt(a)), [-1, 1, NaN, Infinity], [1, 0, 1, 0]],
  ["missing is 0", (o, a) => o.where(o.isNaN(a), 0, o.mul(2, a)), [NaN, 3, -Infinity], [0, 6, -Infinity]],
  // NaN is not 0: it chooses the first. What is not chosen does not show, even if it is NaN.
  ["where", (o, a) => o.where(a, 1, 2), [NaN, -0, 0, -1], [1, 2, 2, 1]],
  ["where, NaN not chosen", (o, a) => o.where(o.less(a, 0), 7, o.sqrt(a)), [-4, 4], [7, 2]],
  // Nothing computes on with what is no number.
  ["sums of functions of NaN", (o, a) => o.add(o.exp(a), o.square(a)), [NaN, 0], [NaN, 1]],
  ["exp of NaN", (o, a) => o.exp(a), [NaN], [NaN]],
  ["log of NaN", (o, a) => o.log(a), [NaN], [NaN]],
  ["sqrt of NaN", (o, a) => o.sqrt(a), [NaN], [NaN]],
  ["sin of no number", (o, a) => o.sin(a), [NaN, Infinity, -Infinity], [NaN, NaN, NaN]],
  ["cos of no number", (o, a) => o.cos(a), [NaN, Infinity, -Infinity], [NaN, NaN, NaN]],
  ["tanh of NaN", (o, a) => o.tanh(a), [NaN], [NaN]],
  ["sigmoid of NaN", (o, a) => o.sigmoid(a), [NaN], [NaN]],
  ["softplus of NaN", (o, a) => o.softplus(a), [NaN], [NaN]],
  ["gelu of NaN", (o, a) => o.gelu(a), [NaN], [NaN]],
  ["div by NaN", (o, a) => o.div(1, a), [NaN], [NaN]],
];

const TOP = 1000 + Math.log(20);

/** The same for functions of a whole vector: given once, and 20 times over (of the result the first elements). */
export const EXTREME_VECTORS: readonly [
  name: string,
  fn: (o: Vocabulary, a: Sym) => Sym,
  at: readonly number[],
  once: readonly number[],
  repeated: readonly number[],
][] = [
  ["logSumExp", (o, a) => o.logSumExp(a), [1000, 0, -1000], [1000], [TOP]],
  ["logSumExp", (o, a) => o.logSumExp(a), [-1000, -1000], [-1000 + Math.LN2], [-1000 + Math.log(40)]],
  ["softmax", (o, a) => o.softmax(a), [1000, 0, -1000], [1, 0, 0], [0.05, 0, 0]],
  ["softmax", (o, a) => o.softmax(a), [-1000, -1000], [0.5, 0.5], [0.025, 0.025]],
  ["maximum", (o, a) => o.maximum(a), [-Infinity, -5, -7], [-5], [-5]],
  ["maximum", (o, a) => o.maximum(a), [-1, NaN, 2], [NaN], [NaN]],
  ["softmax", (o, a) => o.softmax(a), [1, NaN], [NaN, NaN], [NaN, NaN]],
  ["logSumExp", (o, a) => o.logSumExp(a), [1, NaN], [NaN], [NaN]],
  // What is masked with -Infinity has no weight.
  ["softmax", (o, a) => o.softmax(a), [0, -Infinity], [1, 0], [0.05, 0]],
  ["logSumExp", (o, a) => o.logSumExp(a), [2, -Infinity], [2], [2 + Math.log(20)]],
];
