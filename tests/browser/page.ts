/** What the page does: solves by the bundled library and kernels on the browser's own WebGPU. Posts a `PageReport`. */

import {
  type Device,
  elman,
  fromTorchGru,
  gru,
  type HostTensor,
  lstm,
  type MethodName,
  openDevice,
  type Problem,
  readSafetensors,
  solve,
  type Step,
  toHost,
} from "../../mod.ts";
import { leaky } from "../kernels/solver_kernels.ts";
import { floats, KERNEL_CASES } from "../kernels/table.ts";
import { type KernelRun, runKernel } from "./dispatch.ts";

/** One solve: why it failed, if it did. */
export interface SolveCheck {
  readonly name: string;
  readonly fault?: string;
}

/** All that the page found. */
export interface PageReport {
  readonly adapter: string;
  readonly solves: readonly SolveCheck[];
  readonly kernels: readonly KernelRun[];
}

/** f32's distance from 1 to the next number. */
const EPSILON = 2 ** -23;

async function post(path: string, body: string): Promise<void> {
  await fetch(path, { method: "POST", body });
}

/** Solves by each method and compares with `expected`: these cells contract, so each step adds at most one rounding. */
async function checkMethods(
  title: string,
  backend: "cpu" | "webgpu",
  methods: readonly MethodName[],
  step: Step,
  problemOn: (device: Device) => Problem,
  { data: expected, shape }: HostTensor,
): Promise<SolveCheck[]> {
  const checks: SolveCheck[] = [];
  const tolerance = EPSILON * shape[1]!;
  await using device = await openDevice({ backend });
  const problem = problemOn(device);
  for (const method of methods) {
    const name = `${title} by ${method} on ${device.backend}`;
    await post("/progress", name);
    try {
      using solution = await solve(step, problem, { device, method, maxSweeps: shape[1]! });
      const { data } = await toHost(solution.ys);
      let worst = data.length === expected.length ? 0 : NaN;
      for (let i = 0; i < data.length; i++) worst = Math.max(worst, Math.abs(data[i]! - expected[i]!));
      checks.push(worst <= tolerance ? { name } : { name, fault: `off by ${worst}, allowed are ${tolerance}` });
    } catch (error) {
      checks.push({ name, fault: String(error) });
    }
  }
  return checks;
}

/** PyTorch's trajectories of a GRU, on each engine. */
async function checkGolden(): Promise<SolveCheck[]> {
  const bytes = new Uint8Array(await (await fetch("/golden/torch_gru.safetensors")).arrayBuffer());
  const { xs, ys, h0, ...dict } = readSafetensors(bytes).tensors as Record<string, HostTensor>;
  const cell = gru({ input: xs!.shape[2]!, hidden: h0!.shape[1]! });
  const problem = { params: fromTorchGru(dict), xs: xs!, h0: h0! };
  const check = (backend: "cpu" | "webgpu"): Promise<SolveCheck[]> =>
    checkMethods("PyTorch's GRU", backend, ["sequential", "quasi-deer", "deer"], cell, () => problem, ys!);
  return [...await check("cpu"), ...await check("webgpu")];
}

/** Cells of sizes that take different kernels, by every method, beside the loop of the CPU engine in double precision. */
async function checkCells(): Promise<SolveCheck[]> {
  const [batch, time] = [2, 100];
  const methods = ["sequential", "jacobi", "quasi-deer", "block-deer", "deer"] as const;
  const cells: [string, Step][] = [
    ["elman of 1", elman({ input: 2, hidden: 1 })],
    ["gru of 4", gru({ input: 2, hidden: 4 })],
    ["gru of 6", gru({ input: 2, hidden: 6 })],
    ["gru of 40", gru({ input: 2, hidden: 40 })],
    ["lstm of 2", lstm({ input: 2, hidden: 2 })],
    ["lstm of 6", lstm({ input: 2, hidden: 6 })],
    ["leaky of 9", leaky(9)],
  ];
  const checks: SolveCheck[] = [];
  for (const [title, step] of cells) {
    await using device = await openDevice({ backend: "cpu", dtype: "f64" });
    const xs = { data: floats(batch * time * step.input, 1, 1), shape: [batch, time, step.input] };
    const problemOn = (device: Device): Problem => ({ params: step.init(device, { seed: 1 }), xs });
    using solution = await solve(step, problemOn(device), { method: "sequential" });
    const expected = await toHost(solution.ys);
    checks.push(...await checkMethods(title, "webgpu", methods, step, problemOn, expected));
  }
  return checks;
}

async function runKernels(adapter: GPUAdapter): Promise<KernelRun[]> {
  const device = await adapter.requestDevice();
  const runs: KernelRun[] = [];
  for (const given of KERNEL_CASES) {
    await post("/progress", given.name);
    runs.push(await runKernel(device, given));
  }
  device.destroy();
  return runs;
}

async function main(): Promise<PageReport> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("The browser has no WebGPU adapter");
  const { vendor, architecture, description } = adapter.info;
  const solves = [...await checkGolden(), ...await checkCells()];
  return { adapter: `${vendor} ${architecture} ${description}`.trim(), solves, kernels: await runKernels(adapter) };
}

try {
  await post("/report", JSON.stringify(await main()));
} catch (error) {
  await post("/fault", error instanceof Error ? `${error.stack ?? error}` : String(error));
}
