import type { Kernel, KernelParts } from "./kernel.ts";
import type { ScanSink } from "./scan_elements.ts";
import { NONE, stateWord, STATUS } from "./sequence.ts";
import { type RowShape, TRACED_BINDINGS, type TracedCode } from "./traced.ts";

/** A sweep (or error scan) over dense matrices that are evaluated where they are used: no array of them exists. */
export interface DenseSpec {
  readonly name: string;
  readonly phase: "reduce" | "apply";
  readonly sink: Exclude<ScanSink, "recurrence">;
  readonly shape: RowShape;
  /** 1, or D for steps in which no state depends on another: code and entries are then those of state `u`. */
  readonly units: number;
  /** f and what the entries of G are made of, h in the first words of its scratch. */
  readonly code: TracedCode;
  /** f, in terms of `i`. */
  readonly value: string;
  /** Statements that leave entry (i, k) of G in the variable `g`. */
  readonly entry: readonly string[];
  /** Whether there is more than one chunk: states before chunks are then in `AGG`, else they are zero or `CARRY`. */
  readonly chunked: boolean;
}

/** Words of an aggregate: the matrix, row by row, then the vector. */
export function denseWords(size: number): number {
  return size * size + size;
}

/** The bindings of both phases. */
export function denseBindings({ phase, sink, chunked }: DenseSpec): KernelParts["bindings"] {
  const floats = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" }) as const;
  const common = [...TRACED_BINDINGS, floats("START", "read")];
  if (phase === "reduce") {
    return [
      ...common,
      floats("Y", "read"),
      { name: "S", kind: "read", type: "array<u32>" },
      floats("AGG", "read_write"),
    ];
  }
  const updates = sink === "update";
  return [
    ...common,
    floats("Y", updates ? "read_write" : "read"),
    { name: "S", kind: "read_write", type: "array<atomic<u32>>" },
    updates ? floats("GUESS", "read") : floats("CARRY", "read_write"),
    ...(chunked ? [floats("AGG", "read")] : []),
  ];
}

/** Turns of all loops of an invocation for each row of its chunk, and beside the rows. */
export interface DenseTurns {
  readonly row: number;
  readonly fixed: number;
}

/** A kernel, and the names of its arrays after the bindings of every traced kernel. */
export interface DenseKernel extends Kernel {
  readonly arrays: readonly string[];
}

/** Names of {@linkcode denseBindings} after those of every traced kernel. */
export function denseArrays(spec: DenseSpec): string[] {
  return denseBindings(spec).slice(TRACED_BINDINGS.length).map(({ name }) => name);
}

/** Whether sequence b is left out, and its first row that is not exact, of status words read by `word`. */
export function sequenceText(
  sink: DenseSpec["sink"],
  word: (field: "status" | "exact" | "bad", b: string) => string,
): { out: string; exact: string } {
  const status = word("status", "b");
  return sink === "update"
    ? { out: `${status} != ${STATUS.running}u || ${word("bad", "b")} != ${NONE}u`, exact: word("exact", "b") }
    : { out: `${status} == ${STATUS.nonfinite}u`, exact: "0u" };
}

/** The same, of words that are read only. */
export const plainWord = (field: Parameters<typeof stateWord>[0], b: string): string => stateWord(field, b);
/** The same, of atomic ones. */
export const atomicWord = (field: Parameters<typeof stateWord>[0], b: string): string =>
  `atomicLoad(&${stateWord(field, b)})`;

/** What a row adds: f - h, of a bound its size. */
export function residualText(sink: DenseSpec["sink"], f: string, was: string): string {
  return sink === "absolute" ? `abs(${f} - ${was})` : `${f} - ${was}`;
}
