import { MAX_TURNS } from "../../../kernels/kernel.ts";
import type { ScanMatrix } from "../../../kernels/scan_elements.ts";
import { TILE_MOST, tileTurns } from "../../../kernels/scan_tile.ts";
import { TIME_TILE } from "../../../kernels/scan_time.ts";
import { wideTurns } from "../../../kernels/scan_wide.ts";

/** Invocations, and workgroups of tiles, that keep a large GPU busy. */
const WANTED_LANES = 65536;
const WANTED_TILES = 1024;
/** A chunk costs an aggregate and a place in the spine: fewer rows do not pay for it. */
const LEAST_ROWS = 64;
/** Fewer chunks do not pay for reading everything twice, nor, of tiles, for products of matrices. */
const LEAST_CHUNKS = 4;
const LEAST_TILE_CHUNKS = 16;
/** Rows of an invocation where rows have nothing to do with each other. */
const FREE_ROWS = 16;
/** With fewer units lanes along units use less than the 32 bytes that memory gives at a time. */
const FEW_UNITS = 8;
const LEAST_TIME = 2 * TIME_TILE;
/** Aggregates that one invocation takes one after the other. */
const SPINE_ROWS = 64;
/** The largest n in registers. */
const LANES_MOST = 4;

/** What decides how a scan is cut. */
export interface ScanShape {
  readonly batch: number;
  readonly time: number;
  readonly units: number;
  readonly size: number;
  readonly matrix: ScanMatrix;
}

/** `rows` items of a sequence in chunks of `chunkRows`; the last may be shorter, none is empty. */
export interface ScanLevel {
  readonly rows: number;
  readonly chunks: number;
  readonly chunkRows: number;
}

/** How a scan is cut. */
export interface ScanPlan extends ScanLevel {
  /**
   * lanes: an invocation per (sequence, chunk, unit). time: a workgroup, its lanes on time. tile: a workgroup, its lanes
   * on a product of matrices. wide: a workgroup per (sequence, unit), a dispatch per chunk, no products.
   */
  readonly form: "lanes" | "time" | "tile" | "wide";
  /** The scans over aggregates, from the chunks up: all but the last are reduced first, the last is one chunk. */
  readonly spine: readonly ScanLevel[];
  /** The most turns that an invocation of any of its kernels makes, over all loops. */
  readonly turns: number;
}

function levelOf(rows: number, chunkRows: number): ScanLevel {
  return { rows, chunks: Math.max(1, Math.ceil(rows / chunkRows)), chunkRows };
}

/** The levels above `count` chunks; none above a single one. */
export function planSpine(count: number): ScanLevel[] {
  if (count <= 1) return [];
  if (count <= SPINE_ROWS) return [levelOf(count, count)];
  const level = levelOf(count, SPINE_ROWS);
  return [level, ...planSpine(level.chunks)];
}

/** Rows of a chunk so that about `wanted` are at work: at least LEAST_ROWS, at most `most`; fewer than `least` count as one. */
function chunkRowsFor(time: number, wanted: number, least: number, most: number): number {
  const chunks = Math.min(Math.ceil(wanted), Math.floor(time / LEAST_ROWS));
  const rows = chunks < least ? Math.max(1, time) : Math.ceil(time / chunks);
  return rows <= most ? rows : Math.ceil(time / Math.ceil(time / most));
}

/** A scan whose invocations make `turnsPerRow` turns for each row of a chunk, or `turns` altogether. */
function planOf(
  form: ScanPlan["form"],
  time: number,
  chunkRows: number,
  turnsPerRow: number,
  turns: number = chunkRows * turnsPerRow,
): ScanPlan {
  const level = levelOf(time, chunkRows);
  const spine = form === "wide" ? [] : planSpine(level.chunks);
  return { form, ...level, spine, turns: Math.max(turns, ...spine.map(({ chunkRows }) => chunkRows * turnsPerRow)) };
}

/** How to cut a scan so that a GPU is busy and no invocation makes more than MAX_TURNS turns. */
export function planScan({ batch, time, units, size, matrix }: ScanShape): ScanPlan {
  const sequences = Math.max(1, batch * units);
  if (size > TILE_MOST) return planOf("wide", time, Math.floor(MAX_TURNS / wideTurns(size)), wideTurns(size));
  if (size > LANES_MOST) {
    const perRow = tileTurns(size);
    const rows = chunkRowsFor(time, WANTED_TILES / sequences, LEAST_TILE_CHUNKS, Math.floor(MAX_TURNS / perRow));
    return planOf("tile", time, rows, perRow);
  }
  const wanted = WANTED_LANES / sequences;
  if (matrix === "zero") {
    const chunkRows = Math.min(MAX_TURNS, Math.max(FREE_ROWS, Math.ceil(time / wanted)));
    return { ...planOf("lanes", time, chunkRows, 1), spine: [], turns: chunkRows };
  }
  if (size === 1 && units < FEW_UNITS && time >= LEAST_TIME) return planOf("time", time, TIME_TILE, 1, 0);
  // Loops of lanes are unrolled, but for their last rows.
  return planOf("lanes", time, chunkRowsFor(time, wanted, LEAST_CHUNKS, MAX_TURNS), 1);
}
