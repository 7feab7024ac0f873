// Random linear Gaussian models, as arrays for the library and as functions of time for the loops beside it.

import type { HostTensor, LinearGaussianModel } from "../../mod.ts";
import { createRandom, type Random } from "../../src/core/random.ts";
import { add, apply, identity, type Matrix, matrix, plus, times, transpose, type Vector } from "./matrices.ts";

/** A model at every step. */
export interface PlainModel {
  readonly mean: Vector;
  readonly covariance: Matrix;
  readonly f: (t: number) => Matrix;
  readonly u: (t: number) => Vector;
  readonly q: (t: number) => Matrix;
  readonly h: (t: number) => Matrix;
  readonly d: (t: number) => Vector;
  readonly r: (t: number) => Matrix;
}

/** What is drawn. */
export interface ModelSpec {
  readonly states: number;
  readonly measured: number;
  /** T */
  readonly time: number;
  readonly batch?: number;
  /** Spectral radius of the dynamics; default 0.95. */
  readonly radius?: number;
  /** Parts that change from step to step. */
  readonly varying?: readonly ("f" | "u" | "q" | "h" | "d" | "r")[];
  /** Whether there are biases; default false. */
  readonly biased?: boolean;
  /** The probability that a row is missing; default 0. */
  readonly missing?: number;
  readonly seed?: number;
  /** Of the states: in all directions, in all but one, or none; default "full". */
  readonly noise?: "full" | "singular" | "none";
  /** The size of the first covariance, 0 of a state that is known; default 1. */
  readonly prior?: number;
  /** Whether measurements have no noise; default false. */
  readonly exact?: boolean;
}

/** A model with measurements, both ways. */
export interface Drawn {
  readonly spec: ModelSpec;
  readonly model: LinearGaussianModel;
  /** `(B, T, E)`, or `(T, E)` without a batch */
  readonly ys: HostTensor;
  readonly plain: PlainModel;
  /** Of each sequence the rows. */
  readonly rows: readonly (readonly Vector[])[];
}

/** The largest size of an eigenvalue, from the growth of powers. */
function radiusOf(a: Matrix): number {
  let [power, log] = [a, 0];
  let count = 1;
  for (let k = 0; k < 12; k++) {
    power = times(power, power);
    log *= 2;
    count *= 2;
    const size = Math.max(...power.flat().map(Math.abs));
    if (size === 0) return 0;
    log += Math.log(size);
    power = power.map((row) => row.map((x) => x / size));
  }
  return Math.exp(log / count);
}

const round = (a: Matrix): Matrix => a.map((row) => row.map(Math.fround));

function covariance(random: Random, n: number, floor: number): Matrix {
  const b = matrix(n, n, () => random.normal() / Math.sqrt(n));
  return round(add(times(b, transpose(b)), identity(n, floor)));
}

/** A covariance of rank n - 1, at least 1, exactly: a product of short binary fractions. */
function singular(random: Random, n: number): Matrix {
  const b = matrix(n, Math.max(1, n - 1), () => Math.round(16 * random.normal()) / 16);
  return times(b, transpose(b));
}

const host = (data: Iterable<number>, shape: readonly number[]): HostTensor => ({
  data: Float64Array.from(data),
  shape,
});

/** A random model and measurements that follow it; all numbers are those of f32, so that every device has the same. */
export function drawModel(spec: ModelSpec): Drawn {
  const { states, measured, time, batch, radius = 0.95, varying = [], biased = false, missing = 0, seed = 1 } = spec;
  const { noise = "full", prior = 1, exact = false } = spec;
  const random = createRandom(seed + 1000 * states + measured);
  const vector = (n: number): Vector => Array.from({ length: n }, () => Math.fround(random.normal()));
  const dynamics = (): Matrix => {
    const a = matrix(states, states, () => random.normal());
    const scale = radius / radiusOf(a);
    return round(a.map((row) => row.map((x) => x * scale)));
  };
  /** One for all steps, or one for each. */
  const part = <T>(name: "f" | "u" | "q" | "h" | "d" | "r", draw: () => T): { at: (t: number) => T; all: T[] } => {
    const all = Array.from({ length: varying.includes(name) ? time : 1 }, draw);
    return { at: (t) => all[all.length === 1 ? 0 : t]!, all };
  };
  const f = part("f", dynamics);
  const u = part("u", () => biased ? vector(states) : new Array<number>(states).fill(0));
  const q = part("q", () => {
    if (noise === "full") return covariance(random, states, 0.1);
    return noise === "none" ? identity(states, 0) : singular(random, states);
  });
  const h = part("h", () => round(matrix(measured, states, () => random.normal())));
  const d = part("d", () => biased ? vector(measured) : new Array<number>(measured).fill(0));
  const r = part("r", () => exact ? identity(measured, 0) : covariance(random, measured, 0.2));
  const plain: PlainModel = {
    mean: vector(states),
    covariance: round(covariance(random, states, 0.5).map((row) => row.map((x) => x * prior))),
    ...{ f: f.at, u: u.at, q: q.at, h: h.at, d: d.at, r: r.at },
  };
  const rows = Array.from({ length: batch ?? 1 }, () => simulate(plain, spec, random));
  for (const sequence of rows) {
    for (const row of sequence) {
      // One missing element is enough.
      if (random.uniform() < missing) row[Math.floor(random.uniform() * measured)] = NaN;
    }
  }
  const shaped = (name: string, all: readonly (Matrix | Vector)[], shape: readonly number[]): HostTensor =>
    host((all as readonly number[][]).flat(2), varying.some((part) => part === name) ? [time, ...shape] : shape);
  const model: LinearGaussianModel = {
    initialMean: host(plain.mean, [states]),
    initialCovariance: host(plain.covariance.flat(), [states, states]),
    dynamics: shaped("f", f.all, [states, states]),
    ...(biased && { dynamicsBias: shaped("u", u.all, [states]), emissionBias: shaped("d", d.all, [measured]) }),
    dynamicsCovariance: shaped("q", q.all, [states, states]),
    emission: shaped("h", h.all, [measured, states]),
    emissionCovariance: shaped("r", r.all, [measured, measured]),
  };
  const leading = batch === undefined ? [time] : [batch, time];
  return { spec, model, ys: host(rows.flat(2), [...leading, measured]), plain, rows };
}

/** States that would grow beyond this are taken back: a filter does not mind. */
const MOST = 100;

function simulate({ mean, f, u, h, d }: PlainModel, { states, measured, time }: ModelSpec, random: Random): number[][] {
  let x: Vector = mean;
  return Array.from({ length: time }, (_, t) => {
    if (t > 0) x = plus(plus(apply(f(t), x), u(t)), Array.from({ length: states }, () => 0.3 * random.normal()));
    const size = Math.max(...x.map(Math.abs));
    if (size > MOST) x = x.map((value) => value / size);
    const noise = Array.from({ length: measured }, () => 0.5 * random.normal());
    return plus(plus(apply(h(t), x), d(t)), noise).map(Math.fround);
  });
}
