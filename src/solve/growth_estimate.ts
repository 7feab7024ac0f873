import { createRandom } from "../core/random.ts";
import type { Engine } from "../engine/engine.ts";
import { topological } from "../trace/graph.ts";
import { GONE, growthOf } from "../trace/growth.ts";
import { packedRows } from "../trace/packed_rows.ts";
import type { StepProgram } from "../trace/program.ts";
import type { SolvedJob } from "./adjoint.ts";
import { rowAt, runProgram } from "./run_program.ts";

/** The largest Lyapunov exponent along a trajectory. */
export interface LyapunovEstimate {
  /** Per sequence: the mean growth `log |J v| / |v|` of a step, over the vectors; -Infinity where they are lost, J v = 0. */
  readonly exponents: readonly number[];
  /** Per sequence: largest minus smallest of the vectors; what has not settled yet. */
  readonly spread: readonly number[];
}

/** A trajectory and what it belongs to. */
export type Trajectory = Omit<SolvedJob, "device">;

/** Steps of a chunk on an engine that runs chunks side by side, and at most how many there are. */
const CHUNK_STEPS = 1024;
const MOST_CHUNKS = 256;
/** Steps in which vectors turn to the direction of the largest growth: they are left out. */
const TURNING_STEPS = 64;

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

/** Carries `vectors` random vectors along a trajectory, and waits for how they have grown. */
export async function estimateGrowth(
  engine: Engine,
  { program, params, xs, h0, ys, batch, time }: Trajectory,
  vectors: number,
  seed: number,
): Promise<LyapunovEstimate> {
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
  engine.map({
    program: packedRows([{ size: state, shift: 1 }, ...(xs === null ? [] : [{ size: input }])]),
    params: [],
    inputs,
    outputs: [packed],
    batch,
    time,
  });
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
  const ends = await engine.read(last).finally(() => engine.free(last));
  const slopes = each((b) =>
    Array.from({ length: vectors }, (_, k) => {
      let sum = 0;
      for (let c = 0; c < chunks; c++) sum += ends[(b * chunks + c) * growth.state + vectors * state + k]!;
      return sum <= GONE / 2 ? -Infinity : sum / (chunks * (length - skip));
    })
  );
  const spreadOf = (some: readonly number[]): number => {
    const [least, most] = [Math.min(...some), Math.max(...some)];
    return most === least ? 0 : most - least;
  };
  return {
    exponents: slopes.map((some) => some.reduce((a, b) => a + b, 0) / vectors),
    spread: slopes.map(spreadOf),
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
