import { describe } from "./core/describe.ts";
import { type Device, engineOf, scopesOf } from "./device.ts";
import { disposeInScope, isTensor } from "./tensor.ts";

/**
 * Tensors that are disposed together. Members are those that are made on the device while a function runs within the scope; as
 * there is no telling whose a tensor is, those that others make while that function waits are among them.
 */
export class Scope {
  readonly members: Set<Disposable> = new Set();
  readonly #device: Device;
  /** Takes what outlives this one. */
  readonly #outer: Scope | null;
  #isClosed = false;

  constructor(device: Device, outer: Scope | null) {
    this.#device = device;
    this.#outer = outer;
  }

  /** Runs a function within the scope: nobody can come between one that does not wait. */
  run<R>(fn: () => R): R {
    const scopes = scopesOf(this.#device);
    scopes.push(this);
    const leave = (): void => void scopes.splice(scopes.lastIndexOf(this), 1);
    let result: R;
    try {
      result = fn();
    } catch (error) {
      leave();
      throw error;
    }
    if (isThenable(result)) return Promise.resolve(result).finally(leave) as R;
    leave();
    return result;
  }

  /** Disposes all members but those that are reachable from `result`, which are handed on. */
  close(result?: unknown): void {
    const kept = new Set<unknown>();
    collect(result, kept);
    this.#isClosed = true;
    const heirs = this.#outer === null || this.#outer.#isClosed ? undefined : this.#outer.members;
    for (const member of this.members) {
      if (!kept.has(member)) disposeInScope(member);
      else heirs?.add(member);
    }
    this.members.clear();
  }

  /** Runs a function that is given a scope within this one, which ends with it. */
  async within<R>(fn: (scope: Scope) => Promise<R>): Promise<R> {
    const scope = new Scope(this.#device, this);
    try {
      const result = await fn(scope);
      scope.close(result);
      return result;
    } catch (error) {
      scope.close();
      throw error;
    }
  }
}

/** The scope to which belongs what is made on a device at present. */
export function innermostScope(device: Device): Scope | null {
  return (scopesOf(device).at(-1) ?? null) as Scope | null;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/**
 * Runs `fn` and disposes every tensor that was made on `device` meanwhile and that `fn` does not return, alone or inside
 * arrays and records. Scopes nest. Nothing comes between a function that does not wait; while one that does is waiting, what
 * other work makes on the device counts as made by it, and is disposed too: let two scopes of one device not overlap in time,
 * and solve nothing else beside them.
 *
 * @example
 * ```ts
 * import { openDevice, tensor, tidy } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const kept = await tidy(device, () => {
 *   tensor(device, { data: new Float32Array(1000), shape: [1000] }); // freed
 *   return tensor(device, { data: new Float32Array([1]), shape: [1] });
 * });
 * kept.dispose();
 * ```
 */
export async function tidy<R>(device: Device, fn: () => R | Promise<R>): Promise<R> {
  engineOf(device);
  if (typeof fn !== "function") throw new TypeError(`Cannot tidy: expected a function, got ${describe(fn)}`);
  const scope = new Scope(device, innermostScope(device));
  try {
    const result = await scope.run(fn);
    scope.close(result);
    return result;
  } catch (error) {
    scope.close();
    throw error;
  }
}

/** All objects reachable from `value` through arrays and plain records, and the fields of solutions. */
export function collect(value: unknown, into: Set<unknown>): void {
  if (typeof value !== "object" || value === null || into.has(value) || ArrayBuffer.isView(value)) return;
  into.add(value);
  if (!isTensor(value)) { for (const field of Object.values(value)) collect(field, into); }
}
