import type { Kernel } from "../../../kernels/kernel.ts";
import { DeviceError } from "../../core/errors.ts";
import { deviceError, ErrorKeeper } from "./errors.ts";
import { Pipelines } from "./pipelines.ts";
import { BufferPool } from "./pool.ts";
import { Profiler } from "./profile.ts";
import { ReadBack } from "./read_back.ts";
import { type Grid, Recorder } from "./recorder.ts";
import { Uniforms } from "./uniforms.ts";

export type { Grid } from "./recorder.ts";

/** A range of a buffer, in bytes; the offset a multiple of 256. */
export interface Region {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  /** All that follows, if it is left out: buffers of the pool may be longer than they were asked for. */
  readonly size?: number;
}

/** What a device can hold and run. */
export interface MachineLimits {
  readonly bindingBytes: number;
  readonly bufferBytes: number;
  readonly workgroupBytes: number;
  /** Invocations of a workgroup. */
  readonly invocations: number;
  /** Workgroups per dimension. */
  readonly groups: number;
}

/** What a machine is made of. */
export interface MachineOptions {
  readonly device: GPUDevice;
  readonly description: string;
  readonly software: boolean;
  /** Made by cervid and destroyed by it; else the caller's. */
  readonly owned: boolean;
  /** Time every dispatch; needs the feature `timestamp-query`. */
  readonly profile: boolean;
}

/** A WebGPU device at work: buffers, kernels, recorded commands, reading. Made by `openMachine`. */
export class Machine {
  readonly device: GPUDevice;
  readonly description: string;
  readonly software: boolean;
  readonly limits: MachineLimits;
  readonly pool: BufferPool;
  /** Reads so far. */
  readBacks = 0;
  readonly #owned: boolean;
  readonly #errors: ErrorKeeper;
  readonly #pipelines: Pipelines;
  readonly #uniforms: Uniforms;
  readonly #profiler: Profiler | undefined;
  readonly #recorder: Recorder;
  readonly #readBack: ReadBack;
  #disposing: Promise<void> | undefined;

  constructor({ device, description, software, owned, profile }: MachineOptions) {
    this.device = device;
    this.description = description;
    this.software = software;
    this.#owned = owned;
    this.limits = {
      // Bindings of storage are multiples of 4 bytes.
      bindingBytes: Math.floor(device.limits.maxStorageBufferBindingSize / 4) * 4,
      bufferBytes: Math.floor(device.limits.maxBufferSize / 4) * 4,
      workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
      invocations: device.limits.maxComputeInvocationsPerWorkgroup,
      groups: device.limits.maxComputeWorkgroupsPerDimension,
    };
    const errors = this.#errors = new ErrorKeeper(device, owned);
    const { bufferBytes, bindingBytes } = this.limits;
    this.pool = new BufferPool({ device, errors, bufferBytes, bindingBytes, flush: () => this.#recorder.flush() });
    this.#pipelines = new Pipelines(device, errors);
    const uniforms = this.#uniforms = new Uniforms(device);
    const profiler = this.#profiler = profile ? new Profiler(device) : undefined;
    this.#recorder = new Recorder({ device, errors, profiler, beforeSubmit: () => uniforms.upload() });
    this.#readBack = new ReadBack({
      device,
      errors,
      bufferBytes,
      submitCopy: (from, fromByte, to, bytes) => {
        this.#recorder.encode((encoder) => encoder.copyBufferToBuffer(from, fromByte, to, 0, bytes));
        this.#recorder.flush();
      },
    });
  }

  /** Whether {@linkcode takeTimes} has something to tell. */
  get profiles(): boolean {
    return this.#profiler !== undefined;
  }

  /** Makes the first reads as fast as the later ones. */
  async prepare(): Promise<void> {
    await this.#readBack.warm();
  }

  /** The pipeline of a kernel, kept by its code; an error of the compiler is thrown at the next wait. */
  compile(kernel: Kernel): GPUComputePipeline {
    this.#errors.checkAlive();
    return this.#pipelines.compile(kernel);
  }

  /** The same, awaited: rejects with a `KernelError`, and the machine stays usable. */
  async warm(kernels: readonly Kernel[]): Promise<void> {
    this.#errors.checkAlive();
    await this.#pipelines.warm(kernels);
  }

  /** A bind group of regions in the order of `kernel.bindings`. */
  bind(kernel: Kernel, regions: readonly Region[]): GPUBindGroup {
    this.#errors.checkAlive();
    if (regions.length !== kernel.bindings.length) {
      throw new RangeError(
        `Cannot bind "${kernel.name}": ${kernel.bindings.length} regions are expected, got ${regions.length}`,
      );
    }
    const layout = this.#pipelines.groupLayout(kernel);
    const entries = regions.map(({ buffer, offset = 0, size = buffer.size - offset }, binding) => ({
      binding,
      resource: { buffer, offset, size },
    }));
    return this.#errors.watch(
      () => this.device.createBindGroup({ label: kernel.name, layout, entries }),
      (report, kind) => deviceError(`Cannot bind "${kernel.name}"`, report, kind),
    );
  }

  /** An immutable uniform of these words, padded to 16 bytes; equal ones are one. */
  uniform(words: Uint32Array): Region {
    this.#errors.checkAlive();
    return this.#uniforms.region(words);
  }

  /** Records one dispatch, after all that was recorded before. */
  dispatch(kernel: Kernel, group: GPUBindGroup, grid: Grid): void {
    this.#recorder.dispatch(kernel.name, this.compile(kernel), group, grid);
  }

  /** Records a copy between two buffers; offsets and bytes are multiples of 4. */
  copy(from: GPUBuffer, fromByte: number, to: GPUBuffer, toByte: number, bytes: number): void {
    this.#errors.checkAlive();
    if (bytes > 0) this.#recorder.encode((encoder) => encoder.copyBufferToBuffer(from, fromByte, to, toByte, bytes));
  }

  /** Records the zeroing of a range, in multiples of 4 bytes. */
  clear(buffer: GPUBuffer, offset = 0, bytes: number = buffer.size - offset): void {
    this.#errors.checkAlive();
    if (bytes > 0) this.#recorder.encode((encoder) => encoder.clearBuffer(buffer, offset, bytes));
  }

  /** Writes after all recorded work; what `data` does not fill of its last 4 bytes becomes 0. */
  write(buffer: GPUBuffer, data: ArrayBufferView, offset = 0): void {
    this.#errors.checkAlive();
    if (data.byteLength === 0) return;
    // queue.writeBuffer would overtake what is recorded and not submitted.
    this.#recorder.flush();
    let bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as Uint8Array<ArrayBuffer>;
    if (bytes.length % 4 !== 0) {
      const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
      padded.set(bytes);
      bytes = padded;
    }
    this.#errors.watch(
      () => this.device.queue.writeBuffer(buffer, offset, bytes, 0, bytes.length),
      (report, kind) => deviceError(`Cannot write to "${buffer.label}"`, report, kind),
    );
  }

  /** Submits what was recorded. */
  flush(): void {
    this.#errors.checkAlive();
    this.#recorder.flush();
  }

  /** A copy of a range after all recorded work. Rejects with the first error that the device has reported. */
  async read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.#errors.check();
    this.readBacks++;
    return await this.#checked(this.#readBack.read(buffer, offset, bytes));
  }

  /** The same at once, where that is possible; else null. Errors of the device wait for the next `read`. */
  readNow(buffer: GPUBuffer, offset: number, bytes: number): ArrayBuffer | null {
    this.#errors.check();
    const data = this.#readBack.readNow(buffer, offset, bytes);
    if (data !== null) this.readBacks++;
    return data;
  }

  /** Milliseconds of the GPU by kernel since they were last taken; nothing without `profile`. */
  async takeTimes(): Promise<Record<string, number>> {
    this.#errors.check();
    const profiler = this.#profiler;
    if (profiler === undefined) return {};
    this.#recorder.encode((encoder) => profiler.resolve(encoder));
    return await this.#checked(profiler.take((buffer, offset, bytes) => this.#readBack.read(buffer, offset, bytes)));
  }

  /** Throws if the device was lost or disposed, or has reported an error. */
  check(): void {
    this.#errors.check();
  }

  /** Ends all work, frees everything, destroys the device unless it is the caller's. Throws what was not told yet. */
  dispose(): Promise<void> {
    return this.#disposing ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    const wasLost = this.#errors.isEnded;
    if (!wasLost) this.#recorder.flush();
    this.#errors.end(new DeviceError("Cannot use the device: it was disposed; open another one with openDevice()"));
    await this.#readBack.settle();
    // Leaving a process with seconds of queued work ends it with an error.
    if (!wasLost) await this.device.queue.onSubmittedWorkDone().catch(() => {/* lost meanwhile */});
    await this.#errors.settle();
    this.pool.dispose();
    this.#uniforms.dispose();
    this.#profiler?.dispose();
    this.#readBack.dispose();
    if (this.#owned) this.device.destroy();
    this.#errors.checkUntold();
  }

  /** An answer, if nothing went wrong on the way to it. */
  async #checked<T>(answer: Promise<T>): Promise<T> {
    const outcome = await answer.then((value) => ({ value }), (error: Error) => ({ error }));
    await this.#errors.settle();
    this.#errors.checkReports();
    if ("value" in outcome) return outcome.value;
    this.#errors.checkAlive();
    throw new DeviceError(`Cannot read from the WebGPU device: ${outcome.error.message}; open another device`, {
      cause: outcome.error,
    });
  }
}
