import type { HostTensor, Shape } from "../../mod.ts";
import { host, numbers } from "../solve/arrays.ts";

/** What the matrices of a recurrence look like. */
export type FormName = "scalar" | "diagonal" | "dense" | { readonly block: number };

/** A recurrence on host arrays. */
export interface HostRecurrence {
  readonly a: HostTensor;
  readonly b: HostTensor;
  readonly h0?: HostTensor;
  readonly reverse: boolean;
}

/** Sizes of a recurrence; without a batch it is one sequence, whose arrays have no batch axis. */
export interface Sizes {
  readonly form: FormName;
  readonly batch?: number;
  readonly time: number;
  readonly state: number;
}

export const nameOf = ({ form, batch, time, state }: Sizes): string =>
  `${typeof form === "string" ? form : `blocks of ${form.block}`}, B ${batch ?? "none"}, T ${time}, D ${state}`;

export function shapeOfA({ form, batch, time, state }: Sizes): number[] {
  const rows = batch === undefined ? [time] : [batch, time];
  if (form === "scalar") return rows;
  if (form === "diagonal") return [...rows, state];
  if (form === "dense") return [...rows, state, state];
  return [...rows, state / form.block, form.block, form.block];
}

const count = (shape: Shape): number => shape.reduce((product, axis) => product * axis, 1);

/** Random elements with spectral radii of about 0.6: states stay below 8 for ever, and forget what was. */
export function randomRecurrence(
  sizes: Sizes,
  options: { reverse: boolean; start: "none" | "own" | "shared"; seed?: number },
): HostRecurrence {
  const { form, batch, time, state } = sizes;
  const { reverse, start, seed = 1 } = options;
  const columns = form === "dense" ? state : typeof form === "string" ? 1 : form.block;
  const random = (shape: Shape, bound: number, k: number): HostTensor =>
    host(numbers(count(shape), bound, seed + k), shape);
  const rows = batch === undefined ? [] : [batch];
  return {
    a: random(shapeOfA(sizes), 0.99 / Math.sqrt(columns), 0),
    b: random([...rows, time, state], 1, 1),
    ...(start === "none" ? {} : { h0: random(start === "own" ? [...rows, state] : [state], 1, 2) }),
    reverse,
  };
}

/** What the axes of `a` say: sequences, rows, channels, rows of a block (0 of one number for all channels). */
function sizesOf({ a, b }: Pick<HostRecurrence, "a" | "b">) {
  const batched = b.shape.length === 3;
  const [batch, time, state] = (batched ? b.shape : [1, ...b.shape]) as [number, number, number];
  const axes = a.shape.length - b.shape.length;
  return { batch, time, state, size: axes < 0 ? 0 : axes === 0 ? 1 : a.shape.at(-1)! };
}

/** The word of `a` that takes channel j to channel i at a row; -1 where there is none. */
function entry(size: number, state: number, row: number, i: number, j: number): number {
  if (size === 0) return i === j ? row : -1;
  const unit = Math.floor(i / size);
  if (unit !== Math.floor(j / size)) return -1;
  return ((row * (state / size) + unit) * size + i % size) * size + j % size;
}

/** The channels that a block takes to channel i. */
function sources(size: number, i: number): number[] {
  if (size <= 1) return [i];
  return Array.from({ length: size }, (_, k) => i - i % size + k);
}

/** `y[t] = A[t] y[t-1] + b[t]`, one step after the other in double precision; states are stored by `round`. */
export function foldRecurrence(
  { a, b, h0, reverse }: HostRecurrence,
  round: (value: number) => number = (value) => value,
): Float64Array {
  const { batch, time, state, size } = sizesOf({ a, b });
  const y = new Float64Array(batch * time * state);
  for (let s = 0; s < batch; s++) {
    let before = Array.from({ length: state }, (_, i) => h0?.data[h0.shape.length === 2 ? s * state + i : i] ?? 0);
    for (let r = 0; r < time; r++) {
      const row = s * time + (reverse ? time - 1 - r : r);
      before = before.map((_, i) => {
        let total = b.data[row * state + i]!;
        for (const j of sources(size, i)) total += a.data[entry(size, state, row, i, j)]! * before[j]!;
        return round(total);
      });
      y.set(before, row * state);
    }
  }
  return y;
}

/** Gradients of `Σ y yBar`, step by step backward in double precision; of `h0` a row a sequence, summed where it is shared. */
export function foldPullback(
  recurrence: HostRecurrence,
  yBar: ArrayLike<number>,
): { a: Float64Array; b: Float64Array; h0: Float64Array } {
  const { a, b, h0, reverse } = recurrence;
  const { batch, time, state, size } = sizesOf(recurrence);
  const y = foldRecurrence(recurrence);
  const [aBar, bBar] = [new Float64Array(a.data.length), new Float64Array(b.data.length)];
  const shared = h0 !== undefined && h0.shape.length === 1;
  const startBar = new Float64Array(shared ? state : batch * state);
  for (let s = 0; s < batch; s++) {
    let carried = new Array<number>(state).fill(0);
    for (let r = time - 1; r >= 0; r--) {
      const row = s * time + (reverse ? time - 1 - r : r);
      const before = reverse ? row + 1 : row - 1;
      const lambda = carried.map((value, i) => value + yBar[row * state + i]!);
      bBar.set(lambda, row * state);
      carried = new Array<number>(state).fill(0);
      for (let i = 0; i < state; i++) {
        for (const j of sources(size, i)) {
          const start = h0?.data[h0.shape.length === 2 ? s * state + j : j] ?? 0;
          const at = entry(size, state, row, i, j);
          aBar[at]! += lambda[i]! * (r === 0 ? start : y[before * state + j]!);
          carried[j]! += a.data[at]! * lambda[i]!;
        }
      }
    }
    carried.forEach((value, i) => startBar[shared ? i : s * state + i]! += value);
  }
  return { a: aBar, b: bBar, h0: startBar };
}
