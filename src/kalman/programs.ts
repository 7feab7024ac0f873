import { sizeOf } from "../core/shape.ts";
import type { ShapeTree } from "../core/types.ts";
import type { Sym } from "../trace/graph.ts";
import { add, concat, equal, matvec, reshape, slice, sub, where } from "../trace/ops.ts";
import { type StepProgram, traceStep } from "../trace/program.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { filterElement, packFilter, smootherElement } from "./elements.ts";
import {
  backwardOf,
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

const rows = new Map<string, RowProgram>();
const steps = new Map<string, StepProgram>();

/** A program by what it is, of which layout, and for which ridge. */
function keep<T>(known: Map<string, T>, what: string, { key }: ModelLayout, make: (name: string) => T, ridge = 0): T {
  const name = `${what}, ${key}`;
  let program = known.get(`${name}, ${ridge}`);
  if (program === undefined) known.set(`${name}, ${ridge}`, program = make(name));
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

/**
 * The filtered states, and the rows after them, to the elements of the parallel smoother. The last one, which has no step
 * after it, is not what it must be.
 */
export function smootherElements(layout: ModelLayout, ridge: number): RowProgram {
  const { states, width } = layout;
  return keep(rows, "elements of a Kalman smoother", layout, (name) =>
    traceRows({
      name,
      inputs: { mean: [states], covariance: [states, states], next: [width] },
      access: { next: { shift: -1 } },
      params: fixedShapes(layout),
      fn: ({ mean, covariance, next }, p) => {
        const state = { mean, covariance };
        return { ...smootherElement(state, backwardOf(readDynamics(layout, p, next), state, ridge)) };
      },
    }), ridge);
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

/** Parts of a row that the recursion of the smoother reads. */
export function dynamicsParts(layout: ModelLayout): (ModelPart & { readonly offset: number })[] {
  return rowParts(layout).filter(({ name }) => name.startsWith("dynamics"));
}

/**
 * The recursion of Rauch, Tung and Striebel, on rows in reverse: the filtered state, and what of the dynamics changes to the
 * step after it.
 */
export function smootherStep(layout: ModelLayout, ridge: number): StepProgram {
  const { states: n } = layout;
  let offset = n + n * n;
  const parts = layout.parts.map((part): ModelPart => {
    if (part.offset === null || !part.name.startsWith("dynamics")) return part;
    offset += sizeOf(part.shape);
    return { ...part, offset: offset - sizeOf(part.shape) };
  });
  return keep(steps, "Kalman smoother", layout, (name) =>
    traceStep({
      name,
      state: n + n * n,
      input: offset,
      params: fixedShapes(layout),
      step: ({ h, x, p, t }) => {
        const filtered = takeState(x, n);
        const after = takeState(h, n);
        const { gain, predicted, covariance } = backwardOf(
          readDynamics({ ...layout, parts }, p, x),
          filtered,
          ridge,
        );
        const smoothed = {
          mean: add(filtered.mean, matvec(gain, sub(after.mean, predicted))),
          covariance: propagate({ matrix: gain, bias: null, covariance }, after).covariance,
        };
        const state = chooseState(equal(t, 0), filtered, smoothed);
        return concat(state.mean, flatten(state.covariance));
      },
    }), ridge);
}
