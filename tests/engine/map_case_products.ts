/** Functions over rows with products of large matrices. Runs in pages too. */

import * as ops from "../../src/trace/ops.ts";
import { back, type RowCase, rowCase, sigma, times, total, zip } from "./map_case.ts";

const OTHERS = ["a", "b", "c", "d", "e", "f"];

export const PRODUCT_CASES: readonly RowCase[] = [
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
  rowCase({
    name: "products among many inputs",
    inputs: { h: [64], ...Object.fromEntries(OTHERS.map((key) => [key, [64]])) },
    access: { h: { shift: 1 } },
    starts: ["h"],
    params: { u: [64, 64], w: [64, 64] },
    fn: ({ h, ...others }, p) => ({
      y: OTHERS.reduce((sum, key) => ops.add(sum, others[key]), ops.mul(ops.matvec(p.u, h), ops.matvec(p.w, others.a))),
    }),
    plain: ({ h, ...others }, { u, w }) => ({
      y: zip(
        (a, b, ...more) => a * b + total(more),
        times(u!, h!),
        times(w!, others.a!),
        ...OTHERS.map((k) => others[k]!),
      ),
    }),
    rounding: 300,
  }),
];
