/**
 * The WebGPU engine of this machine's adapter: scans beside a copy of as many bytes, sweeps over (T, D, B), and whole
 * solves beside the fused sequential kernel and the CPU engine. Sizes are a hundredth on an adapter in software.
 *
 *     deno bench -A --json bench/webgpu_bench.ts > webgpu.json
 *     deno run -A bench/report.ts webgpu.json
 *
 * Every entry ends with a read of a few bytes, so that the work is done, which in Deno costs about 0.1 ms. On a hardware
 * adapter, compare with bench/peers/torch_gru.py and bench/peers/jax_deer.py on the same machine. Results that are kept
 * stand in bench/results, named after the adapter; the groups hold its name too.
 */
import { gru, type MethodName, openDevice, solve, type SolveOptions, tensor } from "@cervid/cervid";
import { engineOf } from "../src/device.ts";
import { defineStep } from "../src/step.ts";
import { add, mul, sigmoid, sub, tanh } from "../src/trace/ops.ts";

const gpu = await openDevice({ backend: "webgpu" });
const cpu = await openDevice({ backend: "cpu" });
const engine = engineOf(gpu);
const scale = engine.speed === "hardware" ? 1 : 100;
const adapter = gpu.description.replace(/^WebGPU, /, "").replace(/, f32$/, "");

/** Deterministic numbers in ±bound; the timing does not depend on which. */
function fill(length: number, bound: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => bound * Math.sin(12.9898 * (i + 1) + 78.233 * seed));
}

const probe = engine.upload(new Float32Array(1));
const done = async (): Promise<void> => void await engine.read(probe);

// y[t] = a[t] y[t-1] + b[t]: 3 words an element are read and written at least.
for (const [time, state, batch] of [[1e6, 16, 1], [1e5, 16, 10], [16e6, 1, 1], [1e4, 1600, 1]] as const) {
  const T = time / scale;
  const n = T * state * batch;
  const group = `${adapter}: scan T=${T} D=${state} B=${batch} bytes=${12 * n}`;
  const [a, b] = [engine.upload(fill(n, 0.9, 1)), engine.upload(fill(n, 1, 2))];
  const out = engine.allocate("f32", n);
  const job = { a, b, h0: null, out, batch, time: T, state, reverse: false } as const;
  const half = Math.floor(n / 2);
  const rows = { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, rows: 1 };
  Deno.bench({ name: "copy of as many bytes", group, baseline: true }, async () => {
    engine.copy(a, out, { ...rows, width: n });
    engine.copy(b, out, { ...rows, width: half });
    await done();
  });
  Deno.bench({ name: "diagonal scan", group }, async () => {
    engine.scan({ ...job, monoid: "diagonal" });
    await done();
  });
}

const leaky = (state: number) =>
  defineStep({
    name: "leaky",
    state,
    input: state,
    params: { rate: [state] },
    step: ({ h, x, p }) => add(h, mul(sigmoid(p.rate), sub(tanh(add(x, mul(0.5, h))), h))),
  });

// Four sweeps, whatever they reach: what a sweep costs.
for (const [time, hidden, batch] of [[1e6, 4, 1], [1e6, 16, 1], [1e5, 32, 1], [1e4, 16, 64], [1e4, 64, 16]] as const) {
  const T = Math.ceil(time / scale);
  const group = `${adapter}: four sweeps, gru D=${hidden} B=${batch} T=${T}`;
  const cell = gru({ input: 4, hidden });
  const xs = tensor(gpu, { data: fill(batch * T * 4, 1, 3), shape: [batch, T, 4] });
  const problem = { params: cell.init(gpu), xs };
  for (const method of ["deer", "quasi-deer"] as const satisfies readonly MethodName[]) {
    const options: SolveOptions = { method, maxSweeps: 4, rtol: 1e-30, atol: 1e-30, onFailure: "return" };
    Deno.bench({ name: method, group, baseline: method === "deer" }, async () => {
      (await solve(cell, problem, options)).dispose();
    });
  }
}

for (const [name, step, time] of [["gru", gru({ input: 4, hidden: 16 }), 1e6], ["leaky", leaky(16), 1e6]] as const) {
  const T = time / scale;
  const group = `${adapter}: whole solve, ${name} D=16 B=1 T=${T}`;
  const host = { data: fill(T * step.input, 1, 4), shape: [T, step.input] };
  for (const [device, methods] of [[cpu, ["sequential"]], [gpu, ["sequential", "deer", "quasi-deer"]]] as const) {
    const problem = { params: step.init(device), xs: tensor(device, host) };
    for (const method of methods) {
      const label = device === cpu ? "CPU engine, sequential" : method;
      Deno.bench({ name: label, group, baseline: device === cpu }, async () => {
        (await solve(step, problem, { method })).dispose();
      });
    }
  }
}
