import { assertEquals } from "@std/assert";
import {
  defineMap,
  type HostTensor,
  map,
  type RowFunction,
  sum,
  type Sym,
  type Tensor,
  tensor,
  toDevice,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { gilr } from "../../src/layers/gilr.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import type { LinearLayer } from "../../src/layers/linear_layer.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { sru } from "../../src/layers/sru.ts";
import { stronglyTyped } from "../../src/layers/strongly_typed.ts";
import { isTensor } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, goldenArray, goldenTensors, host, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { LAYER_CASES, treeOf } from "./cases.ts";
import type { Flat } from "./reference.ts";

const peer = (name: string): HostTensor => goldenArray(`linear_rnn_layers/${name}`);

/** Matrices `(in, out)` as one of `(out, in)`, below each other. */
function stacked(...names: readonly string[]): HostTensor {
  const parts = names.map(peer);
  const columns = parts[0]!.shape[0]!;
  const rows = parts.flatMap(({ data, shape: [, out] }) =>
    Array.from({ length: out! }, (_, i) => Array.from({ length: columns }, (_, j) => data[j * out! + i]!))
  );
  return host(rows.flat(), [rows.length, columns]);
}

const joined = (...names: readonly string[]): HostTensor => {
  const data = names.flatMap((name) => Array.from(peer(name).data));
  return host(data, [data.length]);
};

/** `(T, B, n)` as `(B, T, n)`. */
function batchFirst({ data, shape }: HostTensor): HostTensor {
  const [time, batch, width] = shape as [number, number, number];
  const rows = Array.from({ length: batch * time }, (_, k) => {
    const [b, t] = [Math.floor(k / time), k % time];
    return Array.from(data.slice((t * batch + b) * width, (t * batch + b + 1) * width));
  });
  return host(rows.flat(), [batch, time, width]);
}

/** Columns in blocks of `width`, the last block first: these weights meet x[t] first. */
function oldestFirst({ data, shape }: HostTensor, width: number): HostTensor {
  const [rows, columns] = shape as [number, number];
  const blocks = columns / width;
  const out = Array.from({ length: rows * columns }, (_, e) => {
    const [row, block, j] = [Math.floor(e / columns), Math.floor(e % columns / width), e % width];
    return data[row * columns + (blocks - 1 - block) * width + j]!;
  });
  return host(out, shape);
}

const gilrParams = { weight_ih: stacked("W_U", "W_V"), bias: joined("W_bg", "W_bi") };
const lstmParams: Flat = {
  "surrogate.weight_ih": gilrParams.weight_ih,
  "surrogate.bias": gilrParams.bias,
  weight_ih: stacked("W_Vx_f", "W_Vx_i", "W_Vx_o", "W_Vx_z"),
  weight_hh: stacked("W_Uh_f", "W_Uh_i", "W_Uh_o", "W_Uh_z"),
  bias: joined("W_b_f", "W_b_i", "W_b_o", "W_b_z"),
};
const qrnnParams = (k: number): Flat => ({
  weight_ih: oldestFirst(stacked(`qrnn${k}_Wz`, `qrnn${k}_Wf`, `qrnn${k}_Wo`), 5),
  bias: host(new Float64Array(12), [12]),
});
const size = { input: 5, hidden: 4 };

/** Layers of the authors of GILR in NumPy and JAX: the outputs, and where they differ the states. */
const PEERS: readonly [layer: LinearLayer, params: Flat, outputs: string, states?: string][] = [
  [gilr(size), gilrParams, "gilr_h"],
  [gilr({ ...size, activation: "elu" }), gilrParams, "gilr_h_elu"],
  [gilrLstm(size), lstmParams, "gilr_lstm_paper_h", "gilr_lstm_paper_c"],
  [gilrLstm({ ...size, surrogate: "current" }), lstmParams, "gilr_lstm_code_h", "gilr_lstm_code_c"],
  [
    sru({ input: 5, hidden: 5 }),
    { weight_ih: stacked("W_S_x", "W_S_f", "W_S_r"), bias: joined("W_Sb_x", "W_Sb_f", "W_Sb_r") },
    "sru_h",
    "sru_c",
  ],
  [qrnn({ ...size, window: 2 }), qrnnParams(2), "qrnn2_fo_h", "qrnn2_c"],
  [qrnn({ ...size, window: 10 }), qrnnParams(10), "qrnn10_fo_h", "qrnn10_c"],
  [
    stronglyTyped({ input: 5, hidden: 5 }),
    { weight_ih: stacked("W_S_x", "W_S_f"), bias: host([0, 0, 0, 0, 0, ...peer("W_Sb_f").data], [10]) },
    "strongly_typed_trnn_h",
  ],
];

for (const [layer, params, outputs, states] of PEERS) {
  testOn(MACHINES, `golden: ${outputs}, as another implementation has it`, async (device, { epsilon }) => {
    const { ys, hT } = layer.run(treeOf(params), batchFirst(peer("x")), { device });
    // Inputs of up to 3, states of up to 8; otherwise as the layers' tests.
    assertClose(await read(ys), batchFirst(peer(outputs)).data, 100 * epsilon, outputs);
    const { data, shape: [time, batch, width] } = peer(states ?? outputs);
    const last = Array.from(data.slice((time! - 1) * batch! * width!));
    const all = Array.from(await read(hT));
    const own = last.map((_, k) => all[Math.floor(k / width!) * layer.state + layer.state - width! + k % width!]!);
    assertClose(own, last, 100 * epsilon, `the last of ${states ?? outputs}`);
    ys.dispose();
    hT.dispose();
  });
}

const TORCH = goldenTensors("linear_rnn_layers/gradients");

/** `Σ_h y weights` of each step, and at the first step of a sequence `Σ_d hT end`. */
const weigh = (hidden: number, state: number): RowFunction<Sym> =>
  defineMap({
    name: "weigh",
    inputs: {
      y: [hidden],
      weights: [hidden],
      hT: { shape: [state], per: "sequence" },
      end: { shape: [state], per: "sequence" },
    },
    params: {},
    map: ({ y, weights, hT, end, t }) =>
      ops.add(ops.sum(ops.mul(y, weights)), ops.where(ops.equal(t, 0), ops.sum(ops.mul(hT, end)), 0)),
  });

for (const { name, make } of LAYER_CASES) {
  for (const reverse of [false, true]) {
    const title = `${name}${reverse ? ", reversed" : ""}`;
    testOn(MACHINES, `golden: ${title}, outputs and gradients by PyTorch`, async (device, { epsilon }) => {
      const golden = (key: string): HostTensor => TORCH[`${title}.${key}`]!;
      const paths = Object.keys(TORCH).filter((key) => key.startsWith(`${title}.p.`)).map((key) =>
        key.slice(title.length + 3)
      );
      const layer = make({ reverse });
      const place = (key: string): Tensor => tensor(device, golden(key));
      const wrt = {
        p: toDevice(device, treeOf(Object.fromEntries(paths.map((path) => [path, golden(`p.${path}`)])))),
        xs: place("xs"),
        h0: place("h0"),
      };
      const run = layer.run(wrt.p, wrt.xs, { h0: wrt.h0 });
      assertClose(await read(run.ys), golden("ys").data, 32 * epsilon, "ys");
      assertClose(await read(run.hT), golden("hT").data, 32 * epsilon, "hT");
      const [weights, end] = [place("weights"), place("weights_end")];
      const loss = valueAndGrad((given: Tree<Tensor>) => {
        const { p, xs, h0 } = given as typeof wrt;
        const { ys, hT } = layer.run(p, xs, { h0 });
        return sum(map(weigh(layer.hidden, layer.state), { inputs: { y: ys, weights, hT, end } }));
      });
      const { grads } = await loss(wrt);
      const found = flattenTree<Tensor>(grads, isTensor);
      assertEquals(found.map(([path]) => path), ["h0", ...paths.map((path) => `p.${path}`).sort(), "xs"]);
      for (const [path, gradient] of found) {
        assertEquals(gradient.shape, golden(path).shape);
        // Sums of up to B T = 18 terms of numbers of up to 5.
        assertClose(await read(gradient), golden(`d.${path}`).data, 200 * epsilon, `${title}: ${path}`);
      }
    });
  }
}
