/** Five trained GRU layers on whale calls, the last of which broke DEER, by every method on both engines. */
import {
  blockDeer,
  deer,
  type Device,
  elk,
  gru,
  type HostTensor,
  jacobi,
  type Method,
  openDevice,
  picard,
  quasiDeer,
  quasiElk,
  readSafetensors,
  solve,
  toHost,
} from "@cervid/cervid";
import { WHALE_SWEEPS } from "./peers/published_elk.ts";

/** One method on one layer. */
export interface WhaleRow {
  readonly engine: string;
  readonly layer: number;
  readonly method: string;
  readonly time: number;
  /** Of each call. */
  readonly published?: readonly number[];
  /** Of each call; empty where it was refused. */
  readonly sweeps: readonly number[];
  /** The largest deviation from the sequential answer; null where there is none. */
  readonly error: number | null;
  readonly ms: number;
  readonly sequentialMs: number;
  /** The message of the error. */
  readonly failure?: string;
}

const UNITS = 32;
const CELLS = Array.from({ length: 5 }, (_, layer) => gru({ input: layer === 0 ? 1 : UNITS, hidden: UNITS }));

/** How much of the calls a method gets: all of it takes hours where a sweep is dear or sweeps are many. */
interface Plan {
  readonly methods: readonly (readonly [name: string, method: Method, published?: "deer" | "quasiDeer"])[];
  readonly calls: readonly number[];
  readonly time: number;
}

const ON_CPU: readonly Plan[] = [
  {
    methods: [["deer", deer(), "deer"], ["quasi-deer", quasiDeer(), "quasiDeer"], ["quasi-elk", quasiElk()]],
    calls: [0, 1, 2, 3],
    time: 4000,
  },
  { methods: [["elk", elk()]], calls: [1], time: 4000 },
  {
    methods: [
      ["jacobi", jacobi()],
      ["picard", picard()],
      ["block-deer", blockDeer({ block: 2 })],
      ["deer, scale 0.1", deer({ scale: 0.1 })],
      ["deer, clip 1", deer({ clip: 1 })],
    ],
    calls: [1],
    time: 1000,
  },
];

const ON_WEBGPU: readonly Plan[] = [{
  methods: [
    ["deer", deer()],
    ["quasi-deer", quasiDeer()],
    ["quasi-elk", quasiElk()],
    ["elk", elk()],
    ["jacobi", jacobi()],
    ["picard", picard()],
    ["block-deer", blockDeer({ block: 2 })],
  ],
  calls: [1],
  time: 500,
}];

interface Layers {
  readonly params: readonly Record<string, HostTensor>[];
  /** Inputs of each layer, `(B, T, I)`. */
  readonly inputs: readonly HostTensor[];
}

/** Runs the layers one after the other, with the norm after each. */
async function readLayers(device: Device): Promise<Layers> {
  const file = new URL("../tests/golden/whale/layers.safetensors", import.meta.url);
  const { tensors } = readSafetensors(await Deno.readFile(file));
  const part = (prefix: string): Record<string, HostTensor> =>
    Object.fromEntries(
      Object.entries(tensors).filter(([name]) => name.startsWith(`${prefix}.`))
        .map(([name, value]) => [name.slice(prefix.length + 1), value]),
    );
  const params = CELLS.map((_, layer) => part(`gru${layer}`));
  const inputs = [tensors.xs!];
  for (const [layer, cell] of CELLS.entries()) {
    using solution = await solve(cell, { params: params[layer]!, xs: inputs[layer]! }, {
      device,
      method: "sequential",
    });
    const { weight, bias } = part(`norm${layer}`);
    inputs.push(normalise(await toHost(solution.ys), weight!, bias!));
  }
  return { params, inputs };
}

function normalise({ data, shape }: HostTensor, weight: HostTensor, bias: HostTensor): HostTensor {
  const out = new Float32Array(data.length);
  for (let row = 0; row < data.length; row += UNITS) {
    const values = Array.from(data.subarray(row, row + UNITS));
    const mean = values.reduce((a, b) => a + b, 0) / UNITS;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / UNITS;
    for (let i = 0; i < UNITS; i++) {
      out[row + i] = (values[i]! - mean) / Math.sqrt(variance + 1e-5) * weight.data[i]! + bias.data[i]!;
    }
  }
  return { data: out, shape };
}

/** The first `time` steps of some calls. */
function cut({ data, shape: [, all = 0, width = 0] }: HostTensor, calls: readonly number[], time: number): HostTensor {
  const out = new Float32Array(calls.length * time * width);
  for (const [i, call] of calls.entries()) {
    out.set(data.subarray(call * all * width, (call * all + time) * width), i * time * width);
  }
  return { data: out, shape: [calls.length, time, width] };
}

async function solveLayers(device: Device, { params, inputs }: Layers, plans: readonly Plan[]): Promise<WhaleRow[]> {
  const rows: WhaleRow[] = [];
  for (const { methods, calls, time } of plans) {
    for (const [layer, cell] of CELLS.entries()) {
      const problem = { params: params[layer]!, xs: cut(inputs[layer]!, calls, time) };
      (await solve(cell, problem, { device, method: "sequential" })).dispose();
      let start = performance.now();
      using sequential = await solve(cell, problem, { device, method: "sequential" });
      const sequentialMs = performance.now() - start;
      const exact = (await toHost(sequential.ys)).data;
      for (const [name, method, peers] of methods) {
        const published = peers && calls.map((call) => WHALE_SWEEPS[layer]![peers][call]!);
        const row = {
          engine: device.backend,
          layer,
          method: name,
          time,
          ...(published && { published }),
          sequentialMs,
        };
        start = performance.now();
        try {
          using solution = await solve(cell, problem, { device, method });
          const { data } = await toHost(solution.ys);
          const error = Array.from(data).reduce((worst, h, i) => Math.max(worst, Math.abs(h - exact[i]!)), 0);
          rows.push({ ...row, sweeps: solution.stats.sequenceSweeps, error, ms: performance.now() - start });
        } catch (failure) {
          if (!(failure instanceof Error)) throw failure;
          rows.push({
            ...row,
            sweeps: [],
            error: null,
            ms: performance.now() - start,
            failure: `${failure.name}: ${failure.message}`,
          });
        }
        console.error(JSON.stringify(rows.at(-1)));
      }
    }
  }
  return rows;
}

/** All layers, methods and engines; engines that are not there are left out. */
export async function solveWhale(): Promise<WhaleRow[]> {
  await using cpu = await openDevice({ backend: "cpu", dtype: "f32" });
  const layers = await readLayers(cpu);
  const rows = await solveLayers(cpu, layers, ON_CPU);
  const gpu = await openDevice({ backend: "webgpu" }).catch((error: Error) => console.error(error.message));
  if (gpu) {
    rows.push(...await solveLayers(gpu, layers, ON_WEBGPU));
    await gpu.dispose();
  }
  return rows;
}
