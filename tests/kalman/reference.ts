// The posterior of linear Gaussian models in double precision, twice: by Kalman's recursion as textbooks write it, and
// without any recursion, as one normal distribution of all states, conditioned on measurements.

import { add, apply, between, type Matrix, matrix, plus, solvePositive, times, transpose } from "./matrices.ts";
import type { Vector } from "./matrices.ts";
import type { PlainModel } from "./models.ts";

/** What is known of one sequence. */
export interface PlainPosterior {
  readonly logLik: number;
  readonly filteredMeans: readonly Vector[];
  readonly filteredCovariances: readonly Matrix[];
  readonly smoothedMeans: readonly Vector[];
  readonly smoothedCovariances: readonly Matrix[];
}

const column = (v: Vector): Matrix => v.map((x) => [x]);
const flat = (a: Matrix): Vector => a.map(([x]) => x!);
const isMissing = (y: Vector): boolean => y.some(Number.isNaN);

/** `log N(v; 0, S)` */
function logDensity(v: Vector, s: Matrix): number {
  const { x, logDet } = solvePositive(s, column(v));
  return -0.5 * (v.length * Math.log(2 * Math.PI) + logDet + v.reduce((sum, a, i) => sum + a * x[i]![0]!, 0));
}

/** Kalman's filter and the smoother of Rauch, Tung and Striebel. */
export function recursion(model: PlainModel, ys: readonly Vector[]): PlainPosterior {
  const { f, u, q, h, d, r } = model;
  let [m, p, logLik] = [model.mean, model.covariance, 0];
  const means: Vector[] = [];
  const covariances: Matrix[] = [];
  const predicted: { m: Vector; p: Matrix }[] = [];
  for (const [t, y] of ys.entries()) {
    if (t > 0) [m, p] = [plus(apply(f(t), m), u(t)), add(between(f(t), p), q(t))];
    predicted.push({ m, p });
    if (!isMissing(y)) {
      const s = add(between(h(t), p), r(t));
      const v = plus(plus(y, d(t), -1), apply(h(t), m), -1);
      const gain = transpose(solvePositive(s, times(h(t), p)).x);
      logLik += logDensity(v, s);
      m = plus(m, apply(gain, v));
      p = add(p, between(gain, s), -1);
    }
    means.push(m);
    covariances.push(p);
  }
  const smoothedMeans = [...means];
  const smoothedCovariances = [...covariances];
  for (let t = ys.length - 2; t >= 0; t--) {
    const { m: ahead, p: before } = predicted[t + 1]!;
    const gain = transpose(solvePositive(before, times(f(t + 1), covariances[t]!)).x);
    smoothedMeans[t] = plus(means[t]!, apply(gain, plus(smoothedMeans[t + 1]!, ahead, -1)));
    smoothedCovariances[t] = add(covariances[t]!, between(gain, add(smoothedCovariances[t + 1]!, before, -1)));
  }
  return { logLik, filteredMeans: means, filteredCovariances: covariances, smoothedMeans, smoothedCovariances };
}

/** All states as one vector, its prior, and what is measured of it. */
export function conditioning(model: PlainModel, ys: readonly Vector[]): PlainPosterior {
  const { f, u, q, h, d, r } = model;
  const [n, time] = [model.mean.length, ys.length];
  const mean: Vector[] = [];
  const blocks: Matrix[][] = [];
  for (let t = 0; t < time; t++) {
    mean.push(t === 0 ? model.mean : plus(apply(f(t), mean[t - 1]!), u(t)));
    // cov(x[t], x[s]) = F[t] cov(x[t-1], x[s])
    const row = blocks[t - 1]?.map((block) => times(f(t), block)) ?? [];
    const before = blocks[t - 1]?.[t - 1];
    blocks.push([...row, before === undefined ? model.covariance : add(between(f(t), before), q(t))]);
  }
  const prior = matrix(n * time, n * time, (i, j) => {
    const [t, s] = [Math.floor(i / n), Math.floor(j / n)];
    return t >= s ? blocks[t]![s]![i % n]![j % n]! : blocks[s]![t]![j % n]![i % n]!;
  });
  /** Given the measurements before step `until`. */
  const given = (until: number): { m: Vector; p: Matrix; logLik: number } => {
    const seen = ys.flatMap((y, t) => t < until && !isMissing(y) ? [t] : []);
    const all = mean.flat();
    if (seen.length === 0) return { m: all, p: prior, logLik: 0 };
    const e = ys[0]!.length;
    const [steps, size] = [seen.length * e, n * time];
    const look = matrix(steps, size, (i, j) => {
      const t = seen[Math.floor(i / e)]!;
      return Math.floor(j / n) === t ? h(t)[i % e]![j % n]! : 0;
    });
    const noise = matrix(steps, steps, (i, j) => {
      const t = seen[Math.floor(i / e)]!;
      return Math.floor(i / e) === Math.floor(j / e) ? r(t)[i % e]![j % e]! : 0;
    });
    const v = plus(seen.flatMap((t) => plus(ys[t]!, d(t), -1)), apply(look, all), -1);
    const s = add(between(look, prior), noise);
    const seenPrior = times(look, prior);
    const m = plus(all, flat(times(transpose(seenPrior), solvePositive(s, column(v)).x)));
    const p = add(prior, times(transpose(seenPrior), solvePositive(s, seenPrior).x), -1);
    return { m, p, logLik: logDensity(v, s) };
  };
  const stepOf = ({ m, p }: { m: Vector; p: Matrix }, t: number): [Vector, Matrix] => [
    m.slice(t * n, (t + 1) * n),
    matrix(n, n, (i, j) => p[t * n + i]![t * n + j]!),
  ];
  const filtered = ys.map((_, t) => stepOf(given(t + 1), t));
  const end = given(time);
  const smoothed = ys.map((_, t) => stepOf(end, t));
  return {
    logLik: end.logLik,
    filteredMeans: filtered.map(([m]) => m),
    filteredCovariances: filtered.map(([, p]) => p),
    smoothedMeans: smoothed.map(([m]) => m),
    smoothedCovariances: smoothed.map(([, p]) => p),
  };
}
