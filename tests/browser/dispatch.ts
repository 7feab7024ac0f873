/** Runs kernels on a bare WebGPU device, in Deno and in pages alike: the two differ in compiler and driver only. */

import type { BindingKind } from "../../kernels/kernel.ts";
import type { CaseBuffer, KernelCase } from "../kernels/table.ts";

/** What a kernel did, ready for JSON: buffers as words, since JSON has no NaN. */
export interface KernelRun {
  readonly name: string;
  /** What the compiler said, warnings and errors alike. */
  readonly messages: readonly string[];
  /** What WebGPU refused, and why. */
  readonly errors: readonly string[];
  /** Of each binding that may be written, its words; null for the others. */
  readonly buffers: readonly (readonly number[] | null)[];
}

const BINDING_TYPES: Record<BindingKind, GPUBufferBindingType> = {
  uniform: "uniform",
  read: "read-only-storage",
  read_write: "storage",
};
const ERROR_FILTERS = ["validation", "out-of-memory", "internal"] as const;
const GROUPS_PER_DIMENSION = 65_535;

/** The words of a buffer, bit for bit. */
export function wordsOf({ data }: CaseBuffer): Uint32Array<ArrayBuffer> {
  return new Uint32Array(data.buffer, data.byteOffset, data.length);
}

function createBuffer(device: GPUDevice, kind: BindingKind, content: CaseBuffer): GPUBuffer {
  const bytes = kind === "uniform" ? Math.ceil(content.data.byteLength / 16) * 16 : content.data.byteLength;
  const { UNIFORM, STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
  const usage = kind === "uniform" ? UNIFORM | COPY_DST : STORAGE | COPY_SRC | COPY_DST;
  const buffer = device.createBuffer({ size: bytes, usage });
  device.queue.writeBuffer(buffer, 0, wordsOf(content));
  return buffer;
}

async function readWords(device: GPUDevice, buffer: GPUBuffer): Promise<number[]> {
  const staging = device.createBuffer({ size: buffer.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  try {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    return Array.from(new Uint32Array(staging.getMappedRange()));
  } finally {
    staging.destroy();
  }
}

/** Compiles the kernel of a case and, where the case says with what, runs it once. */
export async function runKernel(device: GPUDevice, { name, kernel, run }: KernelCase): Promise<KernelRun> {
  for (const filter of ERROR_FILTERS) device.pushErrorScope(filter);
  const module = device.createShaderModule({ label: name, code: kernel.code });
  const buffers = run?.buffers.map((content, i) => createBuffer(device, kernel.bindings[i]!, content)) ?? [];
  // A module alone is checked by the compiler, and its driver need not spend seconds on code that nobody runs.
  if (run !== undefined) {
    const layout = device.createBindGroupLayout({
      entries: kernel.bindings.map((kind, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: BINDING_TYPES[kind] },
      })),
    });
    const pipeline = device.createComputePipeline({
      label: name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    const rows = Math.ceil(run.grid / GROUPS_PER_DIMENSION);
    pass.dispatchWorkgroups(Math.ceil(run.grid / Math.max(rows, 1)), rows);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  const answers: (number[] | null)[] = [];
  for (const [i, buffer] of buffers.entries()) {
    answers.push(kernel.bindings[i] === "read_write" ? await readWords(device, buffer) : null);
    buffer.destroy();
  }
  const { messages } = await module.getCompilationInfo();
  const errors = await Promise.all(ERROR_FILTERS.map(() => device.popErrorScope()));
  return {
    name,
    messages: messages.map(({ type, lineNum, message }) => `${type}, line ${lineNum}: ${message}`),
    errors: errors.flatMap((error) => error === null ? [] : [error.message]),
    buffers: answers,
  };
}
