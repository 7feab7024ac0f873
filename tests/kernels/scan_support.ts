import { assertEquals } from "@std/assert";
import type { ScanElements } from "../../kernels/scan_elements.ts";
import { NONE, STATE, STATE_WORDS } from "../../kernels/sequence.ts";
import type { Machine, Region } from "../../src/engine/webgpu/machine.ts";
import { AffineScan } from "../../src/engine/webgpu/scan.ts";
import { numbers } from "../solve/arrays.ts";

/** A scan as data, on host arrays. */
export interface HostScan extends ScanElements {
  readonly batch: number;
  readonly time: number;
  readonly stride?: number;
  readonly units: number;
  readonly A?: Float32Array;
  readonly F: Float32Array;
  readonly start?: Float32Array;
}

const GUARD = 0x7fedcba9;
const GUARD_WORDS = 64;

/** Words on the machine between guard words, which must be there afterwards. */
export class Guarded {
  readonly region: Region;
  readonly #machine: Machine;
  readonly #length: number;

  constructor(machine: Machine, data: Float32Array | Uint32Array, shift = 0) {
    const before = GUARD_WORDS + shift;
    const words = new Uint32Array(before + data.length + GUARD_WORDS).fill(GUARD);
    words.set(new Uint32Array(data.buffer, data.byteOffset, data.length), before);
    const buffer = machine.pool.allocate(words.byteLength, "guarded");
    machine.write(buffer, words);
    this.#machine = machine;
    this.#length = data.length;
    this.region = { buffer, offset: 4 * before, size: 4 * data.length };
  }

  /** The words, after a look at the guards; frees them. */
  async take(): Promise<Uint32Array> {
    const { buffer, offset } = this.region;
    const before = offset! / 4;
    const words = new Uint32Array(await this.#machine.read(buffer, 0, 4 * (before + this.#length + GUARD_WORDS)));
    this.#machine.pool.release(buffer);
    for (const guard of [words.subarray(0, before), words.subarray(before + this.#length)]) {
      assertEquals(guard.every((word) => word === GUARD), true, "guard words were overwritten");
    }
    return words.slice(before, before + this.#length);
  }

  async floats(): Promise<Float32Array> {
    return new Float32Array((await this.take()).buffer);
  }
}

export const channelOf = ({ layout, units, size }: HostScan, u: number, p: number): number =>
  layout === "contiguous" ? u * size + p : u + p * units;

/** Row i of `A[row]` of unit u, of adjoint scans column i, applied to v. */
export function linearOf(scan: HostScan, row: number, u: number, i: number, v: ArrayLike<number>): number {
  const { matrix, size, units, adjoint, A } = scan;
  if (matrix === "zero") return 0;
  if (matrix === "identity") return v[i]!;
  if (matrix === "scalar") return A![row]! * v[i]!;
  let total = 0;
  for (let j = 0; j < size; j++) {
    const [m, n] = adjoint ? [j, i] : [i, j];
    total += A![((row * units + u) * size + m) * size + n]! * v[j]!;
  }
  return total;
}

/** Random elements whose spectral radii are about 0.6. */
export function randomScan(
  form: Omit<HostScan, "A" | "F" | "start">,
  seed: number,
  withStart: boolean,
): HostScan {
  const { batch, time, stride = time, units, size, matrix } = form;
  const rows = batch * stride;
  const words = matrix === "scalar" ? 1 : units * size * size;
  const F = Float32Array.from(numbers(rows * units * size, 1, seed + 1));
  return {
    ...form,
    F,
    ...(matrix === "scalar" || matrix === "full"
      ? { A: Float32Array.from(numbers(rows * words, 0.99 / Math.sqrt(size), seed)) }
      : {}),
    ...(withStart ? { start: Float32Array.from(numbers(batch * units * size, 1, seed + 2)) } : {}),
  };
}

/**
 * s[t] = A[t] s[t-1] + F[t] by a fold in double precision, of adjoint scans with the transposed matrix of the row met before;
 * rows that no sequence owns keep `blank`.
 */
export function fold(scan: HostScan, blank: number = NaN): Float64Array {
  const { batch, time, stride = time, units, size, F, start, reverse, adjoint } = scan;
  const width = units * size;
  const out = new Float64Array(batch * stride * width).fill(blank);
  for (let b = 0; b < batch; b++) {
    for (let u = 0; u < units; u++) {
      let s = Array.from({ length: size }, (_, p) => start?.[b * width + channelOf(scan, u, p)] ?? 0);
      for (let r = 0; r < time; r++) {
        const row = b * stride + (reverse ? time - 1 - r : r);
        const before = reverse ? row + 1 : row - 1;
        s = s.map((value, i) => {
          const linear = !adjoint ? linearOf(scan, row, u, i, s) : r === 0 ? value : linearOf(scan, before, u, i, s);
          return linear + F[row * width + channelOf(scan, u, i)]!;
        });
        s.forEach((value, p) => out[row * width + channelOf(scan, u, p)] = value);
      }
    }
  }
  return out;
}

/** The recurrence on the machine, between guards, from places that are multiples of nothing. */
export async function scanOn(machine: Machine, scan: HostScan, blank: number = NaN): Promise<Float32Array> {
  const guarded = (data: Float32Array, shift: number): Guarded => new Guarded(machine, data, shift);
  const A = scan.A && guarded(scan.A, 3);
  const F = guarded(scan.F, 5);
  const start = scan.start && guarded(scan.start, 1);
  const out = guarded(new Float32Array(scan.F.length).fill(blank), 7);
  const run = new AffineScan(machine, scan, {
    vector: F.region,
    out: out.region,
    ...(A ? { matrix: A.region } : {}),
    ...(start ? { start: start.region } : {}),
  });
  run.record();
  run.dispose();
  for (const input of [A, F, start]) await input?.take();
  return await out.floats();
}

/** The state words of sequences that are running, with room for what sweeps publish. */
export function stateWords(
  sequences: readonly Partial<Record<keyof typeof STATE, number>>[],
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(sequences.length * STATE_WORDS);
  sequences.forEach((fields, b) => {
    words[b * STATE_WORDS + STATE.changed] = words[b * STATE_WORDS + STATE.bad] = NONE;
    for (const [name, value] of Object.entries(fields)) {
      words[b * STATE_WORDS + STATE[name as keyof typeof STATE]] = value;
    }
  });
  return words;
}

/** The bits of a number in f32. */
export function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

/** The forms that sweeps and error scans come in. */
export const SWEEP_FORMS = [
  { matrix: "full", size: 1, units: 1, layout: "contiguous" },
  { matrix: "full", size: 1, units: 37, layout: "contiguous" },
  { matrix: "full", size: 2, units: 5, layout: "strided" },
  { matrix: "full", size: 3, units: 1, layout: "contiguous" },
  { matrix: "full", size: 4, units: 2, layout: "contiguous" },
  { matrix: "identity", size: 3, units: 1, layout: "contiguous" },
  { matrix: "zero", size: 3, units: 1, layout: "contiguous" },
] as const;
