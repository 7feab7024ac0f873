import type { Rule } from "./loops.ts";
import type { SolveCase } from "./problems.ts";

// One sweep of ELK from its definition, in plain loops over arrays of arrays.

export type Matrix = number[][];

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
export const unit = (n: number): Matrix => range(n).map((i) => range(n).map((j) => (i === j ? 1 : 0)));
const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
const apply = (a: Matrix, v: readonly number[]): number[] =>
  a.map((row) => row.reduce((sum, value, k) => sum + value * v[k]!, 0));
const transposed = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));
const sum = (a: Matrix, b: Matrix, scale = 1): Matrix => a.map((row, i) => row.map((v, j) => v + scale * b[i]![j]!));

/** `a⁻¹ b` by Gaussian elimination with pivots. */
export function eliminate(a: Matrix, b: Matrix): Matrix {
  const n = a.length;
  const rows = a.map((row, i) => [...row, ...b[i]!]);
  for (let k = 0; k < n; k++) {
    const pivot = range(n).slice(k).reduce(
      (best, i) => Math.abs(rows[i]![k]!) > Math.abs(rows[best]![k]!) ? i : best,
      k,
    );
    [rows[k], rows[pivot]] = [rows[pivot]!, rows[k]!];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i]![k]! / rows[k]![k]!;
      for (let j = k; j < rows[i]!.length; j++) rows[i]![j]! -= factor * rows[k]![j]!;
    }
  }
  return rows.map((row, i) => row.slice(n).map((value) => value / row[i]!));
}

/** What a sweep knows of each row: the residual r, and G. */
export interface Linearised {
  readonly r: readonly number[];
  readonly g: Matrix;
}

/** δ of a filter's sweep; row 0 follows an exact state, so it is r itself. */
export function filterUpdates(rows: readonly Linearised[], damping: number): number[][] {
  const n = rows[0]!.r.length;
  let covariance: Matrix = unit(n).map((row) => row.map(() => 0));
  const updates: number[][] = [[...rows[0]!.r]];
  for (const { r, g } of rows.slice(1)) {
    const predicted = sum(times(times(g, covariance), transposed(g)), unit(n));
    const gain = eliminate(sum(unit(n), predicted, damping), unit(n));
    covariance = times(gain, predicted);
    const before = updates.at(-1)!;
    updates.push(apply(gain, apply(g, before).map((value, i) => value + r[i]!)));
  }
  return updates;
}

/** δ that minimises Σ |r[t] + G[t] δ[t-1] - δ[t]|² + λ Σ |δ[t]|², δ[0] = r[0], by its normal equations. */
export function leastSquares(rows: readonly Linearised[], damping: number): number[][] {
  const n = rows[0]!.r.length;
  const size = (rows.length - 1) * n;
  if (size === 0) return [[...rows[0]!.r]];
  // Residuals b - A δ: row block t - 1 is r[t] + G[t] δ[t-1] - δ[t].
  const a: Matrix = range(size).map(() => new Array<number>(size).fill(0));
  const b = new Array<number>(size).fill(0);
  rows.slice(1).forEach(({ r, g }, t) => {
    const first = apply(g, rows[0]!.r);
    for (const i of range(n)) {
      a[t * n + i]![t * n + i] = 1;
      b[t * n + i] = r[i]! + (t === 0 ? first[i]! : 0);
      if (t > 0) { for (const j of range(n)) a[t * n + i]![(t - 1) * n + j] = -g[i]![j]!; }
    }
  });
  const normal = sum(times(transposed(a), a), unit(size), damping);
  const flat = eliminate(normal, apply(transposed(a), b).map((value) => [value])).map(([value]) => value!);
  return [[...rows[0]!.r], ...range(rows.length - 1).map((t) => flat.slice(t * n, (t + 1) * n))];
}

/** ∂f/∂h by central differences. */
export function numericJacobian(rule: Rule, h: readonly number[], x: readonly number[], t: number): Matrix {
  const step = 1e-5;
  return transposed(h.map((_, j) => {
    const moved = (by: number): number[] => rule(h.map((value, i) => (i === j ? value + by : value)), x, t);
    const [up, down] = [moved(step), moved(-step)];
    return up.map((value, i) => (value - down[i]!) / (2 * step));
  }));
}

/** The iterate after one sweep from `guess` `(B, T, D)`, by a way to find δ. */
export function sweepOnce(
  { rule, xs, h0, time, step }: SolveCase,
  guess: ArrayLike<number>,
  mask: (jacobian: Matrix) => Matrix,
  updates: (rows: readonly Linearised[]) => number[][],
): number[] {
  const { state, input } = step;
  return range(h0.shape[0]!).flatMap((b) => {
    const row = (t: number): number[] =>
      Array.from({ length: state }, (_, i) => t < 0 ? h0.data[b * state + i]! : guess[(b * time + t) * state + i]!);
    const rows = range(time).map((t): Linearised => {
      const at = (b * time + t) * input;
      const x = Array.from(xs?.data.slice(at, at + input) ?? []);
      const f = rule!(row(t - 1), x, t);
      return { r: f.map((value, i) => value - row(t)[i]!), g: mask(numericJacobian(rule!, row(t - 1), x, t)) };
    });
    return updates(rows).flatMap((delta, t) => delta.map((value, i) => value + row(t)[i]!));
  });
}
