import { concat, constant } from "./ops.ts";
import { type RowAccess, type RowProgram, traceRows } from "./rows.ts";

/** An array of which rows hold a part. */
export interface PackedPart extends Partial<RowAccess> {
  readonly size: number;
  /** Zeros instead: no array is given for it. */
  readonly absent?: boolean;
}

const known = new Map<string, RowProgram>();

/** Rows of some arrays one after the other; its inputs are the arrays that are not absent, in their order. */
export function packedRows(parts: readonly PackedPart[]): RowProgram {
  const key = parts.map(({ size, shift = 0, per = "step", absent = false }) => `${size} ${shift} ${per} ${absent}`)
    .join();
  let program = known.get(key);
  if (program === undefined) {
    // Inputs are in the order of their names.
    const named = parts.map((part, k) => ({ ...part, name: `part${String(k).padStart(6, "0")}` }));
    const given = named.filter(({ absent }) => absent !== true);
    program = traceRows({
      name: "packed rows",
      inputs: Object.fromEntries(given.map(({ name, size }) => [name, [size]])),
      access: Object.fromEntries(given.map(({ name, shift = 0, per = "step" }) => [name, { shift, per }])),
      params: {},
      fn: (row) => ({
        rows: concat(...named.map(({ name, size, absent }) => absent === true ? constant(0, [size]) : row[name])),
      }),
    });
    known.set(key, program);
  }
  return program;
}
