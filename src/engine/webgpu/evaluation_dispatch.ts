import { evaluateTurns, LANE_ROWS } from "../../../kernels/evaluate.ts";
import { MAX_TURNS } from "../../../kernels/kernel.ts";
import { packInfo } from "../../../kernels/traced.ts";
import type { Evaluation } from "./evaluation.ts";
import type { Machine, Region } from "./machine.ts";
import type { Recorded } from "./window.ts";

/** Workgroups that share scratch in storage. */
export const STORAGE_GROUPS = 256;

/** The rows that an evaluation works on, and the first word of the second half of its output. */
export interface EvaluationRows {
  readonly batch: number;
  readonly rows: number;
  readonly t0: number;
  readonly second: number;
}

/** The dispatches of an evaluation; `regions` are those of its bindings after the numbers. */
export function evaluationDispatches(
  machine: Machine,
  { spec, kernel }: Evaluation,
  { batch, rows, t0, second }: EvaluationRows,
  regions: readonly Region[],
): Recorded[] {
  const bind = (first: number, count: number): GPUBindGroup =>
    machine.bind(kernel, [machine.uniform(packInfo({ batch, rows, t0, second, first, count })), ...regions]);
  if (spec.tile === null) return [{ kernel, group: bind(0, 1), count: Math.ceil(batch * rows / LANE_ROWS) }];
  const tiles = batch * Math.ceil(rows / spec.tile.rows);
  if (spec.tile.scratch === "workgroup") return [{ kernel, group: bind(0, 1), count: tiles }];
  const groups = Math.min(STORAGE_GROUPS, tiles);
  const turns = Math.max(1, Math.floor((MAX_TURNS - 1) / evaluateTurns(spec)));
  const parts: Recorded[] = [];
  for (let first = 0; first < tiles; first += turns * groups) {
    parts.push({ kernel, group: bind(first, Math.min(turns, Math.ceil((tiles - first) / groups))), count: groups });
  }
  return parts;
}
