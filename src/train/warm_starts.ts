import { checkKeys, describe } from "../core/describe.ts";
import { DeviceError } from "../core/errors.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import { type Device, engineOf, scopesOf } from "../device.ts";
import type { TrajectoryMemory } from "../layers/layer_options.ts";
import { isTracked, refuse } from "../tape.ts";
import { borrow, isDisposed, isTensor, memoryOf, type Tensor, wrapMemory } from "../tensor.ts";
import { checkNumber } from "./settings.ts";

/** Names a sequence of a set of data: its index, or any string. */
export type SequenceId = number | string;

/** A trajectory that is kept. */
export interface KeptTrajectory {
  /** Of the recurrence in its model. */
  readonly path: string;
  /** Of the sequence. */
  readonly id: SequenceId;
  /** `(T, D)` */
  readonly states: Tensor;
}

/** Trajectories of past solves by sequence, as guesses of solves to come: made by {@linkcode warmStarts}. */
export interface WarmStarts extends Disposable {
  /** What may be held. */
  readonly capacityBytes: number;
  /** What is held. */
  readonly bytes: number;
  /** How many trajectories were asked for, and how many of them were there. */
  readonly counts: { readonly asked: number; readonly found: number };
  /**
   * For a batch, the option `memory` of layers: `get` answers with a guess for each sequence, none for those that are not
   * held; `set` copies the trajectories `(B, T, D)` or `(T, D)` that were found. Nothing waits for the device.
   *
   * Throws a `TypeError` for ids that are no numbers or strings, `get` and `set` for as many ids as there are no sequences.
   */
  memory(ids: ArrayLike<SequenceId>): TrajectoryMemory;
  /** All that is held, the least recently used first; the tensors stay the store's. */
  entries(): KeptTrajectory[];
  /** Holds a copy of a trajectory `(T, D)`. */
  keep(entry: KeptTrajectory): void;
  /** Frees what is held; the store cannot be used any more. */
  dispose(): void;
}

/** Settings of {@linkcode warmStarts}. */
export interface WarmStartOptions {
  /** Bytes on the device that trajectories may take: T · D words each. */
  capacityBytes: number;
}

interface Entry extends KeptTrajectory {
  readonly bytes: number;
  /** The same memory, as what gradients are being recorded of: nothing flows through the store, which is said then. */
  tracked?: Tensor;
}

const CONTEXT = "Cannot keep trajectories";

class TrajectoryStore implements WarmStarts {
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #asked = 0;
  #found = 0;
  #device: Device | undefined;
  #isDisposed = false;

  constructor(readonly capacityBytes: number) {}

  get bytes(): number {
    return this.#bytes;
  }

  get counts(): { readonly asked: number; readonly found: number } {
    return { asked: this.#asked, found: this.#found };
  }

  memory(ids: ArrayLike<SequenceId>): TrajectoryMemory {
    this.#checkOpen();
    const own = checkIds(ids);
    return {
      get: (path, shape) => this.#guess(path, own, shape),
      set: (path, states) => this.#update(path, own, states),
    };
  }

  entries(): KeptTrajectory[] {
    return [...this.#entries.values()].map(({ path, id, states }) => ({ path, id, states }));
  }

  keep({ path, id, states }: KeptTrajectory): void {
    if (!isTensor(states) || states.shape.length !== 2) {
      throw new TypeError(`${CONTEXT}: states must be a tensor of shape (T, D), got ${describe(states)}`);
    }
    this.#update(path, checkIds([id]), states);
  }

  dispose(): void {
    this.#isDisposed = true;
    for (const { states } of this.#entries.values()) states.dispose();
    this.#entries.clear();
    this.#bytes = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkOpen(): void {
    if (!this.#isDisposed) return;
    throw new DeviceError(`${CONTEXT}: the store was disposed; use it before, or make another one with warmStarts()`);
  }

  #guess(path: string, ids: readonly SequenceId[], shape: Shape): (Tensor | undefined)[] | undefined {
    this.#checkOpen();
    const [time, state] = checkRows(path, ids, shape);
    const guesses = ids.map((id) => {
      const key = keyOf(path, id);
      const entry = this.#entries.get(key);
      // Of another length it is a part of a sequence, or padded: not this one.
      if (entry === undefined || entry.states.shape[0] !== time || entry.states.shape[1] !== state) return undefined;
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      const { tracked } = entry;
      return tracked === undefined || isDisposed(tracked) ? entry.states : tracked;
    });
    const found = guesses.filter((guess) => guess !== undefined).length;
    this.#asked += ids.length;
    this.#found += found;
    return found === 0 ? undefined : guesses;
  }

  #update(path: string, ids: readonly SequenceId[], states: Tensor): void {
    this.#checkOpen();
    const { device } = states;
    this.#device ??= device;
    if (device !== this.#device) {
      throw new TypeError(`${CONTEXT}: those of "${path}" live on another device than the ones before; use two stores`);
    }
    const shape = checkRows(path, ids, states.shape);
    const engine = engineOf(device);
    const width = sizeOf(shape);
    const bytes = width * (device.dtype === "f64" ? 8 : 4);
    if (bytes > this.capacityBytes) return;
    for (const [b, id] of ids.entries()) {
      const key = keyOf(path, id);
      const before = this.#entries.get(key);
      this.#entries.delete(key);
      const fits = before !== undefined && before.states.shape[0] === shape[0] && before.states.shape[1] === shape[1];
      if (before !== undefined && !fits) this.#drop(before);
      if (!fits) this.#makeRoom(bytes);
      const kept: Entry = fits ? before : { path, id, bytes, states: this.#allocate(device, shape, `states of ${id}`) };
      if (!fits) this.#bytes += bytes;
      this.#entries.set(key, kept);
      const rows = { fromStart: b * width, fromStride: 0, toStart: 0, toStride: 0, width, rows: 1 };
      engine.copy(memoryOf(states), memoryOf(kept.states), rows);
      if (isTracked(states)) {
        const tracked = kept.tracked = borrow(kept.states);
        refuse("warmStarts", "a trajectory of warmStarts()", "use it as a guess, which has no gradient", [states], [
          tracked,
        ]);
      } else delete kept.tracked;
    }
  }

  /** A tensor that outlives the scopes it is made in. */
  #allocate(device: Device, shape: Shape, label: string): Tensor {
    const engine = engineOf(device);
    const made = wrapMemory(device, shape, engine.allocate(engine.dtype, sizeOf(shape), label), label);
    scopesOf(device).at(-1)?.members.delete(made);
    return made;
  }

  #makeRoom(bytes: number): void {
    for (const [key, entry] of this.#entries) {
      if (this.#bytes + bytes <= this.capacityBytes) return;
      this.#entries.delete(key);
      this.#drop(entry);
    }
  }

  #drop({ states, bytes }: Entry): void {
    states.dispose();
    this.#bytes -= bytes;
  }
}

/** Numbers and strings do not meet, nor do paths and ids. */
const keyOf = (path: string, id: SequenceId): string => JSON.stringify([path, id]);

function checkIds(ids: ArrayLike<SequenceId>): SequenceId[] {
  if (typeof ids !== "object" || ids === null || !Number.isSafeInteger(ids.length)) {
    throw new TypeError(`${CONTEXT}: ids must be a list of numbers or strings, got ${describe(ids)}`);
  }
  const own = Array.from(ids);
  const wrong = own.find((id) => typeof id !== "string" && !Number.isFinite(id));
  if (wrong !== undefined) {
    throw new TypeError(`${CONTEXT}: ids must be finite numbers or strings, got ${describe(wrong)}`);
  }
  return own;
}

/** T and D of trajectories `(B, T, D)` or `(T, D)`, as many as there are ids. */
function checkRows(path: string, ids: readonly SequenceId[], shape: Shape): [time: number, state: number] {
  const batch = shape.length === 3 ? shape[0] : shape.length === 2 ? 1 : undefined;
  if (batch === ids.length) return shape.slice(-2) as [number, number];
  throw new TypeError(
    `${CONTEXT} of "${path}": expected one id for each sequence of ${formatShape(shape)}, got ${ids.length} ids`,
  );
}

/**
 * A store of trajectories by sequence and by recurrence of a model: when a sequence is met again, the sweeps of its solves
 * start from the states that were found the last time. As parameters change little from step to step, so do the states, and
 * fewer sweeps are needed; the answers are the same to the tolerance.
 *
 * A sequence that is not held starts from f0, beside others of its batch that are. Beyond `capacityBytes` the least recently
 * used are forgotten: the set should fit (N · T · D words for each recurrence), as visits in turn find nothing of a set that
 * does not, and visits at random about (capacity / size)² / 2 of it. Cost: one copy of each trajectory there and back, no
 * wait. Of no use to the sequential method, which has no guess.
 *
 * The store is the caller's to dispose; nothing flows back through it: to gradients a guess is a constant, and where a
 * trajectory that was kept while gradients were recorded is used in any other way, that is a `TypeError`. Throws a `RangeError` for a capacity that is no number of at least 0, a `TypeError`
 * where tensors of several devices are given, a `DeviceError` once it was disposed. Lim et al., ICLR 2024, arXiv 2309.12252.
 *
 * @example A second visit of two sequences
 * ```ts
 * import { gru, openDevice, solve, warmStarts } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * using store = warmStarts({ capacityBytes: 2 ** 20 });
 * const cell = gru({ input: 1, hidden: 4 });
 * const params = cell.init(device);
 * const xs = { data: Float32Array.from({ length: 200 }, (_, i) => Math.sin(i)), shape: [2, 100, 1] };
 * for (let visit = 0; visit < 2; visit++) {
 *   const memory = store.memory([7, 12]);
 *   const guess = memory.get("gru", [2, 100, 4]) ?? "f0";
 *   using solution = await solve(cell, { params, xs }, { method: "deer", guess });
 *   memory.set("gru", solution.ys);
 *   console.log(solution.stats.sweeps); // several, then 1
 * }
 * ```
 */
export function warmStarts(options: WarmStartOptions): WarmStarts {
  checkKeys(CONTEXT, "options", options, ["capacityBytes"]);
  checkNumber(CONTEXT, "capacityBytes", options.capacityBytes, { least: 0 });
  return new TrajectoryStore(options.capacityBytes);
}
