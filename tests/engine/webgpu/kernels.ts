import { assembleKernel, type Kernel } from "../../../kernels/kernel.ts";
import type { Machine } from "../../../src/engine/webgpu/machine.ts";

/** `x[i] = x[i] * factor + term` for `start <= i < end`, one element an invocation. */
export const AFFINE: Kernel = assembleKernel({
  name: "affine",
  header: "x[i] = x[i] * factor + term",
  bindings: [
    { name: "u", kind: "uniform", type: "Settings" },
    { name: "x", kind: "read_write", type: "array<u32>" },
  ],
  declarations: ["struct Settings { start: u32, end: u32, factor: u32, term: u32 }"],
  workgroup: 64,
  main: ["let i = u.start + group * 64u + lane;", "if (i >= u.end) { return; }", "x[i] = x[i] * u.factor + u.term;"],
});

/** One element a workgroup: `x[group] = group + 1`, `group < count`. */
export const NUMBER_GROUPS: Kernel = assembleKernel({
  name: "number groups",
  header: "x[group] = group + 1",
  bindings: [
    { name: "count", kind: "uniform", type: "vec4<u32>" },
    { name: "x", kind: "read_write", type: "array<u32>" },
  ],
  workgroup: 1,
  main: ["if (group >= count.x) { return; }", "x[group] = group + 1u + lane;"],
});

/** No WGSL: the second line names what does not exist. */
export const BROKEN: Kernel = {
  name: "broken",
  code: ["@compute @workgroup_size(1) fn main() {", "  let x = missing + 1u;", "}", "// the end"].join("\n"),
  bindings: [],
};

export interface AffineSettings {
  readonly start?: number;
  readonly end: number;
  readonly factor?: number;
  readonly term?: number;
}

/** Records {@linkcode AFFINE}. */
export function affine(
  machine: Machine,
  buffer: GPUBuffer,
  { start = 0, end, factor = 1, term = 0 }: AffineSettings,
): void {
  const settings = machine.uniform(Uint32Array.of(start, end, factor, term));
  machine.dispatch(AFFINE, machine.bind(AFFINE, [settings, { buffer }]), Math.ceil((end - start) / 64));
}

export async function readWords(machine: Machine, buffer: GPUBuffer, start: number, length: number): Promise<number[]> {
  return [...new Uint32Array(await machine.read(buffer, 4 * start, 4 * length))];
}
