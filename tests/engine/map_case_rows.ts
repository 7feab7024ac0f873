/** Functions over rows in which elements mix. Runs in pages too. */

import * as ops from "../../src/trace/ops.ts";
import { back, type RowCase, rowCase, softmax, times, total, zip } from "./map_case.ts";

export const MIXING_CASES: readonly RowCase[] = [
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
