import { type Device, engineOf } from "../device.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { addMemories, sumProgram } from "../tape.ts";
import type { RowLeaf, RowProgram } from "../trace/rows.ts";
import { pullbackRows, type RowPullback, type RowValue } from "../trace/rows_pullback.ts";

/** One call of `map`, as its pullback needs it. */
export interface MapCall {
  readonly device: Device;
  readonly program: RowProgram;
  readonly params: readonly Memory[];
  readonly inputs: readonly Memory[];
  readonly starts: readonly (Memory | null)[];
  readonly batch: number;
  readonly time: number;
}

/** What a pullback has computed for all rows, freed when it is done. */
class Values {
  readonly #engine: Engine;
  readonly #call: MapCall;
  readonly #inputs: readonly Memory[];
  readonly #outputs: readonly Memory[];
  readonly #taken = new Set<Memory>();

  constructor(call: MapCall, pullback: RowPullback, cotangents: readonly (Memory | null)[]) {
    const { batch, time } = call;
    this.#engine = engineOf(call.device);
    this.#call = call;
    const engine = this.#engine;
    const { program, params, inputs } = pullback;
    this.#inputs = inputs.map(({ of, index }) => of === "input" ? call.inputs[index]! : cotangents[index]!);
    this.#outputs = program.outputs.map(({ path, node }) =>
      engine.allocate(engine.dtype, batch * time * node.size, `${path} of "${program.name}"`)
    );
    engine.map({
      program,
      params: params.map((k) => call.params[k]!),
      inputs: this.#inputs.map((memory, k) => {
        const { of, index } = inputs[k]!;
        return { memory, start: of === "input" ? call.starts[index]! : null };
      }),
      outputs: this.#outputs,
      batch,
      time,
    });
  }

  of({ from, index }: RowValue): Memory {
    return (from === "input" ? this.#inputs : this.#outputs)[index]!;
  }

  /** An output as the caller's own; of what several ask for, all but the first get a copy. */
  take(index: number): Memory {
    const memory = this.#outputs[index]!;
    if (!this.#taken.has(memory)) {
      this.#taken.add(memory);
      return memory;
    }
    const engine = this.#engine;
    const copy = engine.allocate(engine.dtype, memory.length, "a cotangent");
    const rows = { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, width: memory.length, rows: 1 };
    engine.copy(memory, copy, rows);
    return copy;
  }

  /** `Σ_rows left rightᵀ`, or with `form` "ab" `left right` row by row. */
  multiply(
    form: "atb" | "ab",
    a: Memory,
    b: Memory,
    shape: readonly [rows: number, inner: number, columns: number],
  ): Memory {
    const engine = this.#engine;
    const [rows, inner, columns] = shape;
    const out = engine.allocate(engine.dtype, rows * columns, "a product of cotangents");
    engine.matmul({ a, b, out, rows, inner, columns, form });
    return out;
  }

  free(): void {
    for (const memory of this.#outputs) if (!this.#taken.has(memory)) this.#engine.free(memory);
  }

  get rows(): number {
    return this.#call.batch * this.#call.time;
  }
}

/**
 * Cotangents of parameters, inputs and starts, in this order: one more map over all rows, products of matrices for what
 * comes of `W x`, sums over rows for other parameters. What the function computes on the way is computed again, not kept.
 */
export function pullBackMap(
  call: MapCall,
  cotangents: readonly (Memory | null)[],
  wanted: readonly boolean[],
): (Memory | null)[] {
  const { device, program, starts } = call;
  if (call.batch * call.time === 0) return wanted.map(() => null);
  const engine = engineOf(device);
  const [P, I] = [program.params.length, program.inputs.length];
  const present = starts.flatMap((start, k) => start === null ? [] : [k]);
  const wantedStart = new Map(present.map((k, i) => [k, wanted[P + I + i]!]));
  const pullback = pullbackRows(program, {
    outputs: cotangents.map((memory) => memory !== null),
    params: wanted.slice(0, P),
    inputs: program.inputs.map((_, k) => wanted[P + k]! || wantedStart.get(k) === true),
  });
  const values = new Values(call, pullback, cotangents);
  const size = (value: RowValue): number =>
    value.from === "output"
      ? pullback.program.outputs[value.index]!.node.size
      : pullback.program.inputs[value.index]!.leaf.size;
  const params = pullback.parameterCotangents.map((cotangent, k): Memory | null => {
    if (cotangent === null) return null;
    const length = program.params[k]!.leaf.size;
    const parts = cotangent.products.map(({ left, right }) =>
      values.multiply("atb", values.of(left), values.of(right), [size(left), values.rows, size(right)])
    );
    if (cotangent.sum !== null) {
      const out = engine.allocate(engine.dtype, length, "the cotangent of a parameter");
      const input = values.of({ from: "output", index: cotangent.sum });
      engine.reduce({ op: "sum", input, out, outer: 1, length: values.rows, inner: length });
      parts.push(out);
    }
    return parts.length === 0 ? null : addMemories(device, parts, length);
  });
  // Of each row, before shifts are undone.
  const perRow = pullback.inputCotangents.map((cotangent, k): Memory | null => {
    if (cotangent === null) return null;
    const width = program.inputs[k]!.leaf.size;
    const parts = cotangent.products.map(({ value, parameter }) =>
      values.multiply("ab", values.of(value), call.params[parameter]!, [values.rows, size(value), width])
    );
    if (cotangent.rows !== null) parts.push(values.take(cotangent.rows));
    return parts.length === 0 ? null : addMemories(device, parts, values.rows * width);
  });
  values.free();
  const startCotangents = present.map((k): Memory | null => {
    const rows = perRow[k]!;
    return rows === null || !wantedStart.get(k) ? null : edgeRows(call, program.inputs[k]!, rows);
  });
  const inputs = program.inputs.map((_, k) => gatherRows(call, k, perRow, wanted.slice(P, P + I)));
  for (const [k, rows] of perRow.entries()) if (rows !== null && inputs[k] !== rows) engine.free(rows);
  return [...params, ...inputs, ...startCotangents];
}

/** What flowed back to the rows before the first (after the last, for negative shifts): `(B, |shift|, size)`. */
function edgeRows({ device, batch, time }: MapCall, { leaf: { size }, shift }: RowLeaf, rows: Memory): Memory {
  const engine = engineOf(device);
  const outside = Math.abs(shift);
  const out = engine.allocate(engine.dtype, batch * outside * size, "the cotangent of a start");
  const count = Math.min(outside, time);
  // Of a sequence shorter than the shift, some rows before it are read by none.
  if (count < outside) {
    engine.reduce({ op: "sum", input: rows, out, outer: 1, length: 0, inner: batch * outside * size });
  }
  const [fromStart, toStart] = shift > 0 ? [0, 0] : [(time - count) * size, (outside - count) * size];
  const strides = { fromStride: time * size, toStride: outside * size };
  engine.copy(rows, out, { fromStart, toStart, ...strides, width: count * size, rows: batch });
  return out;
}

/**
 * From cotangents at the rows that read input k, to those at the rows that were read. An array that is read with several
 * shifts gets one sum of them all, for the first of its inputs.
 */
function gatherRows(
  { device, program, inputs, batch, time }: MapCall,
  k: number,
  perRow: readonly (Memory | null)[],
  wanted: readonly boolean[],
): Memory | null {
  const engine = engineOf(device);
  const { leaf: { size }, per } = program.inputs[k]!;
  if (!wanted[k]) return null;
  if (per === "sequence") {
    if (perRow[k] === null) return null;
    const out = engine.allocate(engine.dtype, batch * size, "the cotangent of an input");
    engine.reduce({ op: "sum", input: perRow[k]!, out, outer: batch, length: time, inner: size });
    return out;
  }
  const readings = program.inputs.flatMap(({ shift, per }, other) =>
    inputs[other] === inputs[k] && per === "step" && wanted[other] && perRow[other] !== null
      ? [{ other, shift, memory: perRow[other]! }]
      : []
  );
  if (readings[0]?.other !== k) return null;
  if (readings.length === 1 && readings[0].shift === 0) return readings[0].memory;
  const out = engine.allocate(engine.dtype, batch * time * size, "the cotangent of an input");
  engine.map({
    program: sumProgram(size, readings.map(({ shift }) => -shift)),
    params: [],
    inputs: readings.map(({ memory }) => ({ memory, start: null })),
    outputs: [out],
    batch,
    time,
  });
  return out;
}
