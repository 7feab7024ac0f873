import type { Kernel } from "./kernel.ts";
import { emitRows, type RowKernelSpec, rowTurns } from "./rows.ts";
import { stateWord, STATUS } from "./sequence.ts";
import { INFO, locateRow, type RowShape, type TileShape, TRACED_BINDINGS, type TracedCode } from "./traced.ts";

/** A value that is written for every row: `OUT[offset + width row + index] = text`, both in terms of `i`. */
export interface Store {
  readonly count: number;
  readonly width: number;
  /** Words before the first row: 0, or `P.second`. */
  readonly offset: "0u" | "P.second";
  readonly index: string;
  readonly text: string;
}

/** What a kernel over rows computes. */
export interface EvaluateSpec {
  readonly name: string;
  readonly shape: RowShape;
  readonly code: TracedCode;
  readonly stores: readonly Store[];
  /** h of row r: none (`Y` then holds a product), the same `START` of a sequence for all rows, or the iterate `Y` before r. */
  readonly previous: "none" | "start" | "iterate";
  /** Sequences that are not running, and rows that are exact, are left out. */
  readonly skip: boolean;
  /** Null: one invocation evaluates a row. */
  readonly tile: TileShape | null;
}

const BINDINGS = [
  ...TRACED_BINDINGS,
  { name: "START", kind: "read", type: "array<f32>" },
  { name: "Y", kind: "read", type: "array<f32>" },
  { name: "S", kind: "read", type: "array<u32>" },
  { name: "OUT", kind: "read_write", type: "array<f32>" },
] as const;

const previousText = ({ previous, shape: { state } }: EvaluateSpec): string => {
  const start = `START[b * ${state}u + i]`;
  if (previous === "start") return `let previous = ${start};`;
  return `var previous = ${start}; if (r > 0u) { previous = Y[(n - 1u) * ${state}u + i]; }`;
};

function rowKernel(spec: EvaluateSpec): RowKernelSpec {
  const { name, shape, code, stores, previous, skip, tile } = spec;
  const inStorage = tile?.scratch === "storage";
  const words = shape.state + shape.hoisted + shape.input + stores.reduce((sum, { count }) => sum + count, 0);
  const word = tile === null ? "W[i]" : "W[w + i]";
  return {
    name,
    header: `${name}: a traced function at all rows of a window, ${
      tile === null ? "one row an invocation" : `${tile.rows} rows a workgroup`
    }.
      Bindings: numbers, parameters and constants, hoisted values, inputs, start states, iterate, state of the sequences, output${
      inStorage ? ", scratch" : ""
    }.
      Bytes a row: ${4 * words}.`,
    bindings: BINDINGS,
    info: INFO,
    code,
    tile,
    locate: locateRow(shape, "r"),
    without: skip ? `${stateWord("status", "b")} != ${STATUS.running}u || r < ${stateWord("exact", "b")}` : undefined,
    loads: previous === "none" ? [] : [{ count: shape.state, lines: [previousText(spec), `${word} = previous;`] }],
    stores: stores.map(({ count, width, offset, index, text }) => ({
      count,
      lines: [`OUT[${offset} + n * ${width}u + ${index}] = ${text};`],
    })),
  };
}

/** Turns of all loops for one row, or one tile. */
export function evaluateTurns(spec: EvaluateSpec): number {
  return rowTurns(rowKernel(spec));
}

/**
 * Evaluates a traced function at all rows (b, r) of a window: hoisted values, f at one state, or f and the entries of G at
 * the iterate.
 *
 * Reads h, Z, X and the parameters once (from caches for all but the first row), writes the stores: 4 (D + Z + X + stores)
 * bytes a row; operations are those of the function. Each tile is one workgroup; with scratch in storage a workgroup takes
 * every so many tiles.
 */
export function emitEvaluate(spec: EvaluateSpec): Kernel {
  return emitRows(rowKernel(spec));
}
