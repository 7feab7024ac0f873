import { sizeOf } from "../core/shape.ts";
import type { ShapeTree } from "../core/types.ts";
import type { Sym } from "../trace/graph.ts";
import { concat, equal, reshape, slice, where } from "../trace/ops.ts";
import { type StepProgram, traceStep } from "../trace/program.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { type FilterElement, filterElement, type Future, lookAhead, packFilter } from "./elements.ts";
import { futureElement, type Lent, smoothState } from "./future.ts";
import {
  gainOf,
  type Gaussian,
  type LinearGaussian,
  logLikelihood,
  measure,
  type Measurement,
  propagate,
  update,
} from "./gaussian.ts";
import type { ModelLayout, ModelPart, PartName } from "./model.ts";

/** Symbols by name, as traced functions get them. */
type Symbols = Readonly<Record<string, Sym>>;

/** Shapes of what is the same at all steps: the parameters of every program.  */
export function fixedShapes({ states, parts }: ModelLayout): ShapeTree {
  const fixed = parts.filter(({ offset }) => offset === null).map(({ name, shape }) => [name, shape] as const);
  return { initialMean: [states], initialCovariance: [states, states], ...Object.fromEntries(fixed) };
}

/** The parts that a row holds. */
export function rowParts({ parts }: ModelLayout): (ModelPart & { readonly offset: number })[] {
  return parts.filter((part): part is ModelPart & { offset: number } => part.offset !== null);
}

function readPart({ parts }: ModelLayout, name: PartName, p: Symbols, row: Sym): Sym | null {
  const part = parts.find((part) => part.name === name);
  if (part === undefined) return null;
  const { shape, offset } = part;
  return offset === null ? p[name]! : reshape(slice(row, offset, offset + sizeOf(shape)), shape);
}

function readDynamics(layout: ModelLayout, p: Symbols, row: Sym): LinearGaussian {
  return {
    matrix: readPart(layout, "dynamics", p, row)!,
    bias: readPart(layout, "dynamicsBias", p, row),
    covariance: readPart(layout, "dynamicsCovariance", p, row)!,
  };
}

function readEmission(layout: ModelLayout, p: Symbols, row: Sym): LinearGaussian {
  return {
    matrix: readPart(layout, "emission", p, row)!,
    bias: readPart(layout, "emissionBias", p, row),
    covariance: readPart(layout, "emissionCovariance", p, row)!,
  };
}

function readMeasurement({ measured }: ModelLayout, row: Sym): Measurement {
  return measure(slice(row, 0, measured));
}

const startOf = (p: Symbols): Gaussian => ({ mean: p["initialMean"]!, covariance: p["initialCovariance"]! });

/** `a` at the first step, else `b`. */
const chooseState = (first: Sym, a: Gaussian, b: Gaussian): Gaussian => ({
  mean: where(first, a.mean, b.mean),
  covariance: where(first, a.covariance, b.covariance),
});

const flatten = (a: Sym): Sym => reshape(a, [sizeOf(a.shape)]);

function takeState(v: Sym, n: number): Gaussian {
  return { mean: slice(v, 0, n), covariance: reshape(slice(v, n, n + n * n), [n, n]) };
}

function takeFuture(v: Sym, n: number): Future {
  return { information: reshape(slice(v, 0, n * n), [n, n]), potential: slice(v, n * n, n * n + n) };
}

const rows = new Map<string, RowProgram>();
const steps = new Map<string, StepProgram>();

/** A program by what it is, of which layout, and for which share. */
function keep<T>(
  known: Map<string, T>,
  what: string,
  { key }: Pick<ModelLayout, "key">,
  make: (name: string) => T,
  share = 0,
): T {
  const name = `${what}, ${key}`;
  let program = known.get(`${name}, ${share}`);
  if (program === undefined) known.set(`${name}, ${share}`, program = make(name));
  return program;
}

/** Rows to the elements of the parallel filter, in the arrays of its operator. */
export function filterElements(layout: ModelLayout): RowProgram {
  const { parts, width } = layout;
  const names = ["dynamics", "dynamicsCovariance", "emission", "emissionCovariance"];
  const fixed = parts.every(({ name, offset }) => offset === null || !names.includes(name));
  return keep(rows, "elements of a Kalman filter", layout, (name) =>
    traceRows({
      name,
      inputs: { row: [width] },
      params: fixedShapes(layout),
      fn: ({ row }, p, t) => {
        const element = filterElement(
          readDynamics(layout, p, row),
          readEmission(layout, p, row),
          readMeasurement(layout, row),
          { first: equal(t, 0), start: startOf(p), fixed },
        );
        return { ...packFilter(element) };
      },
    }));
}

/** The filtered states, and the rows, to the log-likelihood of each measurement. */
export function logLikelihoods(layout: ModelLayout): RowProgram {
  const { states, width } = layout;
  return keep(rows, "log-likelihoods of a Kalman filter", layout, (name) =>
    traceRows({
      name,
      inputs: { mean: [states], covariance: [states, states], row: [width] },
      access: { mean: { shift: 1 }, covariance: { shift: 1 } },
      params: fixedShapes(layout),
      fn: ({ mean, covariance, row }, p, t) => {
        const predicted = propagate(readDynamics(layout, p, row), { mean, covariance });
        const state = chooseState(equal(t, 0), startOf(p), predicted);
        return { value: logLikelihood(readEmission(layout, p, row), state, readMeasurement(layout, row)) };
      },
    }));
}

/** The filtered covariances, and the rows, to the elements of the parallel smoother; those of the first rows lead nowhere. */
export function smootherElements(layout: ModelLayout, share: number): RowProgram {
  const { states, width } = layout;
  return keep(rows, "elements of a Kalman smoother", layout, (name) =>
    traceRows({
      name,
      inputs: { covariance: [states, states], before: [states, states], row: [width] },
      access: { before: { shift: 1 } },
      params: fixedShapes(layout),
      fn: ({ covariance, before, row }, p) => {
        const lent = { covariance, before, share };
        return { ...packFilter(elementOfFuture(layout, p, row, lent)) };
      },
    }), share);
}

function elementOfFuture(layout: ModelLayout, p: Symbols, row: Sym, lent: Lent): FilterElement {
  return futureElement(
    readDynamics(layout, p, row),
    readEmission(layout, p, row),
    readMeasurement(layout, row),
    lent,
  );
}

/**
 * The filtered states, and what the measurements after them say, to the smoothed ones. The future of row t is that of the
 * row behind it: of the last one zeros, nothing. Its words, J and η, are the last of `width`.
 */
export function smoothedStates(n: number, width: number, share: number): RowProgram {
  const first = width - n * n - n;
  return keep(rows, "states of a Kalman smoother", { key: `${n} of ${width}` }, (name) =>
    traceRows({
      name,
      inputs: { mean: [n], covariance: [n, n], future: [width] },
      access: { future: { shift: -1 } },
      params: {},
      fn: ({ mean, covariance, future }) => ({
        ...smoothState({ mean, covariance }, takeFuture(slice(future, first, width), n), share),
      }),
    }), share);
}

/** The recursion of Kalman: the state holds mean, covariance, and the log-likelihood of the measurement. */
export function filterStep(layout: ModelLayout): StepProgram {
  const { states: n, width } = layout;
  return keep(steps, "Kalman filter", layout, (name) =>
    traceStep({
      name,
      state: n + n * n + 1,
      input: width,
      params: fixedShapes(layout),
      step: ({ h, x, p, t }) => {
        const emission = readEmission(layout, p, x);
        const before = takeState(h, n);
        const predicted = chooseState(equal(t, 0), before, propagate(readDynamics(layout, p, x), before));
        const gain = gainOf(emission, predicted.covariance);
        const { mean, covariance, logLik } = update(emission, predicted, gain, readMeasurement(layout, x));
        return concat(mean, flatten(covariance), logLik);
      },
    }));
}

/**
 * The recursion of the smoother, on rows in reverse: the state holds J and η, what is known of the state before this step
 * from this one on; the input the covariances of this step and of the one before it, and the row.
 */
export function smootherStep(layout: ModelLayout, share: number): StepProgram {
  const { states: n, width } = layout;
  return keep(steps, "Kalman smoother", layout, (name) =>
    traceStep({
      name,
      state: n * n + n,
      input: 2 * n * n + width,
      params: fixedShapes(layout),
      step: ({ h, x, p }) => {
        const covarianceAt = (k: number): Sym => reshape(slice(x, k * n * n, (k + 1) * n * n), [n, n]);
        const lent = { covariance: covarianceAt(0), before: covarianceAt(1), share };
        const element = elementOfFuture(layout, p, slice(x, 2 * n * n, 2 * n * n + width), lent);
        const { information, potential } = lookAhead(element, takeFuture(h, n));
        return concat(flatten(information), potential);
      },
    }), share);
}
