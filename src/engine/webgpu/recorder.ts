import { deviceError, type ErrorKeeper } from "./errors.ts";
import type { Profiler } from "./profile.ts";

/** Dispatches and copies that are submitted together. */
export const MOST_RECORDED = 256;

/** How many workgroups: a number, folded to two dimensions, or arguments (3 u32) in a buffer. */
export type Grid = number | { readonly indirect: GPUBuffer; readonly offset: number };

/** Commands in the making: one encoder, and one pass for as many dispatches as follow each other. */
export class Recorder {
  readonly #device: GPUDevice;
  readonly #errors: ErrorKeeper;
  readonly #groupsPerDimension: number;
  readonly #profiler: Profiler | undefined;
  readonly #beforeSubmit: () => void;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #pipeline: GPUComputePipeline | undefined;
  #recorded = 0;

  constructor(
    { device, errors, profiler, beforeSubmit }: {
      readonly device: GPUDevice;
      readonly errors: ErrorKeeper;
      readonly profiler: Profiler | undefined;
      readonly beforeSubmit: () => void;
    },
  ) {
    this.#device = device;
    this.#errors = errors;
    this.#groupsPerDimension = device.limits.maxComputeWorkgroupsPerDimension;
    this.#profiler = profiler;
    this.#beforeSubmit = beforeSubmit;
  }

  dispatch(name: string, pipeline: GPUComputePipeline, group: GPUBindGroup, grid: Grid): void {
    if (grid === 0) return;
    const folded = typeof grid === "number" ? this.#fold(grid, name) : undefined;
    const pass = this.#openPass(name);
    if (this.#pipeline !== pipeline) pass.setPipeline(pipeline);
    this.#pipeline = pipeline;
    pass.setBindGroup(0, group);
    if (typeof grid === "object") pass.dispatchWorkgroupsIndirect(grid.indirect, grid.offset);
    else pass.dispatchWorkgroups(...folded!);
    this.#count();
  }

  /** Records a command that stands outside passes. */
  encode(command: (encoder: GPUCommandEncoder) => void): void {
    this.#endPass();
    command(this.#openEncoder());
    this.#count();
  }

  /** Submits what was recorded. */
  flush(): void {
    this.#endPass();
    this.#beforeSubmit();
    const encoder = this.#encoder;
    if (encoder === undefined) return;
    this.#profiler?.beforeSubmit(encoder);
    this.#encoder = undefined;
    this.#recorded = 0;
    this.#errors.watch(
      () => this.#device.queue.submit([encoder.finish()]),
      (report, kind) => deviceError("Cannot run what was recorded", report, kind),
    );
  }

  #count(): void {
    if (++this.#recorded >= MOST_RECORDED) this.flush();
  }

  #openEncoder(): GPUCommandEncoder {
    return this.#encoder ??= this.#device.createCommandEncoder({ label: "cervid" });
  }

  #openPass(name: string): GPUComputePassEncoder {
    if (this.#profiler !== undefined) {
      this.#endPass();
      this.#pass = this.#openEncoder().beginComputePass({ label: name, timestampWrites: this.#profiler.next(name) });
    }
    return this.#pass ??= this.#openEncoder().beginComputePass({ label: "cervid" });
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = this.#pipeline = undefined;
  }

  #fold(groups: number, name: string): [x: number, y: number] {
    const most = this.#groupsPerDimension;
    const rows = Math.ceil(groups / most);
    if (!Number.isInteger(groups) || groups < 0 || rows > most) {
      throw new RangeError(`Cannot run kernel "${name}": 0 to ${most ** 2} workgroups are expected, got ${groups}`);
    }
    return [Math.ceil(groups / rows), rows];
  }
}
