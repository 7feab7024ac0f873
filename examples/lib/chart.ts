/** Axes, scales and legends of charts. */

import { element, escapeXml, marker, type MarkerShape, type Point, polyline, segment, text } from "./svg.ts";

/** A rectangle in pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** From values to pixels along one axis. */
export interface Scale {
  /** The pixel of a value; beyond the ends that of the end. */
  at(value: number): number;
  readonly ticks: readonly { readonly value: number; readonly label: string }[];
  readonly isLog: boolean;
}

/** The pixels of the first and of the last value. */
export type Range = readonly [first: number, last: number];

export const INK = "#1f2933";
export const MUTED = "#5f6c7b";
const GRID = "#e6eaef";
const FRAME = "#9aa5b1";

/** Values evenly spaced, with ticks at about `count` round ones. */
export function linearScale([low, high]: Range, [first, last]: Range, count: number): Scale {
  const rough = (high - low) / count;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 5, 10].find((factor) => factor * magnitude >= rough * 0.999) ?? 10);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    ticks.push({ value: i * step, label: (i * step).toFixed(digits).replace(/^-/, "−") });
  }
  const at = (value: number): number => first + (clamp(value, low, high) - low) / (high - low) * (last - first);
  return { at, ticks, isLog: false };
}

/** Powers of ten evenly spaced, from 10^low to 10^high, with at most `count` ticks or so; 0 lies on the low end. */
export function logScale([low, high]: Range, [first, last]: Range, count: number): Scale {
  const every = Math.max(1, Math.ceil((high - low) / count));
  const ticks = [];
  for (let power = Math.ceil(low / every) * every; power <= high; power += every) {
    ticks.push({ value: 10 ** power, label: String(power).replace(/^-/, "−") });
  }
  const at = (value: number): number =>
    first + (clamp(Math.log10(Math.abs(value)), low, high) - low) / (high - low) * (last - first);
  return { at, ticks, isLog: true };
}

function clamp(value: number, low: number, high: number): number {
  return Number.isNaN(value) ? NaN : Math.min(high, Math.max(low, value));
}

/** What is written around a chart. */
export interface Labels {
  readonly x?: string;
  readonly y: string;
  /** Bold, above the chart. */
  readonly title?: string;
}

/** Grid, frame, ticks and labels of a chart; without `labels.x` its x axis has no text. */
export function drawAxes(box: Box, x: Scale, y: Scale, labels: Labels): string {
  const [left, right, top, bottom] = [box.x, box.x + box.width, box.y, box.y + box.height];
  const parts: string[] = [];
  for (const { value, label } of y.ticks) {
    const at = y.at(value);
    parts.push(segment([left, at], [right, at], { stroke: GRID }));
    parts.push(tickLabel([left - 8, at + 4], label, y.isLog, "end"));
  }
  for (const { value, label } of x.ticks) {
    const at = x.at(value);
    parts.push(segment([at, top], [at, bottom], { stroke: GRID }));
    if (labels.x !== undefined) parts.push(tickLabel([at, bottom + 18], label, x.isLog, "middle"));
  }
  parts.push(element("rect", { ...box, fill: "none", stroke: FRAME }));
  const axis = { "font-size": 13, fill: MUTED, "text-anchor": "middle" };
  if (labels.x !== undefined) parts.push(text((left + right) / 2, bottom + 38, labels.x, axis));
  const [yx, yy] = [left - 52, (top + bottom) / 2];
  parts.push(text(yx, yy, labels.y, { ...axis, transform: `rotate(-90 ${yx} ${yy})` }));
  if (labels.title !== undefined) {
    parts.push(text(left, top - 34, labels.title, { "font-size": 16, "font-weight": 600, fill: INK }));
  }
  return parts.join("\n");
}

function tickLabel([x, y]: Point, label: string, isLog: boolean, anchor: string): string {
  const attributes = { x, y, "font-size": 12, fill: MUTED, "text-anchor": anchor };
  if (!isLog) return element("text", attributes, escapeXml(label));
  return element("text", attributes, "10", element("tspan", { dy: -5, "font-size": 9 }, escapeXml(label)));
}

/** How a series looks. */
export interface Style {
  readonly color: string;
  readonly width: number;
  readonly shape?: MarkerShape;
}

/** An entry of a legend. */
export interface Entry {
  readonly label: string;
  readonly style: Style;
}

/** A row of samples of lines with their names, from `start` on to the right. */
export function drawLegend([x, y]: Point, entries: readonly Entry[]): string {
  const parts: string[] = [];
  for (const { label, style } of entries) {
    parts.push(drawSeries([[x, y - 4], [x + 26, y - 4]], style, false));
    if (style.shape !== undefined) parts.push(marker(style.shape, [x + 13, y - 4], style.color));
    parts.push(text(x + 33, y, label, { "font-size": 13, fill: INK }));
    x += 33 + label.length * 6.4 + 24;
  }
  return parts.join("\n");
}

/** A line through points, with its markers if it has a shape. */
export function drawSeries(points: readonly Point[], style: Style, markers = true): string {
  const line = polyline(points, { stroke: style.color, "stroke-width": style.width });
  const { shape } = style;
  if (!markers || shape === undefined) return line;
  const visible = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  return [line, ...visible.map((point) => marker(shape, point, style.color))].join("\n");
}
