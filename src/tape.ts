import { sizeOf } from "./core/shape.ts";
import { type Device, engineOf } from "./device.ts";
import type { Memory } from "./engine/engine.ts";
import { borrow, hold, release, type Tensor } from "./tensor.ts";
import { add } from "./trace/ops.ts";
import { type RowProgram, traceRows } from "./trace/rows.ts";

/** One call of a differentiable function. */
export interface Recording {
  /** Names the function in errors. */
  readonly name: string;
  /** What cotangents may flow to. */
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Tensors whose memory the pullback reads; it stays until the tape ends, whoever disposes them. */
  readonly holds: readonly Tensor[];
  /**
   * Cotangents of the inputs that are wanted, from those of the outputs; null means zero. What it returns is new memory, one
   * for each input, and becomes the tape's; what it takes stays the tape's.
   */
  pullback(cotangents: readonly (Memory | null)[], wanted: readonly boolean[]): readonly (Memory | null)[];
}

const tapes = new WeakMap<Tensor, Tape>();

/** Whether gradients are being recorded for a tensor. */
export function isTracked(value: Tensor): boolean {
  return tapes.has(value);
}

/** Notes how `outputs` came from `inputs`, if any of them is tracked; they are tracked from then on. */
export function record(recording: Recording): void {
  const found = new Set(recording.inputs.flatMap((input) => tapes.get(input) ?? []));
  for (const tape of found) tape.checkOpen(recording.name);
  if (found.size > 1) {
    throw new TypeError(
      `Cannot differentiate ${recording.name}(): its arguments belong to two calls of valueAndGrad; use those of one`,
    );
  }
  for (const tape of found) tape.add(recording);
}

/**
 * Notes that nothing flows back through `outputs`: where a cotangent comes to one of them, a TypeError says so. To be used for
 * what is made of tensors without a pullback, which would pass for a constant otherwise.
 */
export function refuse(
  name: string,
  what: string,
  cure: string,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): void {
  const pullback = (): never => {
    throw new TypeError(`Cannot differentiate ${what}: there is no pullback; ${cure}`);
  };
  record({ name, inputs, outputs, holds: [], pullback });
}

const sums = new Map<string, RowProgram>();

/** The program `Σ_k inputs[k][t - shifts[k]]` over rows of `shape`. */
export function sumProgram(size: number, shifts: readonly number[]): RowProgram {
  const key = `${size}|${shifts.join()}`;
  let program = sums.get(key);
  if (program === undefined) {
    const names = shifts.map((_, k) => `x${k}`);
    program = traceRows({
      name: "sum",
      inputs: Object.fromEntries(names.map((name) => [name, [size]])),
      access: Object.fromEntries(names.map((name, k) => [name, { shift: shifts[k]! }])),
      params: {},
      fn: (x) => ({ sum: names.slice(1).reduce((total, name) => add(total, x[name]), x[names[0]!]) }),
    });
    sums.set(key, program);
  }
  return program;
}

/**
 * What was done to the tensors that gradients are wanted of, in order. There is no global tape: a tensor knows its own, so
 * that calls may overlap in time.
 */
export class Tape {
  readonly #recordings: Recording[] = [];
  readonly #watched: Tensor[] = [];
  #ended = false;

  constructor(readonly device: Device) {}

  /** A tensor like `value` that is tracked. */
  watch(value: Tensor): Tensor {
    const tracked = borrow(value);
    hold(value);
    this.#watched.push(value);
    tapes.set(tracked, this);
    return tracked;
  }

  checkOpen(name: string): void {
    if (!this.#ended) return;
    throw new TypeError(
      `Cannot differentiate ${name}(): the valueAndGrad call of its arguments has ended; use toHost() to take values out of it`,
    );
  }

  add(recording: Recording): void {
    for (const value of recording.holds) hold(value);
    for (const output of recording.outputs) tapes.set(output, this);
    this.#recordings.push(recording);
  }

  /** Cotangents of `wrt`, null where they are zero, from that of `output`; they and `cotangent` are the caller's. */
  backward(output: Tensor, cotangent: Memory, wrt: readonly Tensor[]): (Memory | null)[] {
    const engine = engineOf(this.device);
    const totals = new Map<Tensor, Memory>([[output, cotangent]]);
    const kept = new Set(wrt);
    try {
      for (const { inputs, outputs, pullback } of this.#recordings.toReversed()) {
        const given = outputs.map((tensor) => totals.get(tensor) ?? null);
        if (given.every((memory) => memory === null)) continue;
        const parts = pullback(given, inputs.map((input) => tapes.get(input) === this));
        for (const [i, part] of parts.entries()) if (part !== null) this.#accumulate(totals, inputs[i]!, part);
        for (const tensor of outputs) {
          const memory = totals.get(tensor);
          if (memory !== undefined && memory !== cotangent && !kept.has(tensor)) engine.free(memory);
          if (!kept.has(tensor)) totals.delete(tensor);
        }
      }
      return wrt.map((tensor) => {
        const memory = totals.get(tensor) ?? null;
        totals.delete(tensor);
        return memory;
      });
    } finally {
      for (const memory of totals.values()) if (memory !== cotangent) engine.free(memory);
    }
  }

  #accumulate(totals: Map<Tensor, Memory>, input: Tensor, part: Memory): void {
    const before = totals.get(input);
    if (before === undefined) return void totals.set(input, part);
    totals.set(input, addMemories(this.device, [before, part], sizeOf(input.shape)));
  }

  /** Frees what was recorded, all but what is kept: that is an ordinary tensor from then on. */
  end(keep: ReadonlySet<unknown>): void {
    this.#ended = true;
    for (const { outputs, holds } of this.#recordings) {
      for (const value of holds) release(value);
      for (const output of outputs) if (!keep.has(output)) output.dispose();
    }
    for (const kept of keep) tapes.delete(kept as Tensor);
    for (const value of this.#watched) release(value);
    this.#recordings.length = 0;
    this.#watched.length = 0;
  }
}

/** The sum of arrays of one length, which are freed. */
export function addMemories(device: Device, parts: readonly Memory[], length: number): Memory {
  if (parts.length === 1) return parts[0]!;
  const engine = engineOf(device);
  const out = engine.allocate(engine.dtype, length, "a sum of cotangents");
  const inputs = parts.map((memory) => ({ memory, start: null }));
  const program = sumProgram(1, parts.map(() => 0));
  engine.map({ program, params: [], inputs, outputs: [out], batch: 1, time: length });
  for (const part of parts) engine.free(part);
  return out;
}
