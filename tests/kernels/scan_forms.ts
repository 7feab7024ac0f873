import type { ScanShape } from "../../src/engine/webgpu/scan_plan.ts";
import type { HostScan } from "./scan_support.ts";

// The forms of recurrences that the kernels of scans are tested with.

/** In units of 2^-23: states stay below 8, a step makes a few roundings of that size, which fade as the states do. */
export const TOLERANCE: number = 64 * 2 ** -23;

/** A scan without its arrays and lengths. */
export type Form = Omit<HostScan, "A" | "F" | "start" | "batch" | "time">;
/** A recurrence of full 1 × 1 matrices, but for `rest`. */
export const form = (rest: Partial<Form>): Form => ({
  sink: "recurrence",
  matrix: "full",
  size: 1,
  units: 1,
  layout: "contiguous",
  reverse: false,
  ...rest,
});

/** A scan as failures name it. */
export const title = (scan: HostScan): string =>
  `${scan.matrix} ${scan.size} × ${scan.units} ${scan.layout}, B ${scan.batch}, T ${scan.time}` +
  `${scan.reverse ? ", reverse" : ""}${scan.adjoint ? ", adjoint" : ""}${scan.start ? "" : ", from zeros"}`;

export const FORMS: readonly Form[] = [
  form({ matrix: "scalar", units: 3 }),
  form({ units: 1 }),
  form({ units: 5 }),
  form({ units: 70 }),
  form({ units: 3, size: 2 }),
  form({ units: 3, size: 2, layout: "strided" }),
  form({ units: 2, size: 3 }),
  form({ units: 1, size: 4 }),
  form({ units: 3, size: 4, layout: "strided" }),
  form({ matrix: "zero", units: 3 }),
  form({ size: 5 }),
  form({ units: 2, size: 7, layout: "strided" }),
  form({ units: 2, size: 8 }),
  form({ size: 20 }),
];

/** What is applied row after row. */
export const WIDE: ScanShape = { batch: 1, time: 1, units: 1, size: 44, matrix: "full" };
