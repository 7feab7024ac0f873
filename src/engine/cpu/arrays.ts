import type { MatmulJob, ReduceJob } from "../engine.ts";
import { arrayOf } from "./memory.ts";

/** `out = a b` or `a bᵀ`, accumulated in f64. Cost: rows · inner · columns multiplications. */
export function matmul({ a, b, out, rows, inner, columns, transposed }: MatmulJob): void {
  const [av, bv, ov] = [arrayOf(a), arrayOf(b), arrayOf(out)];
  const row = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    row.fill(0);
    if (transposed) {
      for (let j = 0; j < columns; j++) {
        let total = 0;
        for (let k = 0; k < inner; k++) total += av[i * inner + k]! * bv[j * inner + k]!;
        row[j] = total;
      }
    } else {
      // Along the rows of b: memory is read in order.
      for (let k = 0; k < inner; k++) {
        const factor = av[i * inner + k]!;
        for (let j = 0; j < columns; j++) row[j]! += factor * bv[k * columns + j]!;
      }
    }
    ov.set(row, i * columns);
  }
}

/** `out[o, i] = op over r of input[o, r, i]`; a NaN anywhere gives NaN. Of nothing: the sum 0, the maxima -Infinity and 0. */
export function reduce({ op, input, out, outer, length, inner }: ReduceJob): void {
  const [values, ov] = [arrayOf(input), arrayOf(out)];
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let total = op === "max" ? -Infinity : 0;
      for (let r = 0; r < length; r++) {
        const value = values[(o * length + r) * inner + i]!;
        total = op === "sum" ? total + value : Math.max(total, op === "max" ? value : Math.abs(value));
      }
      ov[o * inner + i] = total;
    }
  }
}
