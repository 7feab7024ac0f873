/** What a run found, as data and as text. */

import { type Device, explainResult, type MethodName, type SolveResult } from "@cervid/cervid";
import type { Measurement } from "./measure.ts";
import { HELD_OUT_FROM, type PredictionError, RATE_HZ } from "./record.ts";
import { formatCount, formatLarge, formatMs, formatSmall, formatTable, wrapText } from "./table.ts";

/** What a run found; `--json` prints it. */
export interface Report {
  readonly device: Pick<Device, "backend" | "dtype" | "description">;
  /** T */
  readonly time: number;
  /** D */
  readonly state: number;
  readonly trained: boolean;
  readonly methods: readonly MethodReport[];
  /** null where the GRU is not trained. */
  readonly prediction: PredictionReport | null;
  /** The path of the figure. */
  readonly figure: string;
}

/** One method. */
export interface MethodReport {
  readonly method: MethodName;
  /** The method that ran: another one than `method` for `auto`, for this reason. */
  readonly ran: MethodName;
  readonly reason?: string;
  readonly result: SolveResult;
  readonly ms: number;
  readonly runs: number;
  readonly sweeps: number;
  /** The largest update of each sweep, in tolerances. */
  readonly residuals: readonly number[];
  /** From the sequential answer; null where a state is not finite. */
  readonly maxDeviation: number | null;
  /** Of the next sample, with the states of this method; null where the GRU is not trained. */
  readonly rmseMv: number | null;
}

/** How well the next sample is predicted, in mV. */
export interface PredictionReport {
  /** Whose states were used. */
  readonly method: MethodName;
  readonly rmseMv: PredictionError;
  /** Over the samples that training did not see; null where there are none. */
  readonly heldOutRmseMv: PredictionError | null;
}

/** A measurement as the report tells it. */
export function reportMethod(measurement: Measurement, prediction: PredictionReport | null): MethodReport {
  const { method, result, ms, runs, maxDeviation, stats } = measurement;
  return {
    method,
    ran: stats.method,
    ...(stats.reason === undefined ? {} : { reason: stats.reason }),
    result,
    ms,
    runs,
    sweeps: stats.sweeps,
    residuals: stats.residuals,
    maxDeviation: Number.isFinite(maxDeviation) ? maxDeviation : null,
    rmseMv: prediction?.rmseMv.gru ?? null,
  };
}

/** The report for people. */
export function describeReport(report: Report): string {
  const { device, time, state, trained, methods, figure } = report;
  return [
    "A GRU reads an electrocardiogram, in parallel over time",
    "",
    `Device  ${device.description}`,
    `Signal  T = ${formatCount(time)} samples of MIT-BIH record 208, ${(time / RATE_HZ).toFixed(1)} s at ${RATE_HZ} Hz`,
    `Model   GRU, D = ${state} states, ${trained ? "trained to predict the next sample" : "not trained"}`,
    "",
    describeMethods(methods),
    "",
    "time       one solve, from inputs on the device to the trajectory: median of the runs, warm",
    "deviation  largest |h - h of sequential| over all samples and states",
    ...describeExceptions(methods),
    "",
    describePrediction(report),
    ...(device.backend === "cpu" ? ["", wrapText(CPU_NOTE)] : []),
    "",
    `Figure  ${figure}`,
  ].join("\n");
}

const CPU_NOTE = "On the CPU engine, one thread does everything: a method that is parallel in time costs its sweeps " +
  "times the work of a sweep, and the sequential loop is expected to win. What this run shows is how few sweeps are " +
  "needed, and that the answers agree.";

/** What the words in the last column mean, where they say more than "successful"; and what `auto` chose. */
function describeExceptions(methods: readonly MethodReport[]): string[] {
  const lines = methods.flatMap(({ method, ran, reason, result, sweeps, residuals }) => {
    if (reason !== undefined) return [`${method} is ${ran}: ${reason}`];
    if (result === "successful") return [];
    if (result !== "max-sweeps-reached") return [`${method}: ${explainResult(result)}`];
    const last = formatLarge(residuals.at(-1) ?? NaN);
    return [
      `${method} was cut off after ${sweeps} sweeps (--max-sweeps), the last of which changed h by ${last} tolerances.`,
    ];
  });
  return lines.length === 0 ? [] : ["", ...lines.map((line) => wrapText(line))];
}

function describeMethods(methods: readonly MethodReport[]): string {
  const columns = [
    { title: "method", left: true },
    { title: "time (ms)" },
    { title: "runs" },
    { title: "sweeps" },
    { title: "ms/sweep" },
    { title: "deviation" },
    { title: "result", left: true },
  ];
  return formatTable(
    columns,
    methods.map(({ method, ran, result, ms, runs, sweeps, maxDeviation }) => [
      method,
      formatMs(ms),
      String(runs),
      sweeps === 0 ? "-" : String(sweeps),
      sweeps === 0 ? "-" : formatMs(ms / sweeps),
      ran === "sequential" ? "-" : maxDeviation === null ? "not finite" : formatSmall(maxDeviation),
      result,
    ]),
  );
}

function describePrediction({ prediction }: Report): string {
  if (prediction === null) {
    return "The GRU is not trained: an error of its prediction would mean nothing, and none is shown.";
  }
  const { method, rmseMv, heldOutRmseMv } = prediction;
  const pair = (error: PredictionError): string =>
    `${error.gru.toFixed(4)} mV, last value repeated ${error.lastValue.toFixed(4)} mV`;
  const lines = [`RMSE of the next sample (states of ${method}): ${pair(rmseMv)}`];
  if (heldOutRmseMv !== null) {
    lines.push(`  held out from training, from sample ${formatCount(HELD_OUT_FROM)} on: ${pair(heldOutRmseMv)}`);
  }
  return lines.join("\n");
}
