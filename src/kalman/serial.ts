import type { Memory } from "../engine/engine.ts";
import { runProgram } from "../solve/run_program.ts";
import type { StepProgram } from "../trace/program.ts";
import { startRows } from "./filter_pullback.ts";
import type { KalmanJob } from "./job.ts";
import { type Filtered, smoothBy, type States, sumRows } from "./parallel.ts";
import { filterStep, smootherStep } from "./programs.ts";

const SEQUENTIAL = { kind: "sequential", scale: 0, clip: Infinity } as const;

/** The trajectory of a step from states `(B, state)`, which are freed. */
function fold(job: KalmanJob, program: StepProgram, xs: Memory, h0: Memory): Memory {
  const { engine, batch, time } = job;
  const params = job.paramsOf(program);
  const ys = job.own(runProgram(engine, { program, transition: SEQUENTIAL, params, xs, h0, batch, time }));
  job.free(h0);
  return ys;
}

/** Columns of `(B T, stride)` as an array of their own. */
function columns(job: KalmanJob, from: Memory, stride: number, first: number, width: number): Memory {
  const { engine, batch, time } = job;
  const out = job.allocate(width, "columns");
  const rows = { fromStart: first, fromStride: stride, toStart: 0, toStride: width, width, rows: batch * time };
  engine.copy(from, out, rows);
  return out;
}

/** The filter step after step. */
export function filterSerial(job: KalmanJob): Filtered {
  const program = filterStep(job.layout);
  const { states: n } = job.layout;
  const trajectory = fold(job, program, job.rows, startRows(job.engine, job, (memory) => job.own(memory)));
  const means = columns(job, trajectory, program.state, 0, n);
  const covariances = columns(job, trajectory, program.state, n, n * n);
  const logLik = sumRows(job, columns(job, trajectory, program.state, n + n * n, 1));
  job.free(trajectory);
  return { means, covariances, logLik };
}

/** The smoother step after step, backward: sequences and their steps lie in reverse. */
export function smoothSerial(job: KalmanJob, filtered: States, share: number): States {
  const { engine, batch, time, layout } = job;
  const { states: n, width } = layout;
  const program = smootherStep(layout, share);
  const rows = batch * time;
  const { input, state } = program;
  const xs = job.allocate(input, "rows in reverse");
  const put = (from: Memory, row: number, toStart: number, width: number): void => {
    // A first row has none before it, but what it leads to is not asked for.
    if (row < 0) return;
    engine.copy(from, xs, {
      fromStart: row * width,
      fromStride: -width,
      toStart,
      toStride: input,
      width,
      rows: row + 1,
    });
  };
  put(filtered.covariances, rows - 1, 0, n * n);
  put(filtered.covariances, rows - 2, n * n, n * n);
  put(job.rows, rows - 1, 2 * n * n, width);
  const nothing = job.own(engine.upload(new Float32Array(batch * state), "nothing"));
  const backward = fold(job, program, xs, nothing);
  job.free(xs);
  const future = job.allocate(state, "the future");
  const reversed = { fromStart: (rows - 1) * state, fromStride: -state, toStart: 0, toStride: state };
  if (rows > 0) engine.copy(backward, future, { ...reversed, width: state, rows });
  job.free(backward);
  return smoothBy(job, filtered, share, future, state);
}
