import type { Engine, Memory, MonoidKind, ScanJob } from "../engine/engine.ts";
import { matvecTransposed, mul, outer, sum } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";

/** A linear recurrence that was solved. */
export interface SolvedRecurrence {
  readonly monoid: MonoidKind;
  /** As in {@linkcode ScanJob}. */
  readonly a: Memory;
  /** `(B, T, D)`: its answer; read for the cotangent of `a` only */
  readonly y: Memory;
  /** `(B, D)`, or `(1, D)` for all sequences; null for zeros */
  readonly h0: Memory | null;
  /** Whether one h0 served all sequences. */
  readonly sharedStart: boolean;
  readonly batch: number;
  readonly time: number;
  readonly state: number;
  /** k of block */
  readonly block: number;
  readonly reverse: boolean;
}

/** The cotangents of a recurrence; null where none is wanted, or where it is zero. */
export interface RecurrenceCotangents {
  /** As `a` */
  readonly a: Memory | null;
  /** `(B, T, D)` */
  readonly b: Memory | null;
  /** As `h0` */
  readonly h0: Memory | null;
}

/** Rows and columns of a matrix of the recurrence. */
function sizeOfMatrix({ monoid, state, block }: Pick<SolvedRecurrence, "monoid" | "state" | "block">): number {
  return monoid === "dense" ? state : monoid === "block" ? block : 1;
}

/** Words of A at one (b, t). */
function matrixWords(recurrence: Pick<SolvedRecurrence, "monoid" | "state" | "block">): number {
  return recurrence.monoid === "scalar" ? 1 : recurrence.state * sizeOfMatrix(recurrence);
}

const programs = new Map<string, RowProgram>();

function keep(key: string, make: (name: string) => RowProgram): RowProgram {
  let program = programs.get(key);
  if (program === undefined) programs.set(key, program = make(`${key} of a linear recurrence`));
  return program;
}

/** `ā = λ[t] ∘ y[t - shift]`: summed of a scalar, elementwise of a diagonal, every product of matrices. */
function matrixProgram(monoid: MonoidKind, size: number, shift: number): RowProgram {
  const kind = monoid === "scalar" || monoid === "diagonal" ? monoid : "matrix";
  return keep(`cotangent of a ${kind} ${size} ${shift}`, (name) =>
    traceRows({
      name,
      inputs: { lambda: [size], y: [size] },
      access: { y: { shift } },
      params: {},
      fn: ({ lambda, y }) => ({
        a: kind === "matrix" ? outer(lambda, y) : kind === "diagonal" ? mul(lambda, y) : sum(mul(lambda, y)),
      }),
    }));
}

/** `h̄0 = aᵀ λ` of the first row. */
function startProgram(monoid: MonoidKind, size: number): RowProgram {
  const kind = monoid === "scalar" || monoid === "diagonal" ? monoid : "matrix";
  return keep(`cotangent of h0 ${kind} ${size}`, (name) =>
    traceRows({
      name,
      inputs: { a: kind === "scalar" ? [] : kind === "diagonal" ? [size] : [size, size], lambda: [size] },
      params: {},
      fn: ({ a, lambda }) => ({ h0: kind === "matrix" ? matvecTransposed(a, lambda) : mul(a, lambda) }),
    }));
}

/** `(B, D)` from the `(1, D)` that all sequences share. */
export function spreadStart(engine: Engine, h0: Memory, batch: number, state: number): Memory {
  const spread = engine.allocate(engine.dtype, batch * state, "the states before all sequences");
  engine.copy(h0, spread, { fromStart: 0, fromStride: 0, toStart: 0, toStride: state, width: state, rows: batch });
  return spread;
}

/**
 * Cotangents of `y[t] = A[t] y[t-1] + b[t]` from `yBar (B, T, D)`, that of its answer:
 *
 *     λ[t] = ȳ[t] + A[t+1]ᵀ λ[t+1]    b̄ = λ    Ā[t] = λ[t] y[t-1]ᵀ    h̄0 = A[0]ᵀ λ[0]
 *
 * and the mirror image for a recurrence in reverse; Ā keeps the entries that A has. One scan in the other direction, and one
 * map each for Ā and h̄0. Allocates what is wanted, λ, and of h0 a row a sequence; no copy of A. What it returns is the
 * caller's. Martin & Cundy, ICLR 2018, arXiv 1709.04057.
 */
export function pullBackRecurrence(
  engine: Engine,
  recurrence: SolvedRecurrence,
  yBar: Memory,
  wanted: { readonly a: boolean; readonly b: boolean; readonly h0: boolean },
): RecurrenceCotangents {
  const owned = new Set<Memory>();
  const own = (memory: Memory): Memory => (owned.add(memory), memory);
  const allocate = (length: number, label: string): Memory => own(engine.allocate(engine.dtype, length, label));
  const call = { engine, recurrence, own, allocate };
  try {
    const { monoid, a, batch, time, state, block, reverse } = recurrence;
    if (batch * time * state === 0) return { a: null, b: null, h0: null };
    const lambda = allocate(batch * time * state, "the cotangent of b of a linear recurrence");
    const sizes = { batch, time, state, block };
    const job: ScanJob = { monoid, a, b: yBar, h0: null, out: lambda, ...sizes, reverse: !reverse, adjoint: true };
    engine.scan(job);
    const cotangents: RecurrenceCotangents = {
      a: wanted.a ? matrixCotangent(call, lambda) : null,
      b: wanted.b ? lambda : null,
      h0: wanted.h0 ? startCotangent(call, lambda) : null,
    };
    for (const memory of Object.values(cotangents)) if (memory !== null) owned.delete(memory);
    return cotangents;
  } finally {
    for (const memory of owned) engine.free(memory);
  }
}

/** What the parts of a pullback share; what they allocate is freed unless it is returned. */
interface Call {
  readonly engine: Engine;
  readonly recurrence: SolvedRecurrence;
  own(memory: Memory): Memory;
  allocate(length: number, label: string): Memory;
}

function matrixCotangent({ engine, recurrence, own, allocate }: Call, lambda: Memory): Memory {
  const { monoid, y, h0, sharedStart, batch, time, state, reverse } = recurrence;
  const out = allocate(batch * time * matrixWords(recurrence), "the cotangent of a of a linear recurrence");
  const size = sizeOfMatrix(recurrence);
  // Blocks are rows of their own: the one before stands as many rows before as there are blocks.
  const [units, width] = monoid === "scalar" || monoid === "diagonal" ? [1, state] : [state / size, size];
  const start = h0 !== null && sharedStart && batch !== 1 ? own(spreadStart(engine, h0, batch, state)) : h0;
  engine.map({
    program: matrixProgram(monoid, width, reverse ? -units : units),
    params: [],
    inputs: [{ memory: lambda, start: null }, { memory: y, start }],
    outputs: [out],
    batch,
    time: time * units,
  });
  return out;
}

function startCotangent({ engine, recurrence, allocate }: Call, lambda: Memory): Memory {
  const { monoid, a, sharedStart, batch, time, state, reverse } = recurrence;
  const first = reverse ? time - 1 : 0;
  const rowOf = (from: Memory, width: number, label: string): Memory => {
    const row = allocate(batch * width, label);
    const rows = {
      fromStart: first * width,
      fromStride: time * width,
      toStart: 0,
      toStride: width,
      width,
      rows: batch,
    };
    engine.copy(from, row, rows);
    return row;
  };
  const inputs = [rowOf(a, matrixWords(recurrence), "the first a"), rowOf(lambda, state, "the first cotangent")];
  const all = allocate(batch * state, "the cotangent of h0 of a linear recurrence");
  const size = sizeOfMatrix(recurrence);
  const [units, width] = monoid === "scalar" || monoid === "diagonal" ? [1, state] : [state / size, size];
  engine.map({
    program: startProgram(monoid, width),
    params: [],
    inputs: inputs.map((memory) => ({ memory, start: null })),
    outputs: [all],
    batch: 1,
    time: batch * units,
  });
  if (!sharedStart || batch === 1) return all;
  const out = allocate(state, "the cotangent of h0 of a linear recurrence");
  engine.reduce({ op: "sum", input: all, out, outer: 1, length: batch, inner: state });
  return out;
}
