import { describe } from "./core/describe.ts";
import { DeviceError } from "./core/errors.ts";
import { checkHostTensor } from "./core/host.ts";
import { formatShape } from "./core/shape.ts";
import type { DType, HostTensor, Shape } from "./core/types.ts";
import { type Device, engineOf, scopesOf } from "./device.ts";
import type { Memory } from "./engine/engine.ts";

/** An immutable array on a device; freed by `using`, by `tidy` or by `dispose()`. */
export interface Tensor extends Disposable {
  /** The type of its elements. */
  readonly dtype: DType;
  /** Lengths of the axes; elements are row-major. */
  readonly shape: Shape;
  /** Where it lives. */
  readonly device: Device;
  /** Frees its memory; a second call does nothing. */
  dispose(): void;
}

/** An array on a device or in host memory: what every function of cervid takes. */
export type TensorLike = Tensor | HostTensor;

/** Whose the memory of a tensor is: its own, or another one's, which a view keeps from being freed and a loan does not. */
type Ownership = "own" | "view" | "loan";

class DeviceTensor implements Tensor {
  readonly #memory: Memory;
  readonly #ownership: Ownership;
  /** Who frees the memory. */
  readonly #owner: DeviceTensor;
  #disposed = false;
  #holds = 0;
  #inScope = false;
  #last: (() => void) | undefined;

  constructor(
    readonly device: Device,
    readonly shape: Shape,
    memory: Memory,
    readonly label: string,
    ownership: Ownership = "own",
    lender?: DeviceTensor,
  ) {
    this.#memory = memory;
    this.#ownership = ownership;
    this.#owner = lender === undefined ? this : lender.#owner;
    if (ownership === "view") this.#owner.hold();
    if (ownership !== "loan") scopesOf(device).at(-1)?.members.add(this);
  }

  get dtype(): DType {
    return this.memory.dtype;
  }

  get memory(): Memory {
    engineOf(this.device);
    // A loan does not keep the memory of its lender.
    if (this.#disposed || (this.#owner.#disposed && this.#owner.#holds === 0)) {
      throw new DeviceError(`Cannot use ${this.label}: it ${this.end}`);
    }
    return this.#memory;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { members } of scopesOf(this.device)) members.delete(this);
    this.#last?.();
    this.#free();
  }

  /** The same by the end of a scope, which may be one that the maker of the tensor knows nothing of. */
  disposeInScope(): void {
    this.#inScope ||= !this.#disposed;
    this.dispose();
  }

  /** What to say of it when it is used afterwards. */
  get end(): string {
    return this.#inScope
      ? "was disposed when a tidy() or train() ended that was at work on this device while it was made; return it from " +
        "there, or make it before or after"
      : "was disposed; use it before its scope ends";
  }

  /** Has `last` called when it is disposed. */
  atEnd(last: () => void): void {
    this.#last = last;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Until `release()` its memory stays, whoever disposes it. */
  hold(): void {
    if (this.#holds === 0) void this.memory;
    this.#holds++;
  }

  release(): void {
    this.#holds--;
    if (this.#disposed) this.#free();
  }

  #free(): void {
    if (this.#holds > 0) return;
    if (this.#ownership === "view") this.#owner.release();
    // A disposed device has freed everything already.
    else if (this.#ownership === "own") ignoreDisposed(() => engineOf(this.device).free(this.#memory));
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What a Deno notebook shows. */
  [Symbol.for("Jupyter.display")](): Record<string, string> {
    return { "text/plain": `Tensor ${formatShape(this.shape)} on ${this.device.backend}` };
  }
}

function ignoreDisposed(fn: () => void): void {
  try {
    fn();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
  }
}

/** Whether `value` is a tensor on a device. */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof DeviceTensor;
}

/** Whether `value` looks like an array: a tensor, or host data with a shape. */
export function isTensorLike(value: unknown): value is TensorLike {
  return isTensor(value) || (typeof value === "object" && value !== null && "data" in value && "shape" in value);
}

/** Whether a tensor was disposed. */
export function isDisposed(value: Tensor): boolean {
  return (value as DeviceTensor).disposed;
}

/** What became of a tensor that was disposed, and the cure: the end of a message. */
export function explainDisposal(value: Tensor): string {
  return (value as DeviceTensor).end;
}

/** Disposes what a scope has collected. */
export function disposeInScope(member: Disposable): void {
  if (member instanceof DeviceTensor) member.disposeInScope();
  else member[Symbol.dispose]();
}

/** The memory of a tensor; a DeviceError if it was disposed. */
export function memoryOf(value: Tensor): Memory {
  if (!isTensor(value)) {
    throw new TypeError(`Cannot use the tensor: expected one made by tensor(), got ${describe(value)}`);
  }
  return (value as DeviceTensor).memory;
}

/** A tensor around memory that an engine made. */
export function wrapMemory(device: Device, shape: Shape, memory: Memory, label: string): Tensor {
  return new DeviceTensor(device, shape, memory, label);
}

/** A second tensor around the memory of `value`, which stays the owner. */
export function borrow(value: Tensor): Tensor {
  return new DeviceTensor(
    value.device,
    value.shape,
    memoryOf(value),
    (value as DeviceTensor).label,
    "loan",
    value as DeviceTensor,
  );
}

/** The memory of `value` in another shape of as many elements: no copy, and it stays until both are disposed. */
export function viewAs(value: Tensor, shape: Shape): Tensor {
  return new DeviceTensor(
    value.device,
    shape,
    memoryOf(value),
    (value as DeviceTensor).label,
    "view",
    value as DeviceTensor,
  );
}

/** Keeps the memory of a tensor until {@linkcode release}, also if it is disposed meanwhile. */
export function hold(value: Tensor): void {
  (value as DeviceTensor).hold();
}

/** Ends one {@linkcode hold}. */
export function release(value: Tensor): void {
  (value as DeviceTensor).release();
}

/** Has `last` called when a tensor is disposed: one function, the last that was given. */
export function whenDisposed(value: Tensor, last: () => void): void {
  (value as DeviceTensor).atEnd(last);
}

/**
 * Copies host data to a device; floats become the device's dtype, integers stay.
 *
 * `label` names the tensor in error messages. Throws a `TypeError` if data and shape do not fit, a
 * {@linkcode DeviceError} if the device is disposed or full.
 *
 * @example
 * ```ts
 * import { openDevice, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * using a = tensor(device, { data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] });
 * console.log((await toHost(a)).data); // Float32Array [1, 2, 3, 4]
 * ```
 */
export function tensor(device: Device, value: HostTensor, label = "a tensor"): Tensor {
  const engine = engineOf(device);
  if (isTensor(value)) throw new TypeError(`Cannot make ${label}: it is a tensor already; read it with toHost() first`);
  checkHostTensor(`Cannot make ${label}`, "value", value);
  return new DeviceTensor(device, [...value.shape], engine.upload(value.data, label), label);
}

/**
 * A copy of a tensor in host memory: a `Float64Array` from an f64 device, a `Float32Array` from an f32 one, integers as
 * they are. Waits for the device. Throws a {@linkcode DeviceError} if the tensor was disposed.
 *
 * @example
 * ```ts
 * import { openDevice, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * using a = tensor(device, { data: new Float32Array([0.5]), shape: [1] });
 * console.log((await toHost(a)).data); // Float64Array [0.5]
 * ```
 */
export async function toHost(value: Tensor): Promise<HostTensor> {
  const memory = memoryOf(value);
  return { data: await engineOf(value.device).read(memory), shape: [...value.shape] };
}
