/** Curves of trainings: the loss, and below it sweeps or a measure, by step or epoch. */

import {
  type Box,
  drawAxes,
  drawLegend,
  drawSeries,
  INK,
  linearScale,
  logScale,
  MUTED,
  type Scale,
  type Style,
} from "./chart.ts";
import { type Point, svgDocument, text } from "./svg.ts";

/** A curve by its name: points in the order of their steps. */
export interface Curve {
  readonly label: string;
  readonly points: readonly { readonly step: number; readonly loss: number; readonly [measure: string]: number }[];
}

const WIDTH = 960;
const TOP: Box = { x: 88, y: 128, width: 832, height: 260 };
const GAP = 64;
const LOWER = 160;

// Okabe and Ito's colours, which people with any colour vision tell apart; dashes would hide noise.
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];
/** What is no measure. */
const OTHERS = ["step", "loss", "milliseconds", "sweeps"];

/** The figure as the text of an SVG file; `epoch` steps are one unit of the horizontal axis. */
export function drawCurves(title: string, curves: readonly Curve[], epoch: number): string {
  const names = new Set(curves.flatMap(({ points }) => points.flatMap((point) => Object.keys(point))));
  const panels = [...names].filter((name) => !OTHERS.includes(name));
  if (curves.some(({ points }) => points.some(({ sweeps = 0 }) => sweeps > 0))) panels.push("sweeps");
  const last = Math.max(epoch, ...curves.flatMap(({ points }) => points.map(({ step }) => step))) / epoch;
  const x = linearScale([0, last], [TOP.x, TOP.x + TOP.width], 8);
  const unit = epoch === 1 ? "step" : "epoch";
  const styles = curves.map((_, k): Style => ({ color: COLORS[k % COLORS.length]!, width: 2 }));
  const draw = (box: Box, name: string, log: boolean, isLast: boolean): string => {
    const values = curves.flatMap(({ points }) => points.map((point) => point[name]!)).filter(Number.isFinite);
    const y = verticalScale(values, box, log);
    const lines = curves.map(({ points }, k) => {
      const known = points.filter((point) => point[name] !== undefined);
      return drawSeries(known.map((point): Point => [x.at(point.step / epoch), y.at(point[name]!)]), styles[k]!, false);
    });
    return [drawAxes(box, x, y, { y: name, ...(isLast ? { x: unit } : {}) }), ...lines].join("\n");
  };
  const boxes = panels.map((_, k): Box => ({
    ...TOP,
    y: TOP.y + TOP.height + GAP / 2 + k * (LOWER + GAP / 2),
    height: LOWER,
  }));
  const height = TOP.y + TOP.height + panels.length * (LOWER + GAP / 2) + GAP;
  const losses = curves.flatMap(({ points }) => points.map(({ loss }) => loss)).filter((loss) => loss > 0);
  return svgDocument(
    { width: WIDTH, height },
    { title, description: `The loss${panels.map((name) => `, ${name}`).join("")} by ${unit}.` },
    text(32, 48, title, { "font-size": 22, "font-weight": 700, fill: INK }),
    text(32, 74, `by ${unit}${epoch === 1 ? "" : ` of ${epoch} steps`}`, { "font-size": 14, fill: MUTED }),
    curves.length > 1
      ? drawLegend([TOP.x, TOP.y - 16], curves.map(({ label }, k) => ({ label, style: styles[k]! })))
      : "",
    draw(TOP, "loss", losses.length > 0 && Math.max(...losses) > 20 * Math.min(...losses), panels.length === 0),
    ...panels.map((name, k) => draw(boxes[k]!, name, false, k === panels.length - 1)),
  );
}

function verticalScale(values: readonly number[], { y, height }: Box, log: boolean): Scale {
  const pixels = [y + height, y] as const;
  if (values.length === 0) return linearScale([0, 1], pixels, 4);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) return logScale([Math.floor(Math.log10(Math.max(low, 1e-12))), Math.ceil(Math.log10(high))], pixels, 6);
  const margin = (high - low) * 0.06 || 1;
  // From 0 where that is no waste.
  return linearScale([low >= 0 && low < high / 2 ? 0 : low - margin, high + margin], pixels, 5);
}
