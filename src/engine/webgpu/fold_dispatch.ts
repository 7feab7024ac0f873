import { type Kernel, MAX_TURNS } from "../../../kernels/kernel.ts";
import { packInfo } from "../../../kernels/traced.ts";
import type { SweepJob } from "../engine.ts";
import type { Machine, Region } from "./machine.ts";
import type { Recorded } from "./window.ts";

/** A fold, and how many rows one dispatch may take. */
export interface Fold {
  readonly kernel: Kernel;
  readonly turns: { readonly row: number; readonly fixed: number };
  readonly scratchWords: number;
  readonly inStorage: boolean;
}

/** The dispatches of a fold over `rows` rows from time `t0` on; `regions` are those of its bindings after the numbers. */
export function foldDispatches(
  machine: Machine,
  { kernel, turns }: Fold,
  { batch, rule: { atol, rtol } }: Pick<SweepJob, "batch" | "rule">,
  { rows, t0 }: { readonly rows: number; readonly t0: number },
  regions: readonly Region[],
): Recorded[] {
  const most = Math.max(1, Math.floor((MAX_TURNS - turns.fixed) / turns.row));
  const dispatches: Recorded[] = [];
  for (let first = 0; first < rows; first += most) {
    const info = packInfo({ batch, rows, t0, first, count: most, atol, rtol, carried: t0 > 0 });
    dispatches.push({ kernel, group: machine.bind(kernel, [machine.uniform(info), ...regions]), count: batch });
  }
  return dispatches;
}
