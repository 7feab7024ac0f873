/**
 * Reads five minutes of an electrocardiogram with a GRU: 108,000 steps of a recurrence, one after the other and in
 * parallel over time, by several methods. Prints what each took and how far it is from the sequential answer, and draws
 * a figure.
 *
 *     deno task demo
 *     deno task demo --help
 */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Device, type MethodName, openDevice, type Problem } from "@cervid/cervid";
import { drawEcgFigure } from "./lib/ecg_figure.ts";
import { type Options, parseFlags, USAGE } from "./lib/flags.ts";
import { runMain } from "./lib/main.ts";
import { type Measurement, measureMethod, observeConvergence, prepareWorkload } from "./lib/measure.ts";
import { createProgressBar } from "./lib/progress.ts";
import { writeFigure } from "./lib/output_files.ts";
import {
  HELD_OUT_FROM,
  measurePrediction,
  type Model,
  normalise,
  predictNext,
  RATE_HZ,
  readModel,
  readSamples,
  type Samples,
} from "./lib/record.ts";
import { describeReport, type PredictionReport, type Report, reportMethod } from "./lib/report.ts";
import { formatCount } from "./lib/table.ts";

/** The part that the figure shows: four seconds of the held-out samples. */
const SHOWN = { from: 246 * RATE_HZ, length: 4 * RATE_HZ };
/** The methods whose iterates the figure shows. */
const OBSERVED: readonly MethodName[] = ["deer", "quasi-deer"];
const FIGURE = fileURLToPath(new URL("out/ecg.svg", import.meta.url));

async function run(options: Options): Promise<void> {
  const { methods, maxSweeps } = options;
  const figure = options.svg === undefined ? FIGURE : resolve(options.svg);
  const samples = await readSamples(options.length);
  await writeFigure(figure); // fails before the work, not after it
  await using device = await openDevice({ backend: options.backend, dtype: options.dtype });
  const model = await readModel(device, options.hidden, options.seed);
  const xs = { data: normalise(samples, model), shape: [samples.length, 1] };
  const workload = prepareWorkload(device, model.cell, { params: model.params, xs });

  const bar = createProgressBar();
  const sequential = await measureMethod(workload, "sequential", maxSweeps, bar);
  const measured: Measurement[] = [];
  for (const method of methods) {
    measured.push(
      method === "sequential" ? sequential : await measureMethod(workload, method, maxSweeps, bar, sequential.states),
    );
  }
  // A method that is parallel in time, so that its states are seen to predict as well.
  const best = measured.find(({ stats, result }) => stats.sweeps > 0 && result === "successful") ?? sequential;
  await writeFigure(figure, await drawFigure(device, model, samples, { sequential, measured, best }));

  const { backend, dtype, description } = device;
  const report: Report = {
    device: { backend, dtype, description },
    time: samples.length,
    state: options.hidden,
    trained: model.readout !== undefined,
    methods: measured.map((measurement) => reportMethod(measurement, reportPrediction(model, samples, measurement))),
    prediction: reportPrediction(model, samples, best),
    figure,
  };
  console.log(options.json ? JSON.stringify(report, null, 2) : describeReport(report));
}

function reportPrediction(model: Model, samples: Samples, { method, states }: Measurement): PredictionReport | null {
  if (model.readout === undefined) return null;
  const predicted = predictNext(model, samples, states);
  const heldOut = samples.length > HELD_OUT_FROM ? measurePrediction(samples, predicted, HELD_OUT_FROM) : null;
  return { method, rmseMv: measurePrediction(samples, predicted), heldOutRmseMv: heldOut };
}

async function drawFigure(
  device: Device,
  model: Model,
  samples: Samples,
  { sequential, measured, best }: {
    readonly sequential: Measurement;
    readonly measured: readonly Measurement[];
    readonly best: Measurement;
  },
): Promise<string> {
  const { cell, params } = model;
  const { dtype } = device;
  const length = Math.min(SHOWN.length, samples.length - 1);
  const from = Math.min(SHOWN.from, samples.length - length);
  const part = samples.subarray(from, from + length);
  const exact = sequential.states.subarray(from * cell.state, (from + length) * cell.state);
  // The part begins with the state that the samples before it have led to.
  const h0 = { data: sequential.states.slice((from - 1) * cell.state, from * cell.state), shape: [cell.state] };
  const problem: Problem = { params, xs: { data: normalise(part, model), shape: [length, 1] }, h0 };
  const convergence = [];
  for (const method of OBSERVED) {
    convergence.push(await observeConvergence(cell, problem, method, exact, { device, maxSweeps: 60 }));
  }
  const before = from - 1;
  const predicted = model.readout && predictNext(model, samples, best.states).subarray(before, before + length);
  const prediction = predicted && { gru: predicted, lastValue: samples.subarray(before, before + length) };
  return drawEcgFigure({
    subtitle: `T = ${formatCount(samples.length)} samples of MIT-BIH record 208 at ${RATE_HZ} Hz, D = ${cell.state} ` +
      `states${prediction ? `, prediction with the states of ${best.method}` : ", not trained"}, ${dtype}`,
    from,
    samples: part,
    ...(prediction ? { prediction } : {}),
    updates: measured.filter(({ stats }) => stats.sweeps > 0)
      .map(({ method, stats: { residuals } }) => ({ method, residuals })),
    convergence,
    dtype,
  });
}

if (import.meta.main) await runMain({ parse: parseFlags, usage: USAGE, run, name: "the demo" });
