/**
 * Functions over rows that reach every way of a map through an engine, and the same in plain numbers. Their kernels are
 * compiled in pages too: nothing here may name `Deno` or import `@std`.
 */

import { type RowSpec, traceRows } from "../../src/trace/rows.ts";
import type { RowProgram } from "../../src/trace/rows.ts";
import * as ops from "../../src/trace/ops.ts";

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

const rowCase = (
  { starts = [], same = {}, rounding = 16, plain, ...spec }:
    & RowSpec
    & Pick<RowCase, "plain">
    & Partial<Pick<RowCase, "starts" | "same" | "rounding">>,
): RowCase => ({ name: spec.name, program: traceRows(spec), starts, same, rounding, plain });

/** `W x`, of a matrix in rows. */
const times = (w: readonly number[], x: readonly number[]): number[] =>
  Array.from({ length: w.length / x.length }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < x.length; j++) sum += w[i * x.length + j]! * x[j]!;
    return sum;
  });
/** `Wᵀ g` */
const back = (w: readonly number[], g: readonly number[]): number[] => {
  const columns = w.length / g.length;
  const out = new Array<number>(columns).fill(0);
  g.forEach((factor, i) => {
    for (let j = 0; j < columns; j++) out[j]! += factor * w[i * columns + j]!;
  });
  return out;
};
const zip = (fn: (...values: number[]) => number, ...arrays: (readonly number[])[]): number[] =>
  arrays[0]!.map((_, i) => fn(...arrays.map((array) => array.length === 1 ? array[0]! : array[i]!)));
const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
const softmax = (values: readonly number[]): number[] => {
  const top = Math.max(...values);
  const exps = values.map((value) => Math.exp(value - top));
  const sum = total(exps);
  return exps.map((value) => value / sum);
};

const elements: readonly RowCase[] = [
  rowCase({
    name: "sums of rows before and after",
    inputs: { x: [5], a: [5], b: [5], c: [5], d: [5] },
    access: { a: { shift: 1 }, b: { shift: -1 }, c: { shift: 3 }, d: { shift: -2 } },
    starts: ["a", "b", "c"],
    params: {},
    fn: ({ x, a, b, c, d }) => ({ y: ops.add(ops.sub(x, ops.mul(2, a)), ops.mul(ops.tanh(b), ops.add(c, d))) }),
    plain: ({ x, a, b, c, d }) => ({
      y: zip((x, a, b, c, d) => x - 2 * a + Math.tanh(b) * (c + d), x!, a!, b!, c!, d!),
    }),
  }),
  rowCase({
    name: "one memory at many shifts",
    inputs: { x: [3], before: [3], far: [3], later: [3], started: [3] },
    access: { before: { shift: 1 }, far: { shift: 40 }, later: { shift: -1 }, started: { shift: 2 } },
    same: { before: "x", far: "x", later: "x", started: "x" },
    starts: ["started"],
    params: {},
    fn: ({ x, before, far, later, started }) => ({
      y: ops.sub(ops.add(x, ops.mul(3, before)), ops.sub(ops.mul(5, later), ops.add(far, ops.mul(7, started)))),
    }),
    plain: ({ x, before, far, later, started }) => ({
      y: zip((x, a, b, c, d) => x + 3 * a - (5 * b - (c + 7 * d)), x!, before!, later!, far!, started!),
    }),
  }),
  rowCase({
    name: "numbers, t and rows of sequences",
    inputs: { x: [4], s: [], common: [4], number: [] },
    access: { common: { per: "sequence" }, number: { per: "sequence" } },
    params: { scale: [], b: [4] },
    fn: ({ x, s, common, number }, p, t) => ({
      y: ops.add(ops.mul(ops.mul(s, p.scale), x), ops.add(common, ops.mul(ops.mul(t, 0.01), p.b))),
      z: ops.sub(ops.mul(s, number), t),
      w: ops.add(common, 1),
    }),
    plain: ({ x, s, common, number }, { scale, b }, t) => ({
      y: zip((x, common, b) => s![0]! * scale![0]! * x + common + 0.01 * t * b, x!, common!, b!),
      z: [s![0]! * number![0]! - t],
      w: common!.map((value) => value + 1),
    }),
    // Of numbers up to T.
    rounding: 1000,
  }),
  rowCase({
    name: "inputs themselves, and one value twice",
    inputs: { x: [3], before: [3], common: [2], m: [2, 3] },
    access: { before: { shift: 1 }, common: { per: "sequence" } },
    params: { b: [2] },
    fn: ({ x, before, common, m }, p) => {
      const y = ops.mul(x, before);
      return { x, before, common, m, b: p.b, y, again: y, flat: ops.reshape(m, [6]), part: ops.slice(x, 1, 3) };
    },
    plain: ({ x, before, common, m }, { b }) => {
      const y = zip((a, b) => a * b, x!, before!);
      return { x: x!, before: before!, common: common!, m: m!, b: b!, y, again: y, flat: m!, part: x!.slice(1) };
    },
  }),
  rowCase({
    name: "parts side by side",
    inputs: { h: [8], x: [8] },
    access: { h: { shift: 1 } },
    params: { k: [4] },
    // The slices of h come back as padded vectors.
    fn: ({ h, x }, p) => ({
      dh: ops.grad((h) => {
        const [q, v] = [ops.slice(h, 0, 4), ops.slice(h, 4, 8)];
        return ops.sum(ops.add(ops.mul(p.k, ops.cos(q)), ops.mul(ops.mul(v, v), ops.slice(x, 2, 6))));
      })(h),
      y: ops.concat(ops.tanh(ops.slice(x, 4, 8)), ops.exp(ops.slice(h, 0, 4)), ops.sum(ops.slice(x, 0, 1))),
    }),
    plain: ({ h, x }, { k }) => ({
      dh: h!.map((value, i) => i < 4 ? -k![i]! * Math.sin(value) : 2 * value * x![i - 2]!),
      y: [...x!.slice(4).map(Math.tanh), ...h!.slice(0, 4).map(Math.exp), x![0]!],
    }),
  }),
  rowCase({
    name: "many parts",
    inputs: { x: [20] },
    params: {},
    fn: ({ x }) => ({ y: ops.concat(...Array.from({ length: 20 }, (_, i) => ops.exp(ops.slice(x, 19 - i, 20 - i)))) }),
    plain: ({ x }) => ({ y: x!.toReversed().map(Math.exp) }),
  }),
  rowCase({
    name: "values of parameters alone, constants",
    inputs: { x: [6] },
    params: { a: [6], w: [6, 6], big: [90, 50], s: [] },
    fn: ({ x }, p, t) => {
      const fixed = ops.exp(ops.matvec(p.w, p.a));
      const long = ops.matvec(p.big, ops.constant(Array.from({ length: 50 }, (_, j) => j / 50)));
      return {
        y: ops.mul(ops.add(x, fixed), ops.constant([1, 2, 3, 4, 5, 6])),
        fixed,
        norm: ops.add(ops.sum(ops.mul(p.a, p.a)), p.s),
        long: ops.add(ops.slice(long, 3, 9), ops.min(x, Infinity)),
        same: ops.where(ops.less(t, 0), x, ops.broadcast(p.s, [6])),
      };
    },
    plain: ({ x }, { a, w, big, s }) => {
      const fixed = times(w!, a!).map(Math.exp);
      const long = times(big!, Array.from({ length: 50 }, (_, j) => j / 50));
      return {
        y: x!.map((value, i) => (value + fixed[i]!) * (i + 1)),
        fixed,
        norm: [total(a!.map((value) => value * value)) + s![0]!],
        long: x!.map((value, i) => value + long[i + 3]!),
        same: x!.map(() => s![0]!),
      };
    },
    rounding: 100,
  }),
];

const NINE = ["a", "b", "c", "d", "e", "f", "g", "h", "i"] as const;

/** Six outputs of nine inputs, all of which `mix` may tie together. */
const many = (name: string, mix: boolean): RowCase =>
  rowCase({
    name,
    inputs: Object.fromEntries(NINE.map((key) => [key, [7]])),
    access: { b: { shift: 1 }, c: { shift: -2 }, d: { per: "sequence" }, e: { shift: 2 } },
    starts: ["b", "c", "e"],
    params: { u: [7], v: [7], w: [7] },
    fn: (inputs, p) => {
      const all = NINE.map((key) => inputs[key]);
      const whole = all.reduce((sum, value, k) => ops.add(sum, ops.mul(value, k + 1)), p.u);
      return Object.fromEntries(Array.from({ length: 6 }, (_, k) => {
        const y = ops.mul(ops.add(whole, inputs[NINE[k]!]), k % 2 === 0 ? p.v : p.w);
        return [`y${k}`, mix ? ops.sub(y, ops.sum(whole)) : y];
      }));
    },
    plain: (rows, { u, v, w }) => {
      const whole = u!.map((value, i) => NINE.reduce((sum, key, k) => sum + rows[key]![i]! * (k + 1), value));
      return Object.fromEntries(Array.from({ length: 6 }, (_, k) => {
        const scale = k % 2 === 0 ? v! : w!;
        const less = mix ? total(whole) : 0;
        return [`y${k}`, whole.map((value, i) => (value + rows[NINE[k]!]![i]!) * scale[i]! - less)];
      }));
    },
    rounding: 400,
  });

const rows: readonly RowCase[] = [
  rowCase({
    name: "matrices in rows",
    inputs: { m: [3, 4], x: [4], n: [9, 7], before: [9, 7], y: [7] },
    access: { before: { shift: 1 } },
    starts: ["before"],
    params: { w: [3, 3] },
    fn: ({ m, x, n, before, y }, p) => {
      const short = ops.matvec(p.w, ops.matvec(m, x));
      const long = ops.add(ops.matvec(n, y), ops.matvec(before, y));
      return { short, long, outer: ops.outer(short, y), back: ops.matvecTransposed(n, long), sum: ops.add(n, before) };
    },
    plain: ({ m, x, n, before, y }, { w }) => {
      const short = times(w!, times(m!, x!));
      const long = zip((a, b) => a + b, times(n!, y!), times(before!, y!));
      const outer = short.flatMap((a) => y!.map((b) => a * b));
      return { short, long, outer, back: back(n!, long), sum: zip((a, b) => a + b, n!, before!) };
    },
    rounding: 400,
  }),
  rowCase({
    name: "short products",
    inputs: { x: [3], g: [4], m: [4, 3], before: [4, 3] },
    access: { before: { shift: 1 } },
    params: { w: [4, 3], v: [4] },
    fn: ({ x, g, m, before }, p, t) => ({
      y: ops.add(ops.matvec(p.w, x), ops.mul(p.v, ops.mul(0.01, t))),
      back: ops.add(ops.matvecTransposed(p.w, g), ops.matvecTransposed(before, ops.matvec(m, x))),
      dot: ops.dot(g, ops.matvec(m, ops.matvecTransposed(p.w, g))),
    }),
    plain: ({ x, g, m, before }, { w, v }, t) => ({
      y: zip((a, v) => a + 0.01 * v * t, times(w!, x!), v!),
      back: zip((a, b) => a + b, back(w!, g!), back(before!, times(m!, x!))),
      dot: [total(zip((a, b) => a * b, g!, times(m!, back(w!, g!))))],
    }),
    rounding: 100,
  }),
  rowCase({
    name: "sums and largest elements",
    inputs: { x: [9], wide: [300], few: [3] },
    access: { few: { shift: -1 } },
    params: { q: [300] },
    fn: ({ x, wide, few }, p, t) => ({
      number: ops.add(ops.sum(wide), ops.maximum(few)),
      few: ops.softmax(few),
      weights: ops.softmax(wide),
      log: ops.logSumExp(ops.mul(wide, p.q)),
      x: ops.div(ops.sub(x, ops.mean(x)), ops.add(ops.maximum(ops.abs(x)), ops.cos(ops.mul(t, 0)))),
    }),
    plain: ({ x, wide, few }, { q }) => {
      const scaled = zip((a, b) => a * b, wide!, q!);
      const largest = Math.max(...x!.map(Math.abs));
      return {
        number: [total(wide!) + Math.max(...few!)],
        few: softmax(few!),
        weights: softmax(wide!),
        log: [Math.log(total(scaled.map(Math.exp)))],
        x: x!.map((value) => (value - total(x!) / 9) / (largest + 1)),
      };
    },
    rounding: 600,
  }),
  rowCase({
    name: "more scratch than a workgroup has",
    inputs: { a: [70], b: [70] },
    params: { s: [] },
    fn: ({ a, b }, p) => {
      const big = ops.tanh(ops.mul(p.s, ops.outer(a, b)));
      return { y: ops.matvec(big, b), z: ops.matvecTransposed(big, a) };
    },
    plain: ({ a, b }, { s }) => {
      const big = a!.flatMap((a) => b!.map((b) => Math.tanh(s![0]! * a * b)));
      return { y: times(big, b!), z: back(big, a!) };
    },
    rounding: 400,
  }),
];

const products: readonly RowCase[] = [
  rowCase({
    name: "gates of a stacked product",
    inputs: { x: [32], h: [64] },
    access: { h: { shift: 1 } },
    starts: ["h"],
    params: { w: [192, 32], u: [192, 64], b: [192] },
    fn: ({ x, h }, p) => {
      const [a, c] = [ops.add(ops.matvec(p.w, x), p.b), ops.matvec(p.u, h)];
      const part = (v: ReturnType<typeof ops.add>, k: number) => ops.slice(v, 64 * k, 64 * (k + 1));
      const r = ops.sigmoid(ops.add(part(a, 0), part(c, 0)));
      const z = ops.sigmoid(ops.add(part(a, 1), part(c, 1)));
      const n = ops.tanh(ops.add(part(a, 2), ops.mul(r, part(c, 2))));
      return { h: ops.add(ops.mul(ops.sub(1, z), n), ops.mul(z, h)), z };
    },
    plain: ({ x, h }, { w, u, b }) => {
      const [a, c] = [zip((v, b) => v + b, times(w!, x!), b!), times(u!, h!)];
      const z = h!.map((_, i) => sigma(a[64 + i]! + c[64 + i]!));
      const n = h!.map((_, i) => Math.tanh(a[128 + i]! + sigma(a[i]! + c[i]!) * c[128 + i]!));
      return { h: h!.map((h, i) => (1 - z[i]!) * n[i]! + z[i]! * h), z };
    },
    rounding: 300,
  }),
  rowCase({
    name: "layers",
    inputs: { x: [64] },
    params: { a: [80, 64], b: [80], c: [60, 80], d: [60, 80] },
    fn: ({ x }, p) => {
      const inner = ops.tanh(ops.add(ops.matvec(p.a, x), p.b));
      const out = ops.matvec(p.c, inner);
      return { inner, out, back: ops.matvecTransposed(p.d, ops.mul(out, out)), twice: ops.matvecTransposed(p.c, out) };
    },
    plain: ({ x }, { a, b, c, d }) => {
      const inner = zip((v, b) => Math.tanh(v + b), times(a!, x!), b!);
      const out = times(c!, inner);
      return { inner, out, back: back(d!, out.map((v) => v * v)), twice: back(c!, out) };
    },
    rounding: 10_000,
  }),
  rowCase({
    name: "products of shifted rows, of rows of sequences, and with matrices that are made",
    inputs: { x: [64], later: [64], far: [64], common: [64] },
    access: { later: { shift: -1 }, far: { shift: 3 }, common: { per: "sequence" } },
    starts: ["far"],
    params: { w: [64, 64], mask: [64, 64], long: [9000] },
    fn: ({ x, later, far, common }, p) => ({
      made: ops.matvec(ops.mul(p.w, p.mask), x),
      later: ops.matvec(p.w, later),
      far: ops.matvecTransposed(p.w, far),
      common: ops.matvec(p.w, common),
      part: ops.matvec(ops.reshape(ops.slice(p.long, 100, 100 + 70 * 64), [70, 64]), ops.slice(x, 0, 64)),
      fixed: ops.add(
        ops.matvec(ops.reshape(ops.constant(Array.from({ length: 64 * 66 }, (_, e) => (e % 7) - 3)), [66, 64]), x),
        ops.sum(common),
      ),
    }),
    plain: ({ x, later, far, common }, { w, mask, long }) => ({
      made: times(zip((a, b) => a * b, w!, mask!), x!),
      later: times(w!, later!),
      far: back(w!, far!),
      common: times(w!, common!),
      part: times(long!.slice(100, 100 + 70 * 64), x!),
      fixed: times(Array.from({ length: 64 * 66 }, (_, e) => (e % 7) - 3), x!).map((v) => v + total(common!)),
    }),
    rounding: 2000,
  }),
];

export const ROW_CASES: readonly RowCase[] = [
  ...elements,
  many("nine inputs and six outputs", false),
  many("nine inputs and six outputs that mix", true),
  ...rows,
  ...products,
];
