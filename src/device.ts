import { checkKeys, describe } from "./core/describe.ts";
import { DeviceError } from "./core/errors.ts";
import { CpuEngine } from "./engine/cpu/engine.ts";
import type { Engine } from "./engine/engine.ts";
import { GpuEngine } from "./engine/webgpu/engine.ts";
import { openMachine, type OpenOptions } from "./engine/webgpu/open.ts";

/** How {@linkcode openDevice} chooses a machine. */
export interface DeviceOptions {
  /** `auto` (default): a hardware WebGPU adapter if there is one, else `cpu`. `webgpu`: any adapter. */
  backend?: "auto" | "webgpu" | "cpu";
  /** `f32` (default), or `f64` on the CPU. */
  dtype?: "f32" | "f64";
  /** Where to look for WebGPU adapters, `navigator.gpu` by default; with `auto` any adapter of it will do. */
  gpu?: unknown;
  /** A WebGPU device of the caller's own, used as it is; never destroyed by cervid. */
  gpuDevice?: unknown;
  /**
   * Time kernels into `stats.gpuMs`, on WebGPU adapters that can; every kernel costs a little more then. Solves that overlap
   * share their times.
   */
  profile?: boolean;
}

/** A machine that holds tensors and solves: made by {@linkcode openDevice}, freed by `await using` or `dispose()`. */
export interface Device extends AsyncDisposable {
  /** The engine that runs. */
  readonly backend: "webgpu" | "cpu";
  /** The floating-point type of its tensors. */
  readonly dtype: "f32" | "f64";
  /** Human-readable: engine or adapter, driver, features that are used. */
  readonly description: string;
  /**
   * Frees all that the device holds, after the work that is queued; its tensors cannot be used any more, and what waits for
   * it on WebGPU, such as a solve under way, is rejected: await that first.
   */
  dispose(): Promise<void>;
}

/** What is disposed when a scope ends. */
interface Scope {
  readonly members: Set<Disposable>;
}

class OpenDevice implements Device {
  readonly scopes: Scope[] = [];
  #engine: Engine | undefined;
  readonly backend: "webgpu" | "cpu";
  readonly dtype: "f32" | "f64";
  readonly description: string;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.backend = engine.backend;
    this.dtype = engine.dtype;
    this.description = engine.description;
  }

  get engine(): Engine {
    if (this.#engine === undefined) {
      throw new DeviceError("Cannot use the device: it was disposed; open another one with openDevice()");
    }
    return this.#engine;
  }

  async dispose(): Promise<void> {
    const engine = this.#engine;
    this.#engine = undefined;
    await engine?.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** The engine of an open device; a DeviceError if it was disposed, a TypeError if it is no device. */
export function engineOf(device: Device): Engine {
  if (!(device instanceof OpenDevice)) {
    throw new TypeError(`Cannot use the device: expected one made by openDevice(), got ${describe(device)}`);
  }
  return device.engine;
}

/** The scopes of `tidy` that are open on a device. */
export function scopesOf(device: Device): Scope[] {
  return (device as OpenDevice).scopes;
}

/**
 * Opens a machine. `auto` takes the CPU engine where no hardware WebGPU adapter can be used, or f64 is asked for.
 *
 * Throws a `RangeError` for an unknown backend or dtype, a `TypeError` for f64 with WebGPU or a `gpu` or `gpuDevice` that
 * is none or has no use, and a {@linkcode DeviceError} where the backend that was asked for cannot be had.
 *
 * @example Solve in double precision
 * ```ts
 * import { openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * console.log(device.description);
 * ```
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  checkOptions(options);
  const { backend = "auto", dtype = "f32", gpu, gpuDevice, profile = false } = options;
  if (backend === "cpu" || dtype === "f64") return new OpenDevice(new CpuEngine(dtype));
  const wanted = { gpu, gpuDevice, profile } as OpenOptions;
  const requireHardware = backend === "auto" && gpu === undefined && gpuDevice === undefined;
  const machine = requireHardware ? await openMachine({ ...wanted, requireHardware }) : await openMachine(wanted);
  return new OpenDevice(machine === null ? new CpuEngine(dtype) : await GpuEngine.start(machine));
}

function checkOptions(options: DeviceOptions): void {
  checkKeys("Cannot open a device", "options", options, ["backend", "dtype", "gpu", "gpuDevice", "profile"]);
  const { backend = "auto", dtype = "f32", gpu, gpuDevice, profile = false } = options;
  if (!["auto", "webgpu", "cpu"].includes(backend)) {
    throw new RangeError(`Cannot open a device: backend must be "auto", "webgpu" or "cpu", got ${describe(backend)}`);
  }
  if (dtype !== "f32" && dtype !== "f64") {
    throw new RangeError(`Cannot open a device: dtype must be "f32" or "f64", got ${describe(dtype)}`);
  }
  if (typeof profile !== "boolean") {
    throw new TypeError(`Cannot open a device: profile must be true or false, got ${describe(profile)}`);
  }
  if (gpu !== undefined && !hasMethod(gpu, "requestAdapter")) {
    throw new TypeError(`Cannot open a device: gpu must be like navigator.gpu, got ${describe(gpu)}`);
  }
  if (gpuDevice !== undefined && !hasMethod(gpuDevice, "createComputePipeline")) {
    throw new TypeError(`Cannot open a device: gpuDevice must be a WebGPU device, got ${describe(gpuDevice)}`);
  }
  const given = gpu !== undefined ? "gpu" : gpuDevice !== undefined ? "gpuDevice" : undefined;
  if (gpu !== undefined && gpuDevice !== undefined) {
    throw new TypeError("Cannot open a device: gpu or gpuDevice is expected, got both");
  }
  if (given !== undefined && backend === "cpu") {
    throw new TypeError(`Cannot open a device: ${given} is for WebGPU, got backend "cpu"; leave one of them out`);
  }
  if (dtype === "f64" && (given !== undefined || backend === "webgpu")) {
    throw new TypeError('Cannot open a device: WebGPU computes in f32, got dtype "f64"; use backend: "cpu"');
  }
}

function hasMethod(value: unknown, name: string): boolean {
  return typeof (value as Record<string, unknown> | null)?.[name] === "function";
}
