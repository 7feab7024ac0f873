import { checkKeys, describe } from "../core/describe.ts";
import { createRandom } from "../core/random.ts";
import { checkCount, formatShape, sameShape } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { place, shapeOf } from "../place.ts";
import { programOf, type Step } from "../step.ts";
import { memoryOf, type TensorLike } from "../tensor.ts";
import { topological } from "../trace/graph.ts";
import { growthOf } from "../trace/growth.ts";
import { concat } from "../trace/ops.ts";
import type { StepProgram } from "../trace/program.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { type PreparedProblem, prepareProblem, type Problem } from "./problem.ts";
import { rowAt, runProgram } from "./run_program.ts";
import { solve } from "./sequence.ts";

/** How {@linkcode lyapunovExponent} estimates. */
export interface LyapunovOptions {
  /** Needed only where no argument is a device tensor. */
  device?: Device;
  /** How many random vectors are carried along. Default 3. */
  vectors?: number;
  /** Of the random vectors. Default 0. */
  seed?: number;
}

/** The largest Lyapunov exponent along a trajectory. */
export interface LyapunovEstimate {
  /** Per sequence: the mean growth `log |J v| / |v|` of a step, over the vectors; -Infinity where J is zero. */
  readonly exponents: readonly number[];
  /** Per sequence: largest minus smallest of the vectors; what has not settled yet. */
  readonly spread: readonly number[];
}

const packs = new Map<string, RowProgram>();

/** Rows `[h[t-1], x[t]]`. */
function packProgram(state: number, input: number): RowProgram {
  const key = `${state}|${input}`;
  let program = packs.get(key);
  if (program === undefined) {
    program = traceRows({
      name: "rows along a trajectory",
      inputs: { h: [state], ...(input === 0 ? {} : { x: [input] }) },
      access: { h: { shift: 1 } },
      params: {},
      fn: (row) => ({ rows: concat(row.h, ...(input === 0 ? [] : [row.x])) }),
    });
    packs.set(key, program);
  }
  return program;
}

/** Steps of a chunk on an engine that runs chunks side by side, and at most how many there are. */
const CHUNK_STEPS = 1024;
const MOST_CHUNKS = 256;
/** Steps in which vectors turn to the direction of the largest growth: they are left out. */
const TURNING_STEPS = 64;

/**
 * The largest Lyapunov exponent λ = lim (1/T) log |J[T-1] ... J[0]| along a trajectory: negative where differences shrink
 * and parallel methods take few sweeps whatever T, positive where the dynamics are chaotic and their sweeps grow with T.
 *
 * A few random vectors are carried along, `v' = J v / |J v|`, and the logarithms of their lengths averaged; the first steps, in
 * which they turn, are left out. `problem.ys` is the trajectory `(B, T, D)` or `(T, D)`; without it the problem is solved first,
 * one step after the other.
 * On WebGPU long trajectories are cut into chunks that run side by side, each with vectors of its own.
 *
 * Cost: one pass with `vectors` Jacobian-vector products a step; D + I words a step for what is read, k (D + 1) for k vectors.
 * Throws a `TypeError` or `RangeError` for what does not fit, and what `solve` throws where it has to solve.
 *
 * Gonzalez et al., "Predictability enables parallelization of nonlinear state space models", 2025, arXiv 2508.16817. Benettin
 * et al. 1980, doi 10.1007/BF02128236.
 *
 * @example The logistic map is chaotic, with λ = log 2
 * ```ts
 * import { defineStep, lyapunovExponent, openDevice } from "@cervid/cervid";
 * import { mul, sub } from "@cervid/cervid/ops";
 *
 * const logistic = defineStep({
 *   name: "logistic",
 *   state: 1,
 *   input: 0,
 *   params: {},
 *   step: ({ h }) => mul(4, mul(h, sub(1, h))),
 * });
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const h0 = { data: new Float64Array([0.3]), shape: [1] };
 * const { exponents } = await lyapunovExponent(logistic, { params: {}, time: 10_000, h0 }, { device });
 * console.log(exponents[0]); // about 0.693
 * ```
 */
export async function lyapunovExponent(
  step: Step,
  problem: Problem & { ys?: TensorLike },
  options: LyapunovOptions = {},
): Promise<LyapunovEstimate> {
  const program = programOf(step);
  const context = `Cannot estimate the growth of "${program.name}"`;
  checkKeys(context, "options", options, ["device", "vectors", "seed"]);
  const { vectors = 3, seed = 0 } = options;
  checkCount(context, "vectors", vectors, 1);
  checkCount(context, "seed", seed, 0);
  if (typeof problem !== "object" || problem === null) {
    throw new TypeError(`${context}: expected a problem { params, xs, h0, ys }, got ${describe(problem)}`);
  }
  const { ys, ...posed } = problem;
  // Whether a parallel method would do is what is being asked.
  const how = { method: "sequential", ...(options.device && { device: options.device }) } as const;
  const solved = ys === undefined ? await solve(step, posed, how) : undefined;
  const prepared = prepareProblem(program, posed, options.device);
  try {
    const trajectory = placeTrajectory(context, ys ?? solved!.ys, prepared, program);
    return await estimate(program, prepared, trajectory, vectors, seed);
  } finally {
    for (const copy of prepared.temporary) copy.dispose();
    solved?.dispose();
  }
}

function placeTrajectory(context: string, ys: TensorLike, problem: PreparedProblem, { state }: StepProgram): Memory {
  const { batch, time, batched, device, temporary } = problem;
  const wanted = batched ? [batch, time, state] : [time, state];
  const placed = place(context, "ys", ys, device, temporary);
  if (!sameShape(shapeOf(context, "ys", ys), wanted)) {
    throw new TypeError(`${context}: ys must have shape ${formatShape(wanted)}, got ${formatShape(placed.shape)}`);
  }
  if (time === 0) throw new RangeError(`${context}: the trajectory must have at least one step, got T = 0`);
  return memoryOf(placed);
}

/** How a trajectory is cut: a step that depends on t, and one thread, take it whole. */
function chunksOf(engine: Engine, growth: StepProgram, time: number): number {
  const timed = growth.tangent !== null && dependsOnTime(growth);
  if (engine.backend === "cpu" || timed) return 1;
  return Math.max(1, Math.min(MOST_CHUNKS, Math.floor(time / CHUNK_STEPS)));
}

/** Whether the vectors themselves, not only what is counted, depend on t. */
function dependsOnTime({ output, t }: StepProgram): boolean {
  const vectors = output.op === "concat" ? output.args.slice(0, output.args.length / 2) : [output];
  return topological(vectors).includes(t);
}

async function estimate(
  program: StepProgram,
  { device, params, xs, h0, batch, time }: PreparedProblem,
  ys: Memory,
  vectors: number,
  seed: number,
): Promise<LyapunovEstimate> {
  const engine = engineOf(device);
  const growth = growthOf(program, vectors);
  const each = <T>(value: (b: number) => T): T[] => Array.from({ length: batch }, (_, b) => value(b));
  if (growth === null) return { exponents: each(() => -Infinity), spread: each(() => 0) };
  const { state, input } = program;
  const width = state + input;
  const chunks = chunksOf(engine, growth, time);
  const length = Math.floor(time / chunks);
  const skip = Math.min(TURNING_STEPS, Math.floor(length / 8));
  const packed = engine.allocate(engine.dtype, batch * time * width, "rows along a trajectory");
  const inputs = [{ memory: ys, start: h0 }, ...(xs === null ? [] : [{ memory: xs, start: null }])];
  engine.map({ program: packProgram(state, input), params: [], inputs, outputs: [packed], batch, time });
  // Chunk c of sequence b becomes sequence b · chunks + c; less than a chunk of rows is left over at the end.
  const rows = batch === 1 || chunks * length === time
    ? packed
    : engine.allocate(engine.dtype, batch * chunks * length * width);
  if (rows !== packed) {
    const used = chunks * length * width;
    engine.copy(packed, rows, {
      fromStart: 0,
      fromStride: time * width,
      toStart: 0,
      toStride: used,
      width: used,
      rows: batch,
    });
  }
  const start = engine.upload(startVectors(state, vectors, batch * chunks, seed), "vectors");
  const from = engine.upload(Float32Array.of(skip), "the first step that counts");
  const transition = { kind: "sequential", scale: 0, clip: Infinity } as const;
  const job = {
    program: growth,
    transition,
    params: [...params, from],
    xs: rows,
    h0: start,
    batch: batch * chunks,
    time: length,
  };
  const grown = runProgram(engine, job);
  const last = rowAt(engine, grown, length - 1, batch * chunks, length, growth.state);
  for (const memory of new Set([packed, rows, start, from, grown])) engine.free(memory);
  const ends = await engine.read(last);
  engine.free(last);
  const slopes = each((b) =>
    Array.from({ length: vectors }, (_, k) => {
      let sum = 0;
      for (let c = 0; c < chunks; c++) sum += ends[(b * chunks + c) * growth.state + vectors * state + k]!;
      return sum / (chunks * (length - skip));
    })
  );
  return {
    exponents: slopes.map((some) => some.reduce((a, b) => a + b, 0) / vectors),
    spread: slopes.map((some) => Math.max(...some) - Math.min(...some)),
  };
}

/** The same random vectors of length 1 for every sequence, and sums of 0. */
function startVectors(state: number, vectors: number, sequences: number, seed: number): Float64Array {
  const random = createRandom(seed);
  const one = new Float64Array(vectors * (state + 1));
  for (let k = 0; k < vectors; k++) {
    const v = Float64Array.from({ length: state }, () => random.normal());
    const norm = Math.hypot(...v);
    one.set(v.map((value) => value / norm), k * state);
  }
  const all = new Float64Array(sequences * one.length);
  for (let s = 0; s < sequences; s++) all.set(one, s * one.length);
  return all;
}
