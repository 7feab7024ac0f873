/** The figure of the ECG example: the prediction, the update by sweep, the error over time by sweep. */

import type { MethodName } from "@cervid/cervid";
import {
  type Box,
  drawAxes,
  drawLegend,
  drawSeries,
  INK,
  linearScale,
  MUTED,
  type Range,
  type Scale,
  type Style,
} from "./chart.ts";
import { drawErrors, drawUpdates, ERRORS } from "./convergence_panels.ts";
import type { Convergence } from "./measure.ts";
import { RATE_HZ } from "./record.ts";
import { type Point, svgDocument, text } from "./svg.ts";

/** What the figure shows. */
export interface FigureData {
  readonly subtitle: string;
  /** The first sample of the part that is shown. */
  readonly from: number;
  /** That part, in mV. */
  readonly samples: ArrayLike<number>;
  /** Predictions of these samples, in mV, and the samples before each; absent where the GRU is not trained. */
  readonly prediction?: { readonly gru: ArrayLike<number>; readonly lastValue: ArrayLike<number> };
  /** The updates by sweep, in tolerances, of solves of the entire signal. */
  readonly updates: readonly { readonly method: MethodName; readonly residuals: readonly number[] }[];
  /** Errors by sweep over the part that is shown. */
  readonly convergence: readonly Convergence[];
  readonly dtype: "f32" | "f64";
}

const SIZE = { width: 1200, height: 1000 };
const SIGNAL: Box = { x: 88, y: 150, width: 1064, height: 210 };
const ERROR: Box = { x: 88, y: 376, width: 1064, height: 104 };

const SIGNAL_STYLE: Style = { color: "#c3cad3", width: 5 };
const LAST_VALUE_STYLE: Style = { color: "#e69f00", width: 1.25 };
const PREDICTION_STYLE: Style = { color: "#0072b2", width: 1.5 };

/** The figure as the text of an SVG file. */
export function drawEcgFigure(data: FigureData): string {
  const title = "A GRU reads an electrocardiogram, in parallel over time";
  return svgDocument(
    SIZE,
    { title, description: `${data.subtitle}. Signal and prediction, update by sweep, error over time by sweep.` },
    text(32, 48, title, { "font-size": 24, "font-weight": 700, fill: INK }),
    text(32, 74, data.subtitle, { "font-size": 14, fill: MUTED }),
    drawSignal(data),
    drawUpdates(data.updates),
    drawErrors(data, timeScale(data, ERRORS, 4)),
  );
}

function timeScale({ from, samples }: FigureData, { x, width }: Box, count: number): Scale {
  return linearScale([from / RATE_HZ, (from + samples.length) / RATE_HZ], [x, x + width], count);
}

function extent(...series: readonly ArrayLike<number>[]): Range {
  let [low, high] = [Infinity, -Infinity];
  for (const values of series) {
    for (let i = 0; i < values.length; i++) {
      low = Math.min(low, values[i]!);
      high = Math.max(high, values[i]!);
    }
  }
  const margin = (high - low) * 0.06 || 1;
  return [low - margin, high + margin];
}

function drawSignal(data: FigureData): string {
  const { from, samples, prediction } = data;
  const time = timeScale(data, SIGNAL, 9);
  const curve = (values: ArrayLike<number>, y: Scale): Point[] =>
    Array.from(values, (value, i): Point => [time.at((from + i) / RATE_HZ), y.at(value)]);
  const vertical = ({ y, height }: Box): Range => [y + height, y];
  const box = prediction ? SIGNAL : { ...SIGNAL, height: ERROR.y + ERROR.height - SIGNAL.y };
  const mv = linearScale(extent(samples, prediction?.gru ?? []), vertical(box), 5);
  const x = "time in the record (s)";
  const title = prediction ? "Each sample, predicted from those before it" : "The signal";
  const signal = { label: "ECG, lead MLII", style: SIGNAL_STYLE };
  if (prediction === undefined) {
    const style = { color: INK, width: 1.5 };
    return [
      drawAxes(box, time, mv, { x, y: "ECG (mV)", title }),
      drawLegend([box.x, box.y - 12], [{ ...signal, style }]),
      drawSeries(curve(samples, mv), style),
    ].join("\n");
  }
  const errorOf = (predicted: ArrayLike<number>): Float64Array =>
    Float64Array.from(samples, (value, i) => predicted[i]! - value);
  const [error, errorOfLast] = [errorOf(prediction.gru), errorOf(prediction.lastValue)];
  const errorMv = linearScale(extent(error, errorOfLast), vertical(ERROR), 3);
  return [
    drawAxes(box, time, mv, { y: "ECG (mV)", title }),
    drawLegend([box.x, box.y - 12], [
      signal,
      { label: "prediction by the GRU", style: PREDICTION_STYLE },
      { label: "last value repeated (its error only)", style: LAST_VALUE_STYLE },
    ]),
    drawSeries(curve(samples, mv), SIGNAL_STYLE),
    drawSeries(curve(prediction.gru, mv), PREDICTION_STYLE),
    drawAxes(ERROR, time, errorMv, { x, y: "error (mV)" }),
    drawSeries(curve(errorOfLast, errorMv), LAST_VALUE_STYLE),
    drawSeries(curve(error, errorMv), PREDICTION_STYLE),
  ].join("\n");
}
