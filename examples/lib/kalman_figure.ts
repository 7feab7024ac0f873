/** The figure of the Kalman example: the Nile with its level, and below it a part of the electrocardiogram. */

import {
  type Box,
  drawAxes,
  drawLegend,
  drawSeries,
  INK,
  linearScale,
  MUTED,
  type Scale,
  type Style,
} from "./chart.ts";
import type { Denoised } from "./denoise.ts";
import { FIRST_YEAR } from "./nile.ts";
import { RATE_HZ, type Samples } from "./record.ts";
import type { Known, Smoothed } from "./smooth_series.ts";
import { element, marker, type Point, svgDocument, text } from "./svg.ts";

/** What the figure shows. */
export interface KalmanFigure {
  readonly subtitle: string;
  /** The flows, NaN where they are missing. */
  readonly flows: ArrayLike<number>;
  readonly nile: Smoothed;
  /** Absent where there is no electrocardiogram. */
  readonly ecg?: { readonly samples: Samples; readonly found: Denoised };
}

const NILE_BOX: Box = { x: 88, y: 150, width: 1064, height: 330 };
const ECG_BOX: Box = { x: 88, y: 590, width: 1064, height: 300 };

const FLOW = "#5f6c7b";
const FILTERED: Style = { color: "#e69f00", width: 1.5 };
const SMOOTHED: Style = { color: "#0072b2", width: 2 };
const NOISY: Style = { color: "#c3cad3", width: 1 };
const TRUE: Style = { color: INK, width: 1 };
/** Samples of the electrocardiogram that are shown. */
const SHOWN = 2 * RATE_HZ;

/** The figure as the text of an SVG file. */
export function drawKalmanFigure(data: KalmanFigure): string {
  const title = "Kalman's filter and smoother, in parallel over time";
  const height = data.ecg === undefined ? 560 : 960;
  return svgDocument(
    { width: 1200, height },
    { title, description: `${data.subtitle}. Levels with bands of two standard deviations.` },
    text(32, 48, title, { "font-size": 24, "font-weight": 700, fill: INK }),
    text(32, 74, data.subtitle, { "font-size": 14, fill: MUTED }),
    drawNile(data),
    ...(data.ecg === undefined ? [] : [drawEcg(data.ecg.samples, data.ecg.found)]),
  );
}

const vertical = ({ y, height }: Box): [number, number] => [y + height, y];
const horizontal = ({ x, width }: Box): [number, number] => [x, x + width];

/** Two standard deviations on either side. */
function drawBand(levels: readonly Known[], x: (t: number) => number, y: Scale, color: string): string {
  const edge = (sign: number): Point[] => levels.map(({ mean, sd }, t): Point => [x(t), y.at(mean + 2 * sign * sd)]);
  const points = [...edge(1), ...edge(-1).reverse()].map((point) => point.map((v) => v.toFixed(2)).join(","));
  return element("polygon", { points: points.join(" "), fill: color, opacity: 0.15 });
}

const curve = (levels: readonly Known[], x: (t: number) => number, y: Scale): Point[] =>
  levels.map(({ mean }, t): Point => [x(t), y.at(mean)]);

function drawNile({ flows, nile }: KalmanFigure): string {
  const years = linearScale([FIRST_YEAR - 1, FIRST_YEAR + flows.length], horizontal(NILE_BOX), 10);
  const flow = linearScale([400, 1450], vertical(NILE_BOX), 6);
  const x = (t: number): number => years.at(FIRST_YEAR + t);
  const points = Array.from(flows, (value, t): Point => [x(t), flow.at(value)]);
  return [
    drawAxes(NILE_BOX, years, flow, { x: "year", y: "flow (10⁸ m³)", title: "The Nile at Aswan" }),
    drawLegend([NILE_BOX.x, NILE_BOX.y - 12], [
      { label: "flow", style: { color: FLOW, width: 0, shape: "circle" } },
      { label: "level given the years so far", style: FILTERED },
      { label: "level given all years, with two standard deviations", style: SMOOTHED },
    ]),
    drawBand(nile.smoothed, x, flow, SMOOTHED.color),
    ...points.filter(([, y]) => Number.isFinite(y)).map((point) => marker("circle", point, FLOW)),
    drawSeries(curve(nile.filtered, x, flow), FILTERED),
    drawSeries(curve(nile.smoothed, x, flow), SMOOTHED),
  ].join("\n");
}

function drawEcg(samples: Samples, { noisy, smoothed }: Denoised): string {
  const from = Math.max(0, Math.floor(samples.length / 2) - SHOWN);
  const length = Math.min(SHOWN, samples.length - from);
  const part = noisy.subarray(from, from + length);
  const [low, high] = [Math.min(...part), Math.max(...part)];
  const margin = (high - low) * 0.06 || 1;
  const time = linearScale([from / RATE_HZ, (from + length) / RATE_HZ], horizontal(ECG_BOX), 9);
  const mv = linearScale([low - margin, high + margin], vertical(ECG_BOX), 5);
  const x = (t: number): number => time.at((from + t) / RATE_HZ);
  const line = (values: ArrayLike<number>): Point[] => Array.from(values, (v, t): Point => [x(t), mv.at(v)]);
  const levels = smoothed.slice(from, from + length);
  return [
    drawAxes(ECG_BOX, time, mv, { x: "time in the record (s)", y: "ECG (mV)", title: "An electrocardiogram" }),
    drawLegend([ECG_BOX.x, ECG_BOX.y - 12], [
      { label: "with noise", style: NOISY },
      { label: "without", style: TRUE },
      { label: "smoothed, with two standard deviations", style: SMOOTHED },
    ]),
    drawSeries(line(part), NOISY),
    drawBand(levels, x, mv, SMOOTHED.color),
    drawSeries(curve(levels, x, mv), SMOOTHED),
    drawSeries(line(samples.subarray(from, from + length)), TRUE),
  ].join("\n");
}
