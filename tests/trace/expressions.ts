// Random expressions over the vocabulary, to be traced and to be computed on numbers.

import type { Random } from "../../src/core/random.ts";
import type { Operand, Shape, Sym } from "../../src/trace/ops.ts";
import { REFERENCE, type Vocabulary } from "./reference.ts";

/** An expression of the leaves. */
export type Expression = (o: Vocabulary, leaves: readonly Sym[]) => Operand;

/** The leaves a, b, s, m and w. */
export const LEAVES = (n: number): readonly Shape[] => [[n], [n], [], [n, n], [2 * n]];

/** Random expressions whose values are scalars, or vectors of n. */
export class Generator {
  constructor(readonly random: Random, readonly n: number) {}

  pick<R>(...choices: readonly (() => R)[]): R {
    return choices[Math.floor(this.random.uniform() * choices.length)]!();
  }

  number(): number {
    const special = [0, 1, -1, 2, 0.5, -0.3, 3];
    return this.random.uniform() < 0.01 ? NaN : special[Math.floor(this.random.uniform() * special.length)]!;
  }

  /** No operation that jumps: rounding would decide. */
  leaf(vector: boolean): Expression {
    const k = this.number();
    if (!vector) return this.pick<Expression>(() => (_, [, , s]) => s!, () => () => k);
    const { n } = this;
    return this.pick<Expression>(
      () => (_, [a]) => a!,
      () => (_, [, b]) => b!,
      () => (o, [, , s]) => o.broadcast(s!, n),
      () => (o, leaves) => o.slice(leaves[4]!, n - 1, 2 * n - 1),
      () => (o) => o.constant(k, [n]),
      () => (o) => o.constant(Array.from({ length: n }, (_, i) => Math.sin(i + k || i))),
    );
  }

  any(vector: boolean, depth: number): Expression {
    if (depth === 0) return this.leaf(vector);
    const x = this.any(vector, depth - 1);
    const other = vector && this.random.uniform() < 0.5;
    const y = this.any(other, depth - 1);
    const [p, q] = [this.leaf(vector), this.leaf(other)];
    const unary = [
      "neg",
      "sin",
      "cos",
      "tanh",
      "sigmoid",
      "softplus",
      "relu",
      "gelu",
      "abs",
      "logSigmoid",
      "stopGradient",
      "square",
    ] as const;
    const binary = ["add", "sub", "mul", "max", "min"] as const;
    const common: (() => Expression)[] = [
      ...unary.map((op) => (): Expression => (o, l) => o[op](x(o, l))),
      ...binary.flatMap((
        op,
      ) => [(): Expression => (o, l) => o[op](x(o, l), y(o, l)), (): Expression => (o, l) => o[op](y(o, l), x(o, l))]),
      () => (o, l) => o.exp(o.min(x(o, l), 1)),
      () => (o, l) => o.sqrt(o.add(o.square(x(o, l)), 0.2)),
      () => (o, l) => o.log(o.add(0.3, o.square(x(o, l)))),
      () => (o, l) => o.div(x(o, l), o.add(o.sin(y(o, l)), 1.5)),
      () => (o, l) => o.pow(o.add(o.sin(x(o, l)), 1.5), o.tanh(y(o, l))),
      () => (o, l) => o.where(o.less(p(o, l), q(o, l)), x(o, l), y(o, l)),
    ];
    return this.pick(...common, ...(vector ? this.vectors(x, y, depth) : this.scalars(depth)));
  }

  vectors(x: Expression, other: Expression, depth: number): (() => Expression)[] {
    const { n } = this;
    const cut = Math.floor(this.random.uniform() * (n + 1));
    const y = this.any(true, depth - 1);
    const joined: Expression = (o, l) => o.concat(x(o, l), other(o, l), y(o, l));
    return [
      () => (o, l) => o.matvec(l[3]!, x(o, l)),
      () => (o, l) => o.matvecTransposed(l[3]!, x(o, l)),
      () => (o, l) => o.matvec(o.outer(x(o, l), o.tanh(y(o, l))), y(o, l)),
      () => (o, l) => o.matvec(o.reshape(o.concat(x(o, l), y(o, l)), [n, 2]), o.constant([0.5, -0.3])),
      () => (o, l) => o.matvecTransposed(o.reshape(o.concat(x(o, l), y(o, l)), [2, n]), o.slice(l[4]!, 0, 2)),
      () => (o, l) => o.softmax(x(o, l)),
      () => (o, l) => o.slice(joined(o, l), cut, cut + n),
      () => (o, l) => o.slice(o.sin(o.mul(joined(o, l), 0.7)), cut, cut + n),
      // By hand on numbers: differences are too coarse here.
      () => (o, l) =>
        o === REFERENCE
          ? o.mul(y(o, l), o.cos(o.mul(x(o, l), y(o, l))))
          : o.grad((v) => o.sum(o.sin(o.mul(v, y(o, l)))))(x(o, l)),
    ];
  }

  scalars(depth: number): (() => Expression)[] {
    const { n } = this;
    const at = Math.floor(this.random.uniform() * n);
    const [x, y] = [this.any(true, depth - 1), this.any(true, depth - 1)];
    return [
      () => (o, l) => o.sum(x(o, l)),
      () => (o, l) => o.mean(x(o, l)),
      () => (o, l) => o.maximum(x(o, l)),
      () => (o, l) => o.logSumExp(o.tanh(x(o, l))),
      () => (o, l) => o.dot(x(o, l), y(o, l)),
      () => (o, l) => o.reshape(o.slice(x(o, l), at, at + 1), []),
    ];
  }
}
