/**
 * The flow of the Nile from 1871 to 1970, decades of which are taken away: its level is filtered and smoothed, step after
 * step and in parallel over time. Then five minutes of an electrocardiogram with noise added to it, the model chosen by the
 * likelihood. Prints levels, times and errors, and draws a figure.
 *
 *     deno run -A examples/kalman.ts
 *     deno run -A examples/kalman.ts --help
 */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Device, openDevice } from "@cervid/cervid";
import { denoise, type Denoised } from "./lib/denoise.ts";
import { drawKalmanFigure } from "./lib/kalman_figure.ts";
import { KALMAN_USAGE, type KalmanFlags, parseKalmanFlags } from "./lib/kalman_flags.ts";
import { runMain } from "./lib/main.ts";
import { FIRST_YEAR, measureNile, nileModel } from "./lib/nile.ts";
import { writeFigure } from "./lib/output_files.ts";
import { RATE_HZ, readSamples } from "./lib/record.ts";
import { type Smoothed, smoothSeries } from "./lib/smooth_series.ts";
import { formatCount, formatMs, formatSmall, formatTable, wrapText } from "./lib/table.ts";

const FIGURE = fileURLToPath(new URL("out/kalman.svg", import.meta.url));

/** What a run found; `--json` prints it, the electrocardiogram without its samples. */
interface Report {
  readonly device: Pick<Device, "backend" | "dtype" | "description">;
  readonly nile: Smoothed & { readonly model: string; readonly years: number; readonly missing: number };
  /** null where it was left out. */
  readonly ecg:
    | Omit<Denoised, "noisy" | "filtered" | "smoothed"> & { readonly time: number; readonly noise: number }
    | null;
  /** The path of the figure. */
  readonly figure: string;
}

async function run(options: KalmanFlags): Promise<void> {
  const figure = options.svg === undefined ? FIGURE : resolve(options.svg);
  await writeFigure(figure); // fails before the work, not after it
  const samples = await readSamples(options.length);
  await using device = await openDevice({ backend: options.backend, dtype: options.dtype });
  const ys = measureNile(options.gaps);
  const nile = await smoothSeries(device, nileModel(options.model), ys);
  const ecg = samples.length === 0 ? null : await denoise(device, samples, options.noise, options.seed);
  const { backend, dtype, description } = device;
  const missing = Array.from(ys.data).filter(Number.isNaN).length;
  const subtitle =
    `The model of the Nile is a local ${options.model}, ${missing} of ${ys.data.length} years are missing` +
    `${ecg === null ? "" : `; ${formatCount(samples.length)} samples of MIT-BIH record 208`}; ${backend}, ${dtype}`;
  await writeFigure(
    figure,
    drawKalmanFigure({ subtitle, flows: ys.data, nile, ...(ecg && { ecg: { samples, found: ecg } }) }),
  );
  const report: Report = {
    device: { backend, dtype, description },
    nile: { ...nile, model: options.model, years: ys.data.length, missing },
    ecg: ecg && summarise(ecg, options.noise),
    figure,
  };
  console.log(options.json ? JSON.stringify(report, null, 2) : describeReport(report));
}

function summarise(
  { noisy, filtered: _filtered, smoothed: _smoothed, ...rest }: Denoised,
  noise: number,
): Report["ecg"] {
  return { ...rest, time: noisy.length, noise };
}

const CPU_NOTE =
  "On the CPU engine one thread does everything: the scan combines elements at about twice the work of " +
  "Kalman's recursion, which is expected to win. What this run shows is that the answers agree.";

/** In standard deviations: what nobody would see in a figure. */
const MOST_DEVIATION = 0.01;

const DIGITS_NOTE =
  "The answers are further apart than 0.01 standard deviations: the digits of this dtype are too few for this model, and " +
  "neither is to be trusted. --backend cpu computes in double precision.";

function describeReport({ device, nile, ecg, figure }: Report): string {
  const level = ({ mean, sd }: Smoothed["filtered"][number]): string => `${mean.toFixed(0)} ± ${sd.toFixed(0)}`;
  const years = [0, 9, 19, 29, 39, 49, 59, 69, 79, 89, 99].map((t) => [
    String(FIRST_YEAR + t),
    level(nile.filtered[t]!),
    level(nile.smoothed[t]!),
  ]);
  const timing = (
    name: string,
    time: number,
    { serialMs, parallelMs, maxDeviation }: Omit<Smoothed, "filtered" | "smoothed">,
  ) => [
    name,
    formatCount(time),
    formatMs(serialMs),
    formatMs(parallelMs),
    formatSmall(maxDeviation),
  ];
  const worst = Math.max(nile.maxDeviation, ecg?.maxDeviation ?? 0);
  return [
    "Kalman's filter and smoother, step after step and in parallel over time",
    "",
    `Device  ${device.description}`,
    `Nile    annual flow in 10⁸ m³, ${nile.missing} of ${nile.years} years missing; a local ${nile.model}`,
    `        log-likelihood ${nile.logLik.toFixed(2)}`,
    "",
    formatTable([{ title: "year" }, { title: "filtered" }, { title: "smoothed" }], years),
    "",
    ...(ecg === null ? [] : [...describeEcg(ecg), ""]),
    formatTable(
      [{ title: "series", left: true }, { title: "T" }, { title: "serial (ms)" }, { title: "parallel (ms)" }, {
        title: "deviation",
      }],
      [timing("Nile", nile.years, nile), ...(ecg === null ? [] : [timing("ECG", ecg.time, ecg)])],
    ),
    "",
    "time       filter and smoother, from arrays in host memory to levels there, warm",
    "deviation  the largest difference of the smoothed levels, in their standard deviations",
    ...(device.backend === "cpu" ? ["", wrapText(CPU_NOTE)] : []),
    ...(worst <= MOST_DEVIATION ? [] : ["", wrapText(DIGITS_NOTE)]),
    "",
    `Figure  ${figure}`,
  ].join("\n");
}

function describeEcg({ time, noise, tried, slopeWander, rmseMv }: NonNullable<Report["ecg"]>): string[] {
  const mv = (value: number): string => value.toFixed(4);
  return [
    `ECG     T = ${formatCount(time)} samples of MIT-BIH record 208, ${
      (time / RATE_HZ).toFixed(1)
    } s at ${RATE_HZ} Hz, with ` +
    `noise of ${noise} mV`,
    `        a local trend; log-likelihood by how much its slope may change:`,
    ...tried.map((one) =>
      `          ${one.slopeWander.toExponential(0).padStart(5)} mV²  ${one.logLik.toFixed(0).padStart(9)}` +
      `${one.slopeWander === slopeWander ? "  taken" : ""}`
    ),
    `        RMSE from the samples without noise: ${mv(rmseMv.noisy)} mV, filtered ${
      mv(rmseMv.filtered)
    } mV, smoothed ` +
    `${mv(rmseMv.smoothed)} mV`,
  ];
}

if (import.meta.main) await runMain({ parse: parseKalmanFlags, usage: KALMAN_USAGE, run });
