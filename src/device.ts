import { checkKeys, describe } from "./core/describe.ts";
import { DeviceError } from "./core/errors.ts";
import { CpuEngine } from "./engine/cpu/engine.ts";
import type { Engine } from "./engine/engine.ts";

/** How {@linkcode openDevice} chooses a machine. */
export interface DeviceOptions {
  /** `auto` (default): a hardware WebGPU adapter if there is one, else `cpu`. `webgpu`: any adapter. */
  backend?: "auto" | "webgpu" | "cpu";
  /** `f32` (default), or `f64` on the CPU. */
  dtype?: "f32" | "f64";
  /** A WebGPU entry point of the caller's own; never destroyed by cervid. */
  gpu?: unknown;
  /** A WebGPU device of the caller's own; never destroyed by cervid. */
  gpuDevice?: unknown;
  /** Time kernels into `stats.gpuMs`, on WebGPU. */
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
  /** Frees all that the device holds, after its work is done; its tensors cannot be used any more. */
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
 * Opens a machine. `auto` takes the CPU engine where no hardware WebGPU adapter can be used.
 *
 * Throws a `RangeError` for an unknown backend or dtype, a `TypeError` for f64 with WebGPU, and a {@linkcode DeviceError}
 * where the backend that was asked for cannot be had.
 *
 * @example Solve in double precision
 * ```ts
 * import { openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * console.log(device.description);
 * ```
 */
export function openDevice(options: DeviceOptions = {}): Promise<Device> {
  // A rejected promise, not an exception: one way of failing.
  return Promise.try(() => {
    checkKeys("Cannot open a device", "options", options, ["backend", "dtype", "gpu", "gpuDevice", "profile"]);
    const { backend = "auto", dtype = "f32" } = options;
    if (!["auto", "webgpu", "cpu"].includes(backend)) {
      throw new RangeError(`Cannot open a device: backend must be "auto", "webgpu" or "cpu", got ${describe(backend)}`);
    }
    if (dtype !== "f32" && dtype !== "f64") {
      throw new RangeError(`Cannot open a device: dtype must be "f32" or "f64", got ${describe(dtype)}`);
    }
    if (backend === "webgpu" && dtype === "f64") {
      throw new TypeError('Cannot open a device: WebGPU computes in f32, got dtype "f64"; use backend: "cpu"');
    }
    if (backend === "webgpu") {
      throw new DeviceError(
        'Cannot open a device: this version of cervid has no WebGPU engine; use backend: "cpu" or "auto"',
      );
    }
    return new OpenDevice(new CpuEngine(dtype));
  });
}
