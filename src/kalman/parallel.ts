import type { Engine, Memory } from "../engine/engine.ts";
import { type Operator, operatorProgram } from "../scan/define_operator.ts";
import type { RowOutput, RowProgram } from "../trace/rows.ts";
import { filterOperator, smootherOperator } from "./elements.ts";
import type { KalmanJob } from "./job.ts";
import { filterElements, logLikelihoods, smoothedStates, smootherElements } from "./programs.ts";

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

/** The smoother as a scan backward over elements of what is to come. */
export function smoothParallel(job: KalmanJob, filtered: States, share: number): States {
  const { layout, layout: { states: n }, rows } = job;
  const { covariances } = filtered;
  const inputs = { covariance: covariances, before: covariances, row: rows };
  const elements = mapRows(job, smootherElements(layout, share), inputs, "elements");
  const { mean, covariance, rest } = scanElements(job, smootherOperator(n), elements, true);
  job.free(mean!, covariance!);
  return smoothBy(job, filtered, share, rest!, 2 * n * n + n);
}

/** The smoothed states, from the filtered ones and what is known from each row on, `(B, T, width)`, which is freed. */
export function smoothBy(job: KalmanJob, filtered: States, share: number, future: Memory, width: number): States {
  const inputs = { mean: filtered.means, covariance: filtered.covariances, future };
  const program = smoothedStates(job.layout.states, width, share);
  const { mean, covariance } = mapRows(job, program, inputs, "smoothed states");
  job.free(future);
  return { means: mean!, covariances: covariance! };
}

/** Which share of a filtered covariance is lent to what follows: about the root of the rounding. */
export function shareOf({ dtype }: Engine): number {
  return dtype === "f32" ? 2 ** -10 : 2 ** -20;
}
