/**
 * Networks on linear recurrences, as in the tables of Martin & Cundy (2018, arXiv 1709.04057): two layers, B T constant,
 * through scans beside their cells one step after the other; forward, and forward with gradients of the sum. On the CPU
 * engine, and on this machine's adapter if there is one.
 *
 *     deno bench -A --json bench/layers_bench.ts > layers.json
 *     deno run -A bench/report.ts layers.json
 *
 * On a hardware adapter 256 units and B T = 65 536, as in the paper; 16 units on the CPU engine, and a sixteenth of the steps
 * too on an adapter in software. `bytes` of a group: each layer reads its inputs and writes its outputs once, backward also
 * the other way; a copy of as many is the bound. Every entry ends with a read of a few bytes.
 *
 * The cells give states, not outputs; both read the same inputs, and `solveVjp` takes ones back to parameters, inputs and h0.
 * Results that are kept stand in bench/results, named after the machine.
 */
import {
  type Device,
  gilrLstm,
  type LinearLayer,
  openDevice,
  qrnn,
  solve,
  solveVjp,
  sru,
  stack,
  sum,
  type Tensor,
  tensor,
  toHost,
  type Tree,
  valueAndGrad,
} from "@cervid/cervid";
import { engineOf } from "../src/device.ts";

const LAYERS: Readonly<Record<string, (hidden: number) => LinearLayer>> = {
  "SRU": (hidden) => sru({ input: hidden, hidden }),
  "QRNN-2": (hidden) => qrnn({ input: hidden, hidden, window: 2 }),
  "QRNN-10": (hidden) => qrnn({ input: hidden, hidden, window: 10 }),
  "GILR-LSTM": (hidden) => gilrLstm({ input: hidden, hidden }),
};
const TIMES = [256, 4096, 65_536];

/** Deterministic numbers in ±bound; the timing does not depend on which. */
function fill(length: number, bound: number, seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, (_, i) => bound * Math.sin(12.9898 * (i + 1) + 78.233 * seed));
}

function benchLayers(device: Device): void {
  const engine = engineOf(device);
  const hidden = engine.speed === "hardware" ? 256 : 16;
  const scale = engine.speed === "software" ? 16 : 1;
  const machine = engine.speed === "cpu"
    ? "CPU engine"
    : device.description.replace(/^WebGPU, /, "").replace(/, f32$/, "");
  for (const [name, make] of Object.entries(LAYERS)) {
    const layers = [make(hidden), make(hidden)] as const;
    const network = stack(layers);
    const params = network.init(device, { seed: 0 });
    const own = [params["layer0"], params["layer1"]] as [Tree<Tensor>, Tree<Tensor>];
    for (const full of TIMES) {
      const time = full / scale;
      const batch = 65_536 / full;
      const shape = [batch, time, hidden];
      const elements = batch * time * hidden;
      const xs = tensor(device, { data: fill(elements, 1, 1), shape });
      // A cell with a window reads its inputs side by side; both read the same ones.
      const width = layers[0].cell.input;
      const wide = width === hidden
        ? xs
        : tensor(device, { data: fill(batch * time * width, 1, 1), shape: [batch, time, width] });
      const title = `${machine}: two layers of ${name}, H=${hidden} B=${batch} T=${time}`;
      const hint = engine.speed === "hardware" ? {} : { n: 5, warmup: 1 };

      const group = `${title}, forward, bytes=${4 * 4 * elements}`;
      Deno.bench({ name: "cells, sequential", group, baseline: true, ...hint }, async () => {
        for (const [k, { cell }] of layers.entries()) {
          (await solve(cell, { params: own[k]!, xs: wide }, { method: "sequential" })).dispose();
        }
      });
      Deno.bench({ name: "layers, scans", group, ...hint }, async () => {
        const { ys, hT } = network.run(params, xs);
        await toHost(hT);
        ys.dispose();
        hT.dispose();
      });
      benchCopy(device, 2 * elements, group);

      const both = `${title}, forward and backward, bytes=${8 * 4 * elements}`;
      const gradient = valueAndGrad((given: Tree<Tensor>) => sum(network.apply(given, xs)));
      const states = [batch, time, layers[0].state];
      const ones = tensor(device, {
        data: new Float32Array(elements / hidden * layers[0].state).fill(1),
        shape: states,
      });
      Deno.bench({ name: "cells, sequential and back", group: both, baseline: true, ...hint }, async () => {
        for (const [k, { cell }] of layers.entries()) {
          using vjp = await solveVjp(cell, { params: own[k]!, xs: wide }, { method: "sequential" });
          const { params: grads, xs: back, h0 } = await vjp.pullback(ones);
          await toHost(h0);
          disposeTree({ grads, back, h0 });
        }
      });
      Deno.bench({ name: "layers, scans", group: both, ...hint }, async () => {
        const { value, grads } = await gradient(params);
        await toHost(value);
        value.dispose();
        disposeTree(grads);
      });
      benchCopy(device, 4 * elements, both);
    }
  }
}

/** Reads and writes `words` words each. */
function benchCopy(device: Device, words: number, group: string): void {
  const engine = engineOf(device);
  const [from, to, probe] = [
    engine.upload(fill(words, 1, 2)),
    engine.allocate("f32", words),
    engine.allocate("f32", 1),
  ];
  const rows = { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, rows: 1 };
  Deno.bench({ name: "copy of as many bytes", group }, async () => {
    engine.copy(from, to, { ...rows, width: words });
    await engine.read(probe);
  });
}

function disposeTree(tree: Tree<Tensor>): void {
  for (const value of Object.values(tree)) {
    if ("dispose" in value) (value as Tensor).dispose();
    else disposeTree(value);
  }
}

for (const backend of ["cpu", "webgpu"] as const) {
  const device = await openDevice({ backend }).catch((error: Error) => console.error(error.message));
  if (device) benchLayers(device);
}
