import { evaluateTurns } from "../../../kernels/evaluate.ts";
import { MAX_TURNS } from "../../../kernels/kernel.ts";
import { LANE_ROWS } from "../../../kernels/rows.ts";
import { packInfo, type TileShape } from "../../../kernels/traced.ts";
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
  return tileParts(spec.tile, tiles, evaluateTurns(spec), STORAGE_GROUPS)
    .map(({ first, count, groups }) => ({ kernel, group: bind(first, count), count: groups }));
}

/** The tiles of one dispatch: the first of them, how many each workgroup takes, and how many workgroups. */
export interface TilePart {
  readonly first: number;
  readonly count: number;
  readonly groups: number;
}

/** Dispatches for tiles of so many turns: of those with scratch in storage at most `most` workgroups share it. */
export function tileParts({ scratch }: TileShape, tiles: number, turns: number, most: number): TilePart[] {
  if (scratch === "workgroup") return [{ first: 0, count: 1, groups: tiles }];
  const groups = Math.min(most, tiles);
  const each = Math.max(1, Math.floor((MAX_TURNS - 1) / turns));
  const parts: TilePart[] = [];
  for (let first = 0; first < tiles; first += each * groups) {
    parts.push({ first, count: Math.min(each, Math.ceil((tiles - first) / groups)), groups });
  }
  return parts;
}
