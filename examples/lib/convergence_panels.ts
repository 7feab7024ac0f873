/** Two panels on how methods converge: the update by sweep, and the error over time by sweep. */

import type { MethodName } from "@cervid/cervid";
import {
  type Box,
  drawAxes,
  drawLegend,
  drawSeries,
  INK,
  linearScale,
  logScale,
  MUTED,
  type Range,
  type Scale,
  type Style,
} from "./chart.ts";
import type { Convergence } from "./measure.ts";
import { RATE_HZ } from "./record.ts";
import { type Point, segment, text } from "./svg.ts";

const UPDATES: Box = { x: 88, y: 610, width: 470, height: 320 };
/** Of all panels of errors together. */
export const ERRORS: Box = { x: 672, y: 610, width: 470, height: 320 };
const GAP = 16;

// Okabe and Ito's colours, which people with any colour vision tell apart; shapes differ too.
const STYLES: Readonly<Partial<Record<MethodName, Style>>> = {
  "deer": { color: "#0072b2", width: 2, shape: "circle" },
  "quasi-deer": { color: "#d55e00", width: 2, shape: "square" },
  "block-deer": { color: "#cc79a7", width: 2, shape: "diamond" },
  "jacobi": { color: "#009e73", width: 2, shape: "triangle" },
  "picard": { color: "#e69f00", width: 2, shape: "cross" },
};
/** Of text that lies on lines. */
const HALO = { fill: INK, stroke: "#ffffff", "stroke-width": 4, "paint-order": "stroke" };
const OTHER: Style = { color: INK, width: 2, shape: "circle" };

/** The largest update of every sweep, on a logarithmic axis. */
export function drawUpdates(
  updates: readonly { readonly method: MethodName; readonly residuals: readonly number[] }[],
): string {
  const [left, right, top, bottom] = [UPDATES.x, UPDATES.x + UPDATES.width, UPDATES.y, UPDATES.y + UPDATES.height];
  const sizes = updates.flatMap(({ residuals }) => residuals).filter((value) => value > 0 && value < Infinity);
  const low = Math.max(-6, Math.floor(Math.log10(Math.min(0.1, ...sizes))));
  const high = Math.ceil(Math.log10(Math.max(10, ...sizes)));
  const sweeps = Math.max(4, ...updates.map(({ residuals }) => residuals.length));
  const x = linearScale([0, sweeps + 0.5], [left, right], 8);
  const y = logScale([low, high], [bottom, top], 9);
  const entries = updates.map(({ method }) => ({ label: method, style: STYLES[method] ?? OTHER }));
  const curves = updates.map(({ residuals }) => residuals.map((value, k): Point => [x.at(k + 1), y.at(value)]));
  const tolerance = y.at(1);
  return [
    drawAxes(UPDATES, x, y, {
      x: "sweep",
      y: "largest update (tolerances)",
      title: "Update by sweep, all samples",
    }),
    segment([left, tolerance], [right, tolerance], { stroke: INK, "stroke-dasharray": "5 4" }),
    entries.length > 0
      ? drawLegend([left, top - 12], entries)
      : text((left + right) / 2, (top + bottom) / 2 - 20, "The sequential method has no sweeps", {
        ...HALO,
        "font-size": 13,
        "text-anchor": "middle",
      }),
    ...curves.map((points, i) => drawSeries(points, entries[i]!.style)),
    text(...findRoom(curves.flat(), [right - 8, tolerance]), "tolerance", {
      ...HALO,
      "font-size": 12,
      "text-anchor": "end",
    }),
  ].join("\n");
}

/** Where a short word that ends at x lies on no point: below the line at y, else above it, else further to the left. */
function findRoom(points: readonly Point[], [x, y]: Point): Point {
  const [width, height] = [64, 24];
  const isFree = ([right, base]: Point): boolean =>
    !points.some(([px, py]) => px > right - width && px < right + 8 && py > base - height + 6 && py < base + 8);
  const places = [0, 1, 2, 3, 4].flatMap((i): Point[] => [[x - i * width, y + 16], [x - i * width, y - 7]]);
  return places.find(isFree) ?? [x, y + 16];
}

/** The error of every iterate over time: one panel for each method, one line for each sweep. */
export function drawErrors(
  { from, convergence, dtype }: {
    /** The sample that `convergence` begins at. */
    readonly from: number;
    readonly convergence: readonly Convergence[];
    readonly dtype: "f32" | "f64";
  },
  time: Scale,
): string {
  const largest = Math.max(...convergence.flatMap(({ errors }) => errors.map((values) => Math.max(...values))));
  const powers: Range = [dtype === "f32" ? -9 : -18, Math.ceil(Math.log10(Math.max(1, largest)))];
  const height = (ERRORS.height - GAP * (convergence.length - 1)) / convergence.length;
  const panels = convergence.map(({ method, errors }, i) => {
    const box = { ...ERRORS, y: ERRORS.y + i * (height + GAP), height };
    const y = logScale(powers, [box.y + height, box.y], 5);
    const isLast = i === convergence.length - 1;
    return [
      drawAxes(box, time, y, {
        y: "largest error in h",
        ...(isLast ? { x: "time in the record (s)" } : {}),
        ...(i === 0 ? { title: "Error over time by sweep, the samples above" } : {}),
      }),
      ...drawSweeps(box, errors, STYLES[method] ?? OTHER, (t) => time.at((from + t) / RATE_HZ), y),
      text(box.x + 10, box.y + 20, method, {
        ...HALO,
        "font-size": 13,
        "font-weight": 600,
      }),
    ].join("\n");
  });
  const note = "A line for each sweep, its number on the right; an error of 0 lies on the bottom edge.";
  return [text(ERRORS.x, ERRORS.y - 12, note, { "font-size": 12, fill: MUTED }), ...panels].join("\n");
}

/** One line for each sweep, from pale to dark, with its number where it ends. */
function drawSweeps(
  box: Box,
  errors: readonly Float64Array[],
  { color }: Style,
  timeAt: (t: number) => number,
  y: Scale,
): string[] {
  const labels: number[] = [];
  return errors.map((values, sweep) => {
    const points = envelope(values, box.width / 2).map(([t, value]): Point => [timeAt(t), y.at(value)]);
    const shade = mixWithWhite(color, 0.35 + 0.65 * (sweep / Math.max(1, errors.length - 1)));
    const line = drawSeries(points, { color: shade, width: 1.5 });
    const tail = points.slice(-12);
    const at = tail.reduce((sum, [, pixel]) => sum + pixel, 0) / tail.length;
    // A number is left out where it would lie on another one.
    if (labels.some((other) => Math.abs(other - at) < 12)) return line;
    labels.push(at);
    const label = sweep === 0 ? "guess" : String(sweep);
    return `${line}\n${text(box.x + box.width + 7, at + 4, label, { "font-size": 12, fill: INK })}`;
  });
}

/** At most `count` points of a curve: the largest value of each stretch. */
function envelope(values: Float64Array, count: number): Point[] {
  const width = Math.max(1, Math.ceil(values.length / count));
  return Array.from({ length: Math.ceil(values.length / width) }, (_, i): Point => {
    const part = values.subarray(i * width, (i + 1) * width);
    return [i * width + (part.length - 1) / 2, Math.max(...part)];
  });
}

/** A colour `#rrggbb` with `share` of it left. */
function mixWithWhite(color: string, share: number): string {
  const channels = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return `rgb(${channels.map((value) => Math.round(255 - share * (255 - value))).join(",")})`;
}
