import type { Engine, Memory } from "../engine/engine.ts";
import { type Operator, operatorProgram } from "../scan/define_operator.ts";
import type { RowOutput, RowProgram } from "../trace/rows.ts";
import { filterOperator, smootherOperator } from "./elements.ts";
import type { KalmanJob } from "./job.ts";
import { filterElements, logLikelihoods, smootherElements } from "./programs.ts";

/** Normal states at all steps. */
export interface States {
  /** `(B, T, D)` */
  readonly means: Memory;
  /** `(B, T, D, D)` */
  readonly covariances: Memory;
}

/** Filtered states, and how likely the measurements are. */
export interface Filtered extends States {
  /** `(B)` */
  readonly logLik: Memory;
}

/** Arrays by the names that a program gives them. */
type Arrays = Readonly<Record<string, Memory>>;

const byPath = ({ outputs }: RowProgram, make: (output: RowOutput) => Memory): Arrays =>
  Object.fromEntries(outputs.map((output) => [output.path, make(output)]));

/** The outputs of a map over all rows. */
function mapRows(job: KalmanJob, program: RowProgram, inputs: Arrays, label: string): Arrays {
  const { engine, batch, time } = job;
  const params = job.paramsOf(program);
  const outputs = byPath(program, ({ node }) => job.allocate(node.size, label));
  const given = program.inputs.map(({ path }) => ({ memory: inputs[path]!, start: null }));
  engine.map({ program, params, inputs: given, outputs: Object.values(outputs), batch, time });
  return outputs;
}

/** All prefixes of elements, whose memory is freed. */
function scanElements(job: KalmanJob, operator: Operator, elements: Arrays, reverse: boolean): Arrays {
  const { engine, batch, time } = job;
  const program = operatorProgram(operator);
  const inputs = program.outputs.map(({ path }) => elements[path]!);
  const outputs = byPath(program, ({ node }) => job.allocate(node.size, "prefixes"));
  engine.scanWith({ program, params: [], inputs, outputs: Object.values(outputs), batch, time, reverse });
  job.free(...inputs);
  return outputs;
}

/** `(B)` from `(B, T)`. */
export function sumRows(job: KalmanJob, rows: Memory): Memory {
  const { engine, batch, time } = job;
  const out = job.own(engine.allocate(engine.dtype, batch, "the log-likelihood of a Kalman filter"));
  engine.reduce({ op: "sum", input: rows, out, outer: batch, length: time, inner: 1 });
  job.free(rows);
  return out;
}

/** The filter as a scan over the elements of all steps. */
export function filterParallel(job: KalmanJob): Filtered {
  const { layout, rows } = job;
  const elements = mapRows(job, filterElements(layout), { row: rows }, "elements");
  const { mean, covariance, rest } = scanElements(job, filterOperator(layout.states), elements, false);
  job.free(rest!);
  const states = { mean: mean!, covariance: covariance! };
  const { value } = mapRows(job, logLikelihoods(layout), { ...states, row: rows }, "log-likelihoods");
  return { means: mean!, covariances: covariance!, logLik: sumRows(job, value!) };
}

/** The elements of the last steps, which nothing follows: they are as they were filtered, E = 0. */
function endElements(job: KalmanJob, states: Arrays, elements: Arrays): void {
  const { engine, batch, time, layout: { states: n } } = job;
  if (time === 0) return;
  const zeros = job.own(engine.upload(new Float32Array(n * n), "zeros"));
  for (const [path, width] of [["mean", n], ["covariance", n * n], ["matrix", n * n]] as const) {
    const to = { toStart: (time - 1) * width, toStride: time * width, width, rows: batch };
    const from = states[path];
    if (from === undefined) engine.copy(zeros, elements[path]!, { ...to, fromStart: 0, fromStride: 0 });
    else engine.copy(from, elements[path]!, { ...to, fromStart: to.toStart, fromStride: to.toStride });
  }
  job.free(zeros);
}

/** The smoother as a scan backward over the elements of filtered states. */
export function smoothParallel(job: KalmanJob, { means, covariances }: States): States {
  const { engine, layout, rows } = job;
  const states = { mean: means, covariance: covariances };
  const elements = mapRows(job, smootherElements(layout, ridgeOf(engine)), { ...states, next: rows }, "elements");
  endElements(job, states, elements);
  const { mean, covariance, matrix } = scanElements(job, smootherOperator(layout.states), elements, true);
  job.free(matrix!);
  return { means: mean!, covariances: covariance! };
}

/** By how much the diagonal of a predicted covariance is raised to be inverted: about its rounding. */
export function ridgeOf({ dtype }: Engine): number {
  return 4 * (dtype === "f32" ? 2 ** -23 : 2 ** -52);
}
