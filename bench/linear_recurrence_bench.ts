/**
 * Linear recurrences on both engines. On the CPU every form beside a typed-array loop written for it; then the table of
 * Martin & Cundy (arXiv 1709.04057), the serial fold of the CPU beside the scan of WebGPU over (T, B) and m features,
 * forward and with gradients. Sequences are a sixteenth as long on an adapter in software.
 *
 *     deno bench -A --json bench/linear_recurrence_bench.ts > recurrence.json
 *     deno run -A bench/report.ts recurrence.json
 *
 * The baseline of each group is a copy on the same machine that moves as many bytes as must be moved at least: reads of a
 * and b and the write of y; backward, of a, ȳ and λ, and of λ, y and ā. WebGPU entries end with a read of a few bytes.
 */
import { type Device, openDevice } from "@cervid/cervid";
import { engineOf } from "../src/device.ts";
import type { Engine, Memory, MonoidKind } from "../src/engine/engine.ts";
import { pullBackRecurrence } from "../src/scan/recurrence_pullback.ts";
import { HAND_LOOPS } from "./peers/recurrence_loops.ts";

/** Deterministic numbers in ±bound; the timing does not depend on which. */
function fill(dtype: "f32" | "f64", length: number, bound: number, seed: number): Float32Array | Float64Array {
  const number = (_: unknown, i: number): number => bound * Math.sin(12.9898 * (i + 1) + 78.233 * seed);
  return dtype === "f32" ? Float32Array.from({ length }, number) : Float64Array.from({ length }, number);
}

interface Case {
  readonly monoid: MonoidKind;
  readonly batch: number;
  readonly time: number;
  readonly state: number;
  readonly block: number;
}

/** A recurrence on an engine: what its runs read and write, allocated at their first use. */
class Run {
  readonly #engine: Engine;
  readonly #sizes: Case;
  readonly #probe: Memory;
  #memory: Readonly<Record<"a" | "b" | "y" | "from" | "to", Memory>> | undefined;
  readonly bytes: number;

  constructor(device: Device, sizes: Case, direction: "forward" | "gradients" | "both") {
    this.#engine = engineOf(device);
    this.#sizes = sizes;
    this.#probe = this.#engine.upload(new Float32Array(1));
    const [n, words] = this.#lengths();
    const moved = { forward: words + 2 * n, gradients: 2 * words + 4 * n };
    const total = direction === "both" ? moved.forward + moved.gradients : moved[direction];
    this.bytes = total * (device.dtype === "f32" ? 4 : 8);
  }

  #lengths(): [vectors: number, matrices: number] {
    const { monoid, batch, time, state, block } = this.#sizes;
    const width = { scalar: 1, diagonal: state, block: state * block, dense: state * state }[monoid];
    return [batch * time * state, batch * time * width];
  }

  get memory(): Readonly<Record<"a" | "b" | "y" | "from" | "to", Memory>> {
    if (this.#memory !== undefined) return this.#memory;
    // Entries run in order: the arrays before are not needed any more.
    if (current !== undefined) current.#end();
    current = this;
    const engine = this.#engine;
    const { dtype } = engine;
    const [n, words] = this.#lengths();
    const half = Math.ceil(this.bytes / (dtype === "f32" ? 8 : 16));
    return this.#memory = {
      a: engine.upload(fill(dtype, words, 0.3, 1)),
      b: engine.upload(fill(dtype, n, 1, 2)),
      y: engine.allocate(dtype, n),
      from: engine.upload(fill(dtype, half, 1, 3)),
      to: engine.allocate(dtype, half),
    };
  }

  copy(): void {
    const { from, to } = this.memory;
    const row = { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, rows: 1 };
    this.#engine.copy(from, to, { ...row, width: from.length });
  }

  forward(): void {
    const { a, b, y } = this.memory;
    this.#engine.scan({ ...this.#sizes, a, b, h0: null, out: y, reverse: false });
  }

  /** The gradients of a and b, with the memory for them, of a cotangent that is b. */
  backward(): void {
    const { a, b, y } = this.memory;
    const solved = { ...this.#sizes, a, y, h0: null, sharedStart: false, reverse: false };
    const bars = pullBackRecurrence(this.#engine, solved, b, { a: true, b: true, h0: false });
    for (const memory of [bars.a, bars.b]) this.#engine.free(memory!);
  }

  async done(): Promise<void> {
    if (this.#engine.backend === "webgpu") await this.#engine.read(this.#probe);
  }

  #end(): void {
    for (const memory of Object.values(this.#memory ?? {})) this.#engine.free(memory);
    this.#memory = undefined;
  }
}

/** Whose arrays are there. */
let current: Run | undefined;

function entry(name: string, group: string, run: Run, work: () => void, baseline = false): void {
  Deno.bench({ name, group, baseline }, async () => {
    work();
    await run.done();
  });
}

const arrayOf = (memory: Memory): Float32Array => (memory as unknown as { array: Float32Array }).array;

for (const dtype of ["f32", "f64"] as const) {
  const cpu = await openDevice({ backend: "cpu", dtype });
  for (
    const [monoid, state, block, time] of [
      ["scalar", 16, 1, 1e6],
      ["diagonal", 16, 1, 1e6],
      ["diagonal", 128, 1, 1e5],
      ["block", 8, 2, 1e6],
      ["dense", 4, 1, 3e5],
      ["dense", 16, 1, 1e5],
    ] as const
  ) {
    const sizes = { monoid, batch: 1, time, state, block };
    const form = monoid === "block" ? `blocks of ${block}` : monoid;
    for (const direction of ["forward", "gradients"] as const) {
      const run = new Run(cpu, sizes, direction);
      const group = `CPU ${dtype}: ${direction}, ${form} D=${state} T=${time} bytes=${run.bytes}`;
      entry("copy of as many bytes", group, run, () => run.copy(), true);
      if (direction === "gradients") {
        entry("pullback", group, run, () => run.backward());
        continue;
      }
      // Compiled for each group: a loop that has met other arrays is slower.
      const loop = HAND_LOOPS[monoid]();
      entry("typed-array loop", group, run, () => {
        const { a, b, y } = run.memory;
        loop(arrayOf(a), arrayOf(b), arrayOf(y), time, state, block);
      });
      entry("fold", group, run, () => run.forward());
    }
  }
}

const gpu = await openDevice({ backend: "webgpu" }).catch((error: Error) => {
  console.error(`Without WebGPU: ${error.message}`);
});
if (gpu) {
  const cpu = await openDevice({ backend: "cpu" });
  const scale = engineOf(gpu).speed === "hardware" ? 1 : 16;
  const adapter = gpu.description.replace(/^WebGPU, /, "").replace(/, f32$/, "");
  for (const batch of [1, 8]) {
    for (const state of [4, 32, 128]) {
      for (const length of [16, 256, 4096, 65536, 1048576]) {
        const time = Math.max(16, length / scale);
        // Arrays of at most 128 MiB, and no length twice.
        if (batch * time * state > 2 ** 25 || (scale > 1 && length < 256)) continue;
        for (const direction of ["forward", "both"] as const) {
          const sizes = { monoid: "diagonal", batch, time, state, block: 1 } as const;
          const [onGpu, onCpu] = [new Run(gpu, sizes, direction), new Run(cpu, sizes, direction)];
          const what = direction === "both" ? "forward and gradients" : "forward";
          const group = `${adapter}: ${what}, m=${state} B=${batch} T=${time} bytes=${onGpu.bytes}`;
          const both = (run: Run) => (): void => {
            run.forward();
            if (direction === "both") run.backward();
          };
          entry("copy of as many bytes", group, onGpu, () => onGpu.copy(), true);
          entry("scan", group, onGpu, both(onGpu));
          entry("copy on the CPU", group, onCpu, () => onCpu.copy());
          entry("fold on the CPU", group, onCpu, both(onCpu));
        }
      }
    }
  }
}
