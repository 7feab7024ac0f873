import { type Device, engineOf } from "../device.ts";
import type { Engine, Memory, OperatorScanJob } from "../engine/engine.ts";
import { pullBackSolve, type SolvedJob } from "../solve/adjoint.ts";
import { rowAt } from "../solve/run_program.ts";
import { sumProgram } from "../tape.ts";
import { packedRows } from "../trace/packed_rows.ts";
import { elementWords, operatorStep } from "./operator_step.ts";

/** One call of `associativeScan`, as its pullback needs it. */
export interface ScannedElements extends OperatorScanJob {
  readonly device: Device;
}

/** What flows back to parameters, and rows `(B, T, words)` of what flows back to elements. */
interface ElementCotangents {
  readonly params: readonly (Memory | null)[];
  readonly elements: Memory;
}

/** What the parts of a pullback share; it frees what nobody took. */
class Workspace {
  readonly engine: Engine;
  readonly #owned = new Set<Memory>();

  constructor(readonly call: ScannedElements, readonly words: number) {
    this.engine = engineOf(call.device);
  }

  allocate(length: number, label = "rows of a pullback"): Memory {
    return this.own(this.engine.allocate(this.engine.dtype, length, label));
  }

  own(memory: Memory): Memory {
    this.#owned.add(memory);
    return memory;
  }

  /** Memory that becomes the caller's. */
  release(memory: Memory): Memory {
    this.#owned.delete(memory);
    return memory;
  }

  free(memory: Memory): void {
    if (this.#owned.delete(memory)) this.engine.free(memory);
  }

  end(): void {
    for (const memory of this.#owned) this.engine.free(memory);
  }

  /** A copy of `rows` rows of `width`, the last first where the scan was reversed; sequences are in reverse then, too. */
  turn(from: Memory, rows: number, width: number): Memory {
    if (!this.call.reverse) return from;
    const out = this.allocate(rows * width);
    const source = { fromStart: (rows - 1) * width, fromStride: -width };
    this.engine.copy(from, out, { ...source, toStart: 0, toStride: width, width, rows });
    this.free(from);
    return out;
  }

  /** `(B, T, words)` in the order in which the scan met the rows. */
  pack(arrays: readonly (Memory | null)[]): Memory {
    const { engine, words, call: { program, batch, time } } = this;
    const out = this.allocate(batch * time * words);
    engine.map({
      program: packedRows(program.outputs.map(({ node }, k) => ({ size: node.size, absent: arrays[k] === null }))),
      params: [],
      inputs: arrays.flatMap((memory) => memory === null ? [] : [{ memory, start: null }]),
      outputs: [out],
      batch,
      time,
    });
    return this.turn(out, batch * time, words);
  }

  /** The rows after the first of each sequence, `(B, T - 1, words)`. */
  dropFirst(from: Memory): Memory {
    const { words, call: { batch, time } } = this;
    const width = (time - 1) * words;
    const out = this.allocate(batch * width);
    const source = { fromStart: words, fromStride: time * words };
    this.engine.copy(from, out, { ...source, toStart: 0, toStride: width, width, rows: batch });
    return out;
  }

  zeros(length: number): Memory {
    return this.own(this.engine.upload(new Float32Array(length), "zeros"));
  }
}

/** The cotangents of parameters, and rows `(B, T, words)` of those of elements, from rows of those of the outputs; T > 1. */
function pullBackSteps(space: Workspace, cotangents: Memory, wanted: readonly boolean[]): ElementCotangents {
  const { engine, words, call: { device, program, params, inputs, outputs, batch, time } } = space;
  const [ys, elements] = [space.pack(outputs), space.pack(inputs)];
  const h0 = space.own(rowAt(engine, ys, 0, batch, time, words));
  const [xs, after] = [space.dropFirst(elements), space.dropFirst(ys)];
  for (const memory of [elements, ys]) space.free(memory);
  const job: SolvedJob = { device, program: operatorStep(program), params, xs, h0, ys: after, batch, time: time - 1 };
  const parts = pullBackSolve(job, space.dropFirst(cotangents), { params: wanted, xs: true, h0: true });
  for (const memory of [...parts.params, parts.xs, parts.h0]) if (memory !== null) space.own(memory);
  const first = space.own(rowAt(engine, cotangents, 0, batch, time, words));
  const start = space.allocate(batch * words);
  engine.map({
    program: sumProgram(words, [0, 0]),
    params: [],
    inputs: [first, parts.h0!].map((memory) => ({ memory, start: null })),
    outputs: [start],
    batch: 1,
    time: batch,
  });
  // Of the outputs nothing more is read: their rows make place for those of the elements.
  const stride = time * words;
  engine.copy(start, cotangents, {
    fromStart: 0,
    fromStride: words,
    toStart: 0,
    toStride: stride,
    width: words,
    rows: batch,
  });
  const width = stride - words;
  const later = { toStart: words, toStride: stride, width, rows: batch };
  if (parts.xs !== null) engine.copy(parts.xs, cotangents, { ...later, fromStart: 0, fromStride: width });
  else engine.copy(space.zeros(width), cotangents, { ...later, fromStart: 0, fromStride: 0 });
  return { params: parts.params, elements: cotangents };
}

/** The arrays that are wanted of rows of elements. */
function unpack({ engine, words, call }: Workspace, rows: Memory, wanted: readonly boolean[]): (Memory | null)[] {
  const { program, batch, time } = call;
  let fromStart = 0;
  return program.outputs.map(({ path, node: { size: width } }, k) => {
    const from = { fromStart, fromStride: words };
    fromStart += width;
    if (!wanted[k]) return null;
    const out = engine.allocate(engine.dtype, batch * time * width, `the cotangent of ${path}`);
    engine.copy(rows, out, { ...from, toStart: 0, toStride: width, width, rows: batch * time });
    return out;
  });
}

/**
 * Cotangents of the parameters and the elements of `y[t] = y[t-1] ∘ e[t]`, `y[0] = e[0]`, from those of y: the adjoint of the
 * recurrence whose step is the operator,
 *
 *     λ[t] = ȳ[t] + (∂(y[t] ∘ e[t+1])/∂y[t])ᵀ λ[t+1]    ē[t] = (∂(y[t-1] ∘ e[t])/∂e[t])ᵀ λ[t]    ē[0] = λ[0]
 *
 * solved like that of any step, with the structure of its Jacobian. Associativity makes the scan equal to that recurrence, so
 * the derivatives are the same. Null where not wanted, or zero; what it returns is the caller's. Enqueued: nothing waits.
 *
 * Memory beside the answer, in words of an element a step: 5 for rows of ȳ, y and e, and what the adjoint takes.
 */
export function pullBackScan(
  call: ScannedElements,
  cotangents: readonly (Memory | null)[],
  wanted: readonly boolean[],
): (Memory | null)[] {
  const { program, params, batch, time } = call;
  if (batch * time === 0) return wanted.map(() => null);
  const words = elementWords(program);
  const space = new Workspace(call, words);
  try {
    const all = space.pack(cotangents);
    const bars: ElementCotangents = time === 1
      ? { params: params.map(() => null), elements: all }
      : pullBackSteps(space, all, wanted.slice(0, params.length));
    const rows = space.turn(bars.elements, batch * time, words);
    const elements = unpack(space, rows, wanted.slice(params.length));
    return [...bars.params.map((memory) => memory && space.release(memory)), ...elements];
  } finally {
    space.end();
  }
}
