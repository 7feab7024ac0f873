/**
 * What `auto` knows of machines: microseconds, to be measured again by `bench/calibrate.ts`, which prints rows of this
 * table. The sums below are estimates good to a factor of about two, which is enough to choose by.
 */
export interface MachineCosts {
  /** One dispatch that does next to nothing, among many. */
  readonly dispatch: number;
  /** One row of a fold: latency, whatever its size. */
  readonly row: number;
  /** An operation of a row that one workgroup (or thread) does alone. */
  readonly serialOperation: number;
  /** An operation when the whole machine is busy. */
  readonly operation: number;
  /** Sequences that are folded at once. */
  readonly sequences: number;
}

/**
 * - `cpu`: one core of an AMD EPYC, Deno 2.9.6, measured
 * - `software`: llvmpipe on 2 such cores, measured
 * - `hardware`: not measured yet; bounds of a card with 100 multiprocessors, and barriers of about a microsecond
 */
export const COSTS: Readonly<Record<"cpu" | "software" | "hardware", MachineCosts>> = {
  cpu: { dispatch: 0, row: 0.06, serialOperation: 0.00017, operation: 0.00017, sequences: 1 },
  software: { dispatch: 30, row: 0.67, serialOperation: 0.0022, operation: 0.0019, sequences: 3 },
  hardware: { dispatch: 3, row: 3, serialOperation: 0.0002, operation: 2e-7, sequences: 100 },
};

/** Sweeps that solves were seen to take (tests/golden: GRU, LSTM, Elman): Newton's method 3 to 29, others 10 to 344. */
export const EXPECTED_SWEEPS = { newton: 8, linear: 30 } as const;

/**
 * Default bounds of `maxSweeps`, several times what converging solves were seen to take: Newton's method 3 to 29 sweeps,
 * linearly converging ones 10 to 344 (tests/golden: GRU, LSTM, Elman, and a trained GRU at the edge of stability).
 */
export const SWEEP_LIMITS = { newton: 100, linear: 1000 } as const;

/** Dispatches of one sweep, and rows of its longest serial part. */
const SWEEP_DISPATCHES = 6;
const CHUNK_ROWS = 64;
const MOST_CHUNKS = 1024;

/** What a solve works on. */
export interface Workload {
  readonly batch: number;
  readonly time: number;
  /** Operations of f. */
  readonly step: number;
  /** Operations of a row of a sweep: f and G, twice, and the products of the scan. */
  readonly sweep: number;
}

/** Microseconds of one pass, row after row. */
export function sequentialCost(costs: MachineCosts, { batch, time, step }: Workload): number {
  return Math.ceil(batch / costs.sequences) * time * (costs.row + step * costs.serialOperation);
}

/** Microseconds of so many sweeps that are parallel in time; on one thread a sweep is a fold. */
export function sweepsCost(costs: MachineCosts, { batch, time, sweep }: Workload, sweeps: number): number {
  const depth = Math.min(time, Math.max(CHUNK_ROWS, time / MOST_CHUNKS));
  const serial = costs.dispatch === 0 ? 0 : depth * (2 * costs.row + sweep * costs.serialOperation);
  return sweeps * (SWEEP_DISPATCHES * costs.dispatch + serial + batch * time * sweep * costs.operation);
}
