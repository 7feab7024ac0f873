import type { GatherJob, ScatterAddJob } from "../engine.ts";
import { arrayOf } from "./memory.ts";

/** `out[n, i] = table[indices[n], i]`; NaN where an index is no row. */
export function gather({ table, indices, out, rows, width, count }: GatherJob): void {
  const [tv, iv, ov] = [arrayOf(table), arrayOf(indices), arrayOf(out)];
  for (let n = 0, e = 0; n < count; n++) {
    const row = iv[n]!;
    const known = row >= 0 && row < rows;
    for (let i = 0, from = row * width; i < width; i++, e++) ov[e] = known ? tv[from + i]! : NaN;
  }
}

/** `out[r, i] = Σ from[n, i]` over the n with `indices[n] = r`, in f64 and in the order of n. */
export function scatterAdd({ from, indices, out, rows, width, count }: ScatterAddJob): void {
  const [fv, iv, ov] = [arrayOf(from), arrayOf(indices), arrayOf(out)];
  const totals = ov instanceof Float64Array ? ov : new Float64Array(rows * width);
  totals.fill(0, 0, rows * width);
  for (let n = 0; n < count; n++) {
    const row = iv[n]!;
    if (row < 0 || row >= rows) continue;
    for (let i = 0, e = n * width, to = row * width; i < width; i++) totals[to + i]! += fv[e + i]!;
  }
  if (totals !== ov) ov.set(totals);
}
