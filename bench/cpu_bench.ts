/**
 * A GRU, one sequence, one thread: the sequential method and full Newton of the CPU engine beside ONNX Runtime's fused
 * GRU, a plain typed-array loop, and a walk over the graph. Every entry runs the same 5000 steps; the report divides.
 *
 *     deno bench -A --json bench/cpu_bench.ts > cpu.json
 *     deno run -A bench/report.ts cpu.json
 *
 * Results that are kept stand in bench/results, named after the machine, with `origin` relative to the repository.
 */
import { gru, openDevice, solve, tensor } from "@cervid/cervid";
import { programOf } from "../src/step.ts";
import { graphLoop } from "./peers/graph_loop.ts";
import { naiveGru } from "./peers/naive_gru.ts";
import { createOnnxGru } from "./peers/onnx_gru.ts";

const TIME = 5000;
const INPUT = 4;

/** Deterministic numbers in ±bound; the timing does not depend on which. */
function fill(length: number, bound: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => bound * Math.sin(12.9898 * (i + 1) + 78.233 * seed));
}

for (const hidden of [4, 16, 32, 64]) {
  const group = `gru H=${hidden} I=${INPUT} B=1 T=${TIME}`;
  const bound = 1 / Math.sqrt(hidden);
  const weights = {
    weight_ih: fill(3 * hidden * INPUT, bound, 1),
    weight_hh: fill(3 * hidden * hidden, bound, 2),
    bias_ih: fill(3 * hidden, bound, 3),
    bias_hh: new Float32Array(3 * hidden),
    input: INPUT,
    hidden,
  };
  const xs = fill(TIME * INPUT, 1, 4);
  const cell = gru({ input: INPUT, hidden });
  const host = {
    weight_ih: { data: weights.weight_ih, shape: [3 * hidden, INPUT] },
    weight_hh: { data: weights.weight_hh, shape: [3 * hidden, hidden] },
    bias: { data: weights.bias_ih, shape: [3 * hidden] },
    bias_n: { data: new Float32Array(hidden), shape: [hidden] },
  };
  const onnx = await createOnnxGru(weights).catch((error: Error) => {
    console.error(`${group}: without ONNX Runtime: ${error.message}`);
  });
  for (const dtype of ["f32", "f64"] as const) {
    const device = await openDevice({ backend: "cpu", dtype });
    const params = Object.fromEntries(Object.entries(host).map(([name, value]) => [name, tensor(device, value)]));
    const inputs = tensor(device, { data: xs, shape: [TIME, INPUT] });
    for (const method of ["sequential", "deer"] as const) {
      // The reference of a whole solve: what a user's call costs, with its checks and its answer.
      Deno.bench(
        { name: `cervid ${method} ${dtype}`, group, baseline: method === "sequential" && dtype === "f32" },
        async () => {
          (await solve(cell, { params, xs: inputs }, { method })).dispose();
        },
      );
    }
  }
  if (onnx) Deno.bench({ name: `ONNX Runtime ${onnx.version} f32`, group }, async () => void await onnx.run(xs, TIME));
  Deno.bench({ name: "plain loop f32", group }, () => void naiveGru(weights, xs, TIME));
  const arrays = new Map(Object.entries(host).map(([name, { data }]) => [name, data]));
  Deno.bench({ name: "graph walk f64", group }, () => void graphLoop(programOf(cell), arrays, xs, TIME));
}
