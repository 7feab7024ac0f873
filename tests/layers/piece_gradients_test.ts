import { assertEquals } from "@std/assert";
import { defineMap, type HostTensor, map, ops, sum, type Tensor, tensor } from "../../mod.ts";
import { toDevice, type Tree, valueAndGrad } from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { assemble } from "../../src/layers/assemble.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import type { SequenceLayer } from "../../src/layers/linear_layer.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { stack } from "../../src/layers/stack.ts";
import { stronglyTyped } from "../../src/layers/strongly_typed.ts";
import { isTensor } from "../../src/tensor.ts";
import { weighted } from "../grad/finite.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { someInputs, someParams, treeOf } from "./cases.ts";

const LAYERS: readonly [name: string, make: (reverse: boolean) => SequenceLayer][] = [
  ["qrnn", (reverse) => qrnn({ input: 3, hidden: 2, window: 4, reverse })],
  ["t-lstm", (reverse) => stronglyTyped({ input: 3, hidden: 2, kind: "t-lstm", reverse })],
  ["gilrLstm", (reverse) => gilrLstm({ input: 3, hidden: 2, reverse })],
  ["a stack", (reverse) =>
    stack([
      qrnn({ input: 3, hidden: 3, window: 3, reverse }),
      gilrLstm({ input: 3, hidden: 2, reverse }),
      stronglyTyped({ input: 2, hidden: 2, kind: "t-gru", reverse }),
    ])],
];

/** Rows `from` to `to` of `(B, T, n)`. */
function cut({ data, shape }: HostTensor, from: number, to: number): HostTensor {
  const [batch, time, width] = shape as [number, number, number];
  const parts = Array.from(
    { length: batch },
    (_, b) => Array.from(data.slice((b * time + from) * width, (b * time + to) * width)),
  );
  return host(parts.flat(), [batch, to - from, width]);
}

/** Pieces put together along time. */
function join(pieces: readonly { readonly from: number; readonly ys: Tensor }[], time: number): Tensor {
  const { device, shape } = pieces[0]!.ys;
  const [batch, width] = [shape[0]!, shape[2]!];
  const parts = pieces.map(({ from, ys }) => {
    const own = ys.shape[1]! * width;
    const strides = { fromStart: 0, fromStride: own, toStart: from * width, toStride: time * width };
    return { from: ys, rows: { ...strides, width: own, rows: batch } };
  });
  return assemble(device, [batch, time, width], parts, "pieces");
}

interface Given extends Tree<Tensor> {
  readonly p: Tree<Tensor>;
  readonly h0: Tensor;
  readonly xs: Tree<Tensor>;
}

for (const [name, make] of LAYERS) {
  testOn(MACHINES, `gradients of pieces: ${name}, through all that is carried`, async (device, { epsilon }) => {
    for (const reverse of [false, true]) {
      const layer = make(reverse);
      const [batch, time] = [2, 11];
      const { xs, h0 } = someInputs(layer, batch, time);
      const weights = tensor(device, host(numbers(batch * time * layer.hidden), [batch, time, layer.hidden]));
      const given = { p: toDevice(device, treeOf(someParams(layer))), h0: tensor(device, h0) };
      const gradients = async (cuts: readonly number[]): Promise<Record<string, Float64Array>> => {
        const pieces = cuts.slice(1).map((to, k): [string, Tensor] => [`x${k}`, tensor(device, cut(xs, cuts[k]!, to))]);
        const { grads } = await valueAndGrad(({ p, h0, xs }: Given) => {
          const rows = Object.values(xs).map((xs, k) => ({ from: cuts[k]!, xs: xs as Tensor }));
          if (reverse) rows.reverse();
          let state: { h0: Tensor; carry?: Tensor | undefined } = { h0 };
          const parts = rows.map(({ from, xs }) => {
            const { ys, hT, carry } = layer.run(p, xs, state);
            state = { h0: hT, carry };
            return { from, ys };
          });
          return weighted(join(parts, time), weights, [layer.hidden]);
        })({ ...given, xs: Object.fromEntries(pieces) });
        const found: [string, Float64Array][] = [];
        const inputs = new Float64Array(xs.data.length);
        for (const [path, gradient] of flattenTree<Tensor>(grads, isTensor)) {
          const values = await read(gradient);
          if (!path.startsWith("xs.")) found.push([path, values]);
          else {
            const [from, own] = [cuts[Number(path.slice(4))]! * layer.input, gradient.shape[1]! * layer.input];
            for (let b = 0; b < batch; b++) {
              inputs.set(values.slice(b * own, (b + 1) * own), b * time * layer.input + from);
            }
          }
        }
        return Object.fromEntries([...found, ["xs", inputs]]);
      };
      const whole = await gradients([0, time]);
      // The piece in the middle is shorter than the windows.
      const cutUp = await gradients([0, 4, 5, time]);
      assertEquals(Object.keys(cutUp), Object.keys(whole));
      for (const [path, values] of Object.entries(whole)) {
        // Sums of up to 22 terms of numbers of up to 5, in another order.
        assertClose(cutUp[path]!, values, 200 * epsilon, `${name}${reverse ? ", reversed" : ""}: ${path}`);
      }
    }
  });
}

testOn(MACHINES, "gradients of one h0 for all sequences: the sum over the batch", async (device, { epsilon }) => {
  const layer = gilrLstm({ input: 2, hidden: 2 });
  const { xs, h0 } = someInputs(layer, 3, 4);
  const [params, inputs] = [toDevice(device, treeOf(someParams(layer))), tensor(device, xs)];
  const row = Array.from(h0.data.slice(0, 4));
  const gradient = async (start: HostTensor): Promise<Float64Array> => {
    const { grads } = await valueAndGrad(({ h0 }: { h0: Tensor }) => sum(layer.apply(params, inputs, { h0 })))({
      h0: tensor(device, start),
    });
    return await read(grads.h0);
  };
  const each = await gradient(host([...row, ...row, ...row], [3, 4]));
  const summed = row.map((_, i) => each[i]! + each[4 + i]! + each[8 + i]!);
  assertClose(await gradient(host(row, [4])), summed, 32 * epsilon, "h0");
});

testOn(MACHINES, "map: starts of several rows, and their gradients", async (device, { epsilon }) => {
  for (const shift of [3, -3, 1, -1]) {
    const fn = defineMap({
      name: "shifted",
      inputs: { x: { shape: [2], shift } },
      params: {},
      map: ({ x, t }) => ops.mul(ops.add(t, 1), x),
    });
    const outside = Math.abs(shift);
    for (const time of [1, 2, 3, 7]) {
      const x = host(numbers(2 * time * 2, 1, 5), [2, time, 2]);
      const start = host(numbers(2 * outside * 2, 1, 6), outside === 1 ? [2, 2] : [2, outside, 2]);
      const expected = new Float64Array(x.data.length);
      const expectedBar = new Float64Array(start.data.length);
      for (let b = 0; b < 2; b++) {
        for (let t = 0; t < time; t++) {
          for (let i = 0; i < 2; i++) {
            const from = t - shift;
            const row = from < 0 ? from + outside : from - time;
            const at = from < 0 || from >= time
              ? start.data[(b * outside + row) * 2 + i]!
              : x.data[(b * time + from) * 2 + i]!;
            expected[(b * time + t) * 2 + i] = (t + 1) * at;
            if (from < 0 || from >= time) expectedBar[(b * outside + row) * 2 + i]! += t + 1;
          }
        }
      }
      using y = map(fn, { inputs: { x }, starts: { x: start } }, { device });
      assertClose(await read(y), expected, 2 * epsilon * time, `shift ${shift}, ${time} steps`);
      const input = tensor(device, x);
      const { grads } = await valueAndGrad(({ x: start }: { x: Tensor }) => {
        return sum(map(fn, { inputs: { x: input }, starts: { x: start } }));
      })({ x: tensor(device, start) });
      assertClose(await read(grads.x), expectedBar, 0, `gradient of the start, shift ${shift}, ${time} steps`);
    }
  }
});
