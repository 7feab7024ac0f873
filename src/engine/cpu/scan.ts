import type { ScanJob } from "../engine.ts";
import { arrayOf } from "./memory.ts";
import { foldKernel, shortState } from "./scan_kernel.ts";

/**
 * The scan over affine maps, folded from the start: on one thread that is the least work, and no product of matrices is
 * ever formed. Reads A, b once and writes y once.
 */
export function scan(job: ScanJob): void {
  const { monoid, a, b, h0, out, batch, time, state, block = 1, reverse, adjoint = false } = job;
  if (batch * time * state === 0) return;
  const shared = monoid === "scalar";
  const size = monoid === "dense" ? state : monoid === "block" ? block : 1;
  const answer = arrayOf(out);
  const dtype = answer instanceof Float64Array ? "f64" : "f32";
  const kernel = foldKernel({ dtype, shared, size, short: shortState(state, size), reverse, adjoint });
  const zeros = dtype === "f64" ? new Float64Array(state) : new Float32Array(state);
  const start = h0 === null ? zeros : arrayOf(h0);
  kernel(arrayOf(a), arrayOf(b), start, answer, batch, time, state / size, h0 === null ? 0 : state);
}
