/** The figure of unstable recurrences: for each the trajectory, and how the error falls by sweep. */

import { type Box, drawAxes, drawLegend, drawSeries, INK, linearScale, logScale, MUTED, type Style } from "./chart.ts";
import { marker, type Point, svgDocument, text } from "./svg.ts";
import type { UnstableCase } from "./unstable_runs.ts";

const WIDTH = 1200;
const TOP = 192;
const PANEL = { width: 470, height: 300 };
const ROW = 420;
const LEFT = 88;
const RIGHT = 672;
/** Points of a curve: more lie on each other. */
const POINTS = 600;

// Okabe and Ito's colours, which people with any colour vision tell apart; the marks at the ends differ too.
const STYLES: Readonly<Record<string, Style>> = {
  "deer": { color: "#0072b2", width: 1.5, shape: "circle" },
  "quasi-deer": { color: "#d55e00", width: 1.5, shape: "square" },
  "elk": { color: "#009e73", width: 1.5, shape: "triangle" },
  "quasi-elk": { color: "#e69f00", width: 1.5, shape: "cross" },
  "scale-deer": { color: "#cc79a7", width: 1.5, shape: "diamond" },
};
const styleOf = (label: string): Style => STYLES[label] ?? { color: INK, width: 1.5, shape: "circle" };

/** The figure as the text of an SVG file. */
export function drawUnstable(subtitle: string, cases: readonly UnstableCase[]): string {
  const title = "Recurrences that amplify small differences, in parallel over time";
  const labels = cases[0]?.runs.map(({ label }) => label) ?? [];
  return svgDocument(
    { width: WIDTH, height: TOP + ROW * cases.length - 40 },
    { title, description: `${subtitle}. The trajectory of each, and the mean error of every method by sweep.` },
    text(32, 48, title, { "font-size": 24, "font-weight": 700, fill: INK }),
    text(32, 74, subtitle, { "font-size": 14, fill: MUTED }),
    drawLegend([LEFT, 112], labels.map((label) => ({ label, style: styleOf(label) }))),
    text(RIGHT, 112, "A mark ends each line; an error of 0 lies on the bottom edge.", { "font-size": 12, fill: MUTED }),
    ...cases.map((one, i) => drawCase(one, TOP + i * ROW)),
  );
}

function drawCase(one: UnstableCase, y: number): string {
  return [drawTrajectory(one, { x: LEFT, y, ...PANEL }), drawErrors(one, { x: RIGHT, y, ...PANEL })].join("\n");
}

function drawTrajectory({ title, time, trajectory }: UnstableCase, box: Box): string {
  const finite = trajectory.filter(Number.isFinite);
  const [low, high] = [finite.reduce((a, b) => Math.min(a, b), 0), finite.reduce((a, b) => Math.max(a, b), 0)];
  const margin = 0.06 * (high - low) || 1;
  const x = linearScale([0, time], [box.x, box.x + box.width], 6);
  const y = linearScale([low - margin, high + margin], [box.y + box.height, box.y], 6);
  const points = Array.from(trajectory, (value, t): Point => [x.at(t), y.at(value)]);
  return [
    drawAxes(box, x, y, { x: "step", y: "x", title }),
    drawSeries(points, { color: MUTED, width: 1 }),
  ].join("\n");
}

function drawErrors({ exponent, runs }: UnstableCase, box: Box): string {
  const sizes = runs.flatMap(({ errors }) => errors).filter((error) => error > 0 && error < Infinity);
  const high = Math.ceil(Math.log10(Math.max(1, ...sizes.length > 0 ? [sizes.reduce((a, b) => Math.max(a, b))] : [])));
  const low = Math.max(-10, Math.floor(Math.log10(sizes.reduce((a, b) => Math.min(a, b), 0.1))));
  const most = Math.max(10, ...runs.map(({ errors }) => errors.length - 1));
  const x = logScale([0, Math.log10(most) + 0.08], [box.x, box.x + box.width], 4);
  const y = logScale([low, high], [box.y + box.height, box.y], 8);
  const growth = `exponent ${exponent.toFixed(4).replace("-", "−")}`;
  return [
    drawAxes(box, x, y, { x: "sweep", y: "mean error of a state", title: `Error by sweep; ${growth}` }),
    ...runs.map(({ label, errors }) => {
      const style = styleOf(label);
      // Of many sweeps those that are apart on the axis.
      const chosen = errors.map((_, k) => k).filter((k) =>
        k > 0 && (k < 20 || k === errors.length - 1 || isApart(k, most))
      );
      const points = chosen.map((k): Point => [x.at(k), y.at(errors[k]!)]);
      const end = points.at(-1);
      const line = drawSeries(points, style, false);
      return end === undefined ? line : `${line}\n${marker(style.shape!, end, style.color)}`;
    }),
  ].join("\n");
}

/** Whether sweep k and the one before it are apart on a logarithmic axis up to `most`. */
function isApart(k: number, most: number): boolean {
  const at = (sweep: number): number => Math.floor(POINTS * Math.log(sweep) / Math.log(most));
  return at(k) !== at(k - 1);
}
