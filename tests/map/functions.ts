import { defineMap, type HostTensor, type RowFunction } from "../../mod.ts";
import * as ops from "../../mod.ts";
import { host, numbers } from "../solve/arrays.ts";

const {
  add,
  concat,
  cos,
  div,
  dot,
  exp,
  matvec,
  matvecTransposed,
  max,
  mul,
  outer,
  reshape,
  sigmoid,
  slice,
  sub,
  tanh,
} = ops.ops;

/** One row of every input (zeros or the start outside a sequence) and the parameters, as plain numbers. */
export interface PlainRow {
  readonly [name: string]: readonly number[];
}

/** A function over rows, the same with plain numbers, and what it is applied to. */
export interface MapCase {
  readonly name: string;
  readonly fn: RowFunction;
  readonly inputs: Readonly<
    Record<string, { readonly size: readonly number[]; readonly shift?: number; readonly per?: "sequence" }>
  >;
  readonly params: Readonly<Record<string, readonly number[]>>;
  readonly starts?: readonly string[];
  plain(row: PlainRow, params: PlainRow, t: number): Readonly<Record<string, number[]>>;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const product = (m: readonly number[], v: readonly number[]): number[] =>
  Array.from({ length: m.length / v.length }, (_, i) => sum(v.map((x, j) => m[i * v.length + j]! * x)));
const transposed = (m: readonly number[], rows: number): number[] => {
  const columns = m.length / rows;
  return Array.from({ length: m.length }, (_, e) => m[(e % rows) * columns + Math.floor(e / rows)]!);
};
const sigma = (x: number): number => 1 / (1 + Math.exp(-x));

/** Functions that reach every way of a value through a map and its pullback. */
export const MAP_CASES: readonly MapCase[] = [
  {
    name: "dense",
    fn: defineMap({
      name: "dense",
      inputs: { x: [3] },
      params: { w: [4, 3], b: [4] },
      map: ({ x, p }) => tanh(add(matvec(p.w, x), p.b)),
    }),
    inputs: { x: { size: [3] } },
    params: { w: [4, 3], b: [4] },
    plain: ({ x }, { w, b }) => ({ value: product(w!, x!).map((v, i) => Math.tanh(v + b![i]!)) }),
  },
  {
    name: "gates, with the inputs before and after",
    fn: defineMap({
      name: "gates",
      inputs: { x: [2], before: { shape: [2], shift: 1 }, later: { shape: [2], shift: -3 } },
      params: { u: [5, 2], v: [5, 2], scale: [] },
      map: ({ x, before, later, p, t }) => {
        const a = sigmoid(add(matvec(p.u, x), matvec(p.v, before)));
        return { a, b: mul(sub(1, a), add(mul(p.scale, matvec(p.u, later)), cos(t))), number: dot(x, later) };
      },
    }),
    inputs: { x: { size: [2] }, before: { size: [2], shift: 1 }, later: { size: [2], shift: -3 } },
    params: { u: [5, 2], v: [5, 2], scale: [] },
    starts: ["before"],
    plain: ({ x, before, later }, { u, v, scale }, t) => {
      const second = product(v!, before!);
      const a = product(u!, x!).map((value, i) => sigma(value + second[i]!));
      const third = product(u!, later!);
      return {
        a,
        b: a.map((value, i) => (1 - value) * (scale![0]! * third[i]! + Math.cos(t))),
        number: [sum(x!.map((value, i) => value * later![i]!))],
      };
    },
  },
  {
    name: "one row for all, matrices in rows, values of parameters alone",
    fn: defineMap({
      name: "mixed",
      inputs: { m: [2, 3], s: [], common: { shape: [3], per: "sequence" } },
      params: { w: [3, 3], nested: { q: [3] } },
      map: ({ m, s, common, p }) => {
        const fixed = exp(matvecTransposed(p.w, p.nested.q));
        const y = matvec(m, mul(common, fixed));
        return { y: mul(s, y), z: outer(y, max(common, mul(0.3, s))) };
      },
    }),
    inputs: { m: { size: [2, 3] }, s: { size: [] }, common: { size: [3], per: "sequence" } },
    params: { w: [3, 3], "nested.q": [3] },
    plain: ({ m, s, common }, { w, "nested.q": q }) => {
      const fixed = product(transposed(w!, 3), q!).map(Math.exp);
      const y = product(m!, common!.map((c, i) => c * fixed[i]!));
      return { y: y.map((v) => s![0]! * v), z: y.flatMap((v) => common!.map((c) => v * Math.max(c, 0.3 * s![0]!))) };
    },
  },
  {
    name: "a parameter in many roles",
    fn: defineMap({
      name: "roles",
      inputs: { x: [3], y: [3] },
      params: { w: [3, 3] },
      map: ({ x, y, p }) => {
        const up = tanh(matvec(p.w, x));
        const down = matvecTransposed(p.w, mul(up, y));
        const first = slice(reshape(p.w, [9]), 0, 3);
        return concat(div(down, add(2, mul(first, first))), matvec(p.w, down));
      },
    }),
    inputs: { x: { size: [3] }, y: { size: [3] } },
    params: { w: [3, 3] },
    plain: ({ x, y }, { w }) => {
      const up = product(w!, x!).map(Math.tanh);
      const down = product(transposed(w!, 3), up.map((v, i) => v * y![i]!));
      return { value: [...down.map((v, i) => v / (2 + w![i]! ** 2)), ...product(w!, down)] };
    },
  },
  {
    name: "large products",
    fn: defineMap({
      name: "large",
      inputs: { x: [64] },
      params: { w: [96, 64], v: [64, 96] },
      map: ({ x, p }) => {
        const gates = matvec(p.w, x);
        const [a, b] = [slice(gates, 0, 48), slice(gates, 48, 96)];
        return { a: mul(sigmoid(a), tanh(b)), again: matvecTransposed(p.v, x) };
      },
    }),
    inputs: { x: { size: [64] } },
    params: { w: [96, 64], v: [64, 96] },
    plain: ({ x }, { w, v }) => {
      const gates = product(w!, x!);
      return {
        a: gates.slice(0, 48).map((value, i) => sigma(value) * Math.tanh(gates[48 + i]!)),
        again: product(transposed(v!, 64), x!),
      };
    },
  },
];

/** The arrays of a case: batched inputs, starts and parameters, reproducible. */
export function mapArrays(
  { inputs, params, starts = [] }: MapCase,
  batch: number,
  time: number,
): {
  inputs: Record<string, HostTensor>;
  params: Record<string, HostTensor>;
  starts: Record<string, HostTensor>;
} {
  let seed = 1;
  const array = (shape: readonly number[], bound: number): HostTensor =>
    host(numbers(shape.reduce((a, b) => a * b, 1), bound, seed++), shape);
  const bound = (shape: readonly number[]): number => shape.length === 2 ? 1 / Math.sqrt(shape[1]!) : 1;
  return {
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([name, { size, per }]) => [
        name,
        array(per === undefined ? [batch, time, ...size] : [batch, ...size], 1),
      ]),
    ),
    params: Object.fromEntries(Object.entries(params).map(([path, shape]) => [path, array(shape, bound(shape))])),
    starts: Object.fromEntries(starts.map((name) => [name, array([batch, ...inputs[name]!.size], 1)])),
  };
}

/** What a case gives, row after row, with plain numbers. */
export function plainMap(
  given: MapCase,
  arrays: ReturnType<typeof mapArrays>,
  batch: number,
  time: number,
): Record<string, number[]> {
  const results: Record<string, number[]> = {};
  const params = Object.fromEntries(Object.entries(arrays.params).map(([name, { data }]) => [name, Array.from(data)]));
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      const row = Object.fromEntries(
        Object.entries(given.inputs).map(([name, { size, shift = 0, per }]) => {
          const width = size.reduce((a, c) => a * c, 1);
          const at = (data: ArrayLike<number>, r: number): number[] =>
            Array.from(data).slice(r * width, (r + 1) * width);
          const { data } = arrays.inputs[name]!;
          if (per === "sequence") return [name, at(data, b)];
          if (t - shift >= 0 && t - shift < time) return [name, at(data, b * time + t - shift)];
          const start = arrays.starts[name];
          return [name, start === undefined ? new Array<number>(width).fill(0) : at(start.data, b)];
        }),
      );
      for (const [name, values] of Object.entries(given.plain(row, params, t))) (results[name] ??= []).push(...values);
    }
  }
  return results;
}

/** Parameters as the tree that paths with dots stand for. */
export function treeOf<T>(flat: Readonly<Record<string, T>>): Record<string, T | Record<string, T>> {
  const tree: Record<string, T | Record<string, T>> = {};
  for (const [path, value] of Object.entries(flat)) {
    const [first, second] = path.split(".");
    if (second === undefined) tree[first!] = value;
    else tree[first!] = { ...tree[first!] as Record<string, T>, [second]: value };
  }
  return tree;
}
