import type { Memory } from "../engine/engine.ts";
import { sizeOf } from "../core/shape.ts";
import { runProgram } from "../solve/run_program.ts";
import type { StepProgram } from "../trace/program.ts";
import type { KalmanJob } from "./job.ts";
import { type Filtered, ridgeOf, type States, sumRows } from "./parallel.ts";
import { dynamicsParts, filterStep, smootherStep } from "./programs.ts";

const SEQUENTIAL = { kind: "sequential", scale: 0, clip: Infinity } as const;

/** The trajectory of a step, from states `(B, state)` whose first words are those of the initial state. */
function fold(job: KalmanJob, program: StepProgram, xs: Memory): Memory {
  const { engine, fixed, batch, time, layout: { states: n } } = job;
  const h0 = job.own(engine.allocate(engine.dtype, batch * program.state, "the initial state"));
  // The last word, the log-likelihood of nothing, is never read.
  for (const [name, width, toStart] of [["initialMean", n, 0], ["initialCovariance", n * n, n]] as const) {
    const rows = { fromStart: 0, fromStride: 0, toStart, toStride: program.state, width, rows: batch };
    engine.copy(fixed[name]!, h0, rows);
  }
  const params = job.paramsOf(program);
  const ys = job.own(runProgram(engine, { program, transition: SEQUENTIAL, params, xs, h0, batch, time }));
  job.free(h0);
  return ys;
}

/** Columns of `(B T, stride)` as an array of their own, with `reverse` the last row first. */
function columns(job: KalmanJob, from: Memory, stride: number, first: number, width: number, reverse = false): Memory {
  const { engine, batch, time } = job;
  const rows = batch * time;
  const out = job.allocate(width, "columns");
  const [fromStart, fromStride] = reverse ? [(rows - 1) * stride + first, -stride] : [first, stride];
  engine.copy(from, out, { fromStart, fromStride, toStart: 0, toStride: width, width, rows });
  return out;
}

/** The filter step after step. */
export function filterSerial(job: KalmanJob): Filtered {
  const program = filterStep(job.layout);
  const { states: n } = job.layout;
  const trajectory = fold(job, program, job.rows);
  const means = columns(job, trajectory, program.state, 0, n);
  const covariances = columns(job, trajectory, program.state, n, n * n);
  const logLik = sumRows(job, columns(job, trajectory, program.state, n + n * n, 1));
  job.free(trajectory);
  return { means, covariances, logLik };
}

/** The smoother step after step, backward: sequences and their steps lie in reverse. */
export function smoothSerial(job: KalmanJob, { means, covariances }: States): States {
  const { engine, batch, time, layout } = job;
  const { states: n, width: stride } = layout;
  const program = smootherStep(layout, ridgeOf(engine));
  const rows = batch * time;
  const xs = job.allocate(program.input, "rows in reverse");
  const put = (
    from: Memory,
    fromStart: number,
    fromStride: number,
    toStart: number,
    width: number,
    rows: number,
  ): void =>
    engine.copy(from, xs, { fromStart, fromStride: -fromStride, toStart, toStride: program.input, width, rows });
  put(means, (rows - 1) * n, n, 0, n, rows);
  put(covariances, (rows - 1) * n * n, n * n, n, n * n, rows);
  let toStart = n + n * n;
  for (const { shape, offset } of dynamicsParts(layout)) {
    const size = sizeOf(shape);
    // What leads to a step stands with the one before it; of the last one, the first here, nothing is read.
    if (rows > 1) put(job.rows, (rows - 1) * stride + offset, stride, program.input + toStart, size, rows - 1);
    toStart += size;
  }
  const trajectory = fold(job, program, xs);
  job.free(xs);
  const smoothed = {
    means: columns(job, trajectory, program.state, 0, n, true),
    covariances: columns(job, trajectory, program.state, n, n * n, true),
  };
  job.free(trajectory);
  return smoothed;
}
