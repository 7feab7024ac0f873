/** What functions over rows are described by, and the plain numbers of tests. Runs in pages too. */

import { type RowSpec, traceRows } from "../../src/trace/rows.ts";
import type { RowProgram } from "../../src/trace/rows.ts";

type Values = Readonly<Record<string, readonly number[]>>;

/** A function over rows, and what is asked of its results. */
export interface RowCase {
  readonly name: string;
  readonly program: RowProgram;
  /** Inputs that are given rows outside of a sequence. */
  readonly starts: readonly string[];
  /** Inputs that are given the memory of another one. */
  readonly same: Readonly<Record<string, string>>;
  /** Roundings, in units of epsilon and of the size of the results. */
  readonly rounding: number;
  plain(rows: Values, params: Values, t: number): Readonly<Record<string, readonly number[]>>;
}

export const rowCase = (
  { starts = [], same = {}, rounding = 16, plain, ...spec }:
    & RowSpec
    & Pick<RowCase, "plain">
    & Partial<Pick<RowCase, "starts" | "same" | "rounding">>,
): RowCase => ({ name: spec.name, program: traceRows(spec), starts, same, rounding, plain });

/** `W x`, of a matrix in rows. */
export const times = (w: readonly number[], x: readonly number[]): number[] =>
  Array.from({ length: w.length / x.length }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < x.length; j++) sum += w[i * x.length + j]! * x[j]!;
    return sum;
  });
/** `Wᵀ g` */
export const back = (w: readonly number[], g: readonly number[]): number[] => {
  const columns = w.length / g.length;
  const out = new Array<number>(columns).fill(0);
  g.forEach((factor, i) => {
    for (let j = 0; j < columns; j++) out[j]! += factor * w[i * columns + j]!;
  });
  return out;
};
export const zip = (fn: (...values: number[]) => number, ...arrays: (readonly number[])[]): number[] =>
  arrays[0]!.map((_, i) => fn(...arrays.map((array) => array.length === 1 ? array[0]! : array[i]!)));
export const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
export const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
export const softmax = (values: readonly number[]): number[] => {
  const top = Math.max(...values);
  const exps = values.map((value) => Math.exp(value - top));
  const sum = total(exps);
  return exps.map((value) => value / sum);
};
