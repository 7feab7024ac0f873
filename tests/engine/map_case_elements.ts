/** Functions over rows in which elements do not mix. Runs in pages too. */

import * as ops from "../../src/trace/ops.ts";
import { type RowCase, rowCase, times, total, zip } from "./map_case.ts";

export const ELEMENT_CASES: readonly RowCase[] = [
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
    inputs: { x: [4], s: [], common: [4], number: [], one: [1] },
    access: { common: { per: "sequence" }, number: { per: "sequence" } },
    params: { scale: [], b: [4] },
    fn: ({ x, s, common, number, one }, p, t) => ({
      v: ops.mul(x, ops.exp(one)),
      y: ops.add(ops.mul(ops.mul(s, p.scale), x), ops.add(common, ops.mul(ops.mul(t, 0.01), p.b))),
      z: ops.sub(ops.mul(s, number), t),
      w: ops.add(common, 1),
    }),
    plain: ({ x, s, common, number, one }, { scale, b }, t) => ({
      v: x!.map((value) => value * Math.exp(one![0]!)),
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
      const square = ops.slice(ops.reshape(ops.mul(m, m), [6]), 1, 4);
      return { x, before, common, m, b: p.b, y, again: y, flat: ops.reshape(m, [6]), part: ops.slice(x, 1, 3), square };
    },
    plain: ({ x, before, common, m }, { b }) => {
      const y = zip((a, b) => a * b, x!, before!);
      const square = m!.slice(1, 4).map((value) => value * value);
      return {
        x: x!,
        before: before!,
        common: common!,
        m: m!,
        b: b!,
        y,
        again: y,
        flat: m!,
        part: x!.slice(1),
        square,
      };
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
export const many = (name: string, mix: boolean): RowCase =>
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
