import type { ReduceJob } from "../engine.ts";
import { arrayOf } from "./memory.ts";

/** `out[o, i] = op over r of input[o, r, i]`; a NaN anywhere gives NaN. Of nothing: the sum 0, the maxima -Infinity and 0. */
export function reduce({ op, input, out, outer, length, inner }: ReduceJob): void {
  const [values, ov] = [arrayOf(input), arrayOf(out)];
  const start = op === "max" ? -Infinity : 0;
  if (inner === 1) {
    for (let o = 0, e = 0; o < outer; o++) {
      let total = start;
      if (op === "sum") { for (let r = 0; r < length; r++, e++) total += values[e]!; }
      else if (op === "max") { for (let r = 0; r < length; r++, e++) total = Math.max(total, values[e]!); }
      else for (let r = 0; r < length; r++, e++) total = Math.max(total, Math.abs(values[e]!));
      ov[o] = total;
    }
    return;
  }
  const totals = new Float64Array(inner);
  // Row by row: memory is read in order, whatever the inner size.
  for (let o = 0, e = 0; o < outer; o++) {
    totals.fill(start);
    for (let r = 0; r < length; r++) {
      if (op === "sum") { for (let i = 0; i < inner; i++, e++) totals[i]! += values[e]!; }
      else if (op === "max") { for (let i = 0; i < inner; i++, e++) totals[i] = Math.max(totals[i]!, values[e]!); }
      else for (let i = 0; i < inner; i++, e++) totals[i] = Math.max(totals[i]!, Math.abs(values[e]!));
    }
    ov.set(totals, o * inner);
  }
}
