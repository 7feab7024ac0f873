import type { BindingKind, Kernel } from "../../../kernels/kernel.ts";
import { KernelError } from "../../core/errors.ts";
import type { ErrorKeeper } from "./errors.ts";
import { STAGE_COMPUTE } from "./usage.ts";

const BUFFER_TYPES: Record<BindingKind, GPUBufferBindingType> = {
  uniform: "uniform",
  read: "read-only-storage",
  read_write: "storage",
};
/** Source lines shown before and after the one that the compiler names. */
const LINES_AROUND = 3;
/** naga draws the place into its message; ours has more lines of it. */
const NAGA_DRAWING = /^\s*\d*\s*[┌│]/;

/** Pipelines by the text of their kernel. Layouts come from the kernel's list, so that bind groups need no pipeline. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #errors: ErrorKeeper;
  readonly #byCode = new Map<string, GPUComputePipeline>();
  readonly #warming = new Map<string, Promise<void>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(device: GPUDevice, errors: ErrorKeeper) {
    this.#device = device;
    this.#errors = errors;
  }

  groupLayout(kernel: Kernel): GPUBindGroupLayout {
    return this.#layout(kernel.bindings);
  }

  /** The pipeline at once; what the compiler has against it is kept for the next wait. */
  compile(kernel: Kernel): GPUComputePipeline {
    const known = this.#byCode.get(kernel.code);
    if (known !== undefined) return known;
    let module: GPUShaderModule;
    const pipeline = this.#errors.watch(
      () => {
        module = this.#module(kernel);
        return this.#device.createComputePipeline(this.#descriptor(kernel, module));
      },
      (report) => kernelError(kernel, module, report),
    );
    this.#byCode.set(kernel.code, pipeline);
    return pipeline;
  }

  /** Compiles side by side where the browser can. Rejects with the first {@linkcode KernelError}. */
  async warm(kernels: readonly Kernel[]): Promise<void> {
    const outcomes = await Promise.allSettled(kernels.map((kernel) => {
      if (this.#byCode.has(kernel.code)) return undefined;
      const known = this.#warming.get(kernel.code);
      if (known !== undefined) return known;
      const warming = this.#warm(kernel).finally(() => this.#warming.delete(kernel.code));
      this.#warming.set(kernel.code, warming);
      return warming;
    }));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  async #warm(kernel: Kernel): Promise<void> {
    this.#device.pushErrorScope("validation");
    const module = this.#module(kernel);
    const report = this.#device.popErrorScope();
    try {
      const pipeline = await this.#device.createComputePipelineAsync(this.#descriptor(kernel, module));
      if (!this.#byCode.has(kernel.code)) this.#byCode.set(kernel.code, pipeline);
    } catch (error) {
      this.#errors.checkAlive();
      throw await kernelError(kernel, module, await report ?? error as Error);
    }
  }

  #module({ name, code }: Kernel): GPUShaderModule {
    return this.#device.createShaderModule({ label: name, code });
  }

  #descriptor({ name, bindings }: Kernel, module: GPUShaderModule): GPUComputePipelineDescriptor {
    // Not shared: wgpu 29 keeps the binding sizes that the first pipeline of a layout expects for all that follow it in a pass.
    const layout = this.#device.createPipelineLayout({ label: name, bindGroupLayouts: [this.#layout(bindings)] });
    return { label: name, layout, compute: { module, entryPoint: "main" } };
  }

  #layout(bindings: readonly BindingKind[]): GPUBindGroupLayout {
    const key = bindings.join(" ");
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      layout = this.#device.createBindGroupLayout({
        label: key,
        entries: bindings.map((kind, binding) => ({
          binding,
          visibility: STAGE_COMPUTE,
          buffer: { type: BUFFER_TYPES[kind] },
        })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}

async function kernelError(
  { name, code }: Kernel,
  module: GPUShaderModule,
  report: { readonly message: string },
): Promise<KernelError> {
  // Where the compiler itself is content, the pipeline was refused: for its limits, its layout.
  const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] }));
  const fault = messages.find(({ type }) => type === "error");
  const words =
    (fault?.message ?? report.message).split("\n").filter((line) => !NAGA_DRAWING.test(line)).join("\n").trim()
      .replace(/\.$/, "") || "the compiler gave no reason";
  const excerpt = fault !== undefined && fault.lineNum > 0 ? `\n${linesAround(code, fault.lineNum)}` : "";
  return new KernelError(`Cannot compile kernel "${name}": ${words}${excerpt}`, { cause: report });
}

/** The lines about line `lineNum`, counted from 1, which is marked. */
function linesAround(code: string, lineNum: number): string {
  const first = Math.max(1, lineNum - LINES_AROUND);
  return code.split("\n").slice(first - 1, lineNum + LINES_AROUND).map((line, i) =>
    `${first + i === lineNum ? ">" : " "} ${String(first + i).padStart(4)} | ${line}`
  ).join("\n");
}
