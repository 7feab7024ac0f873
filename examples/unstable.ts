/**
 * Two recurrences that amplify small differences: a trained GRU that draws its own next input and starts far from what it was
 * trained on (Gonzalez et al. 2024, arXiv 2407.19115), and Lorenz 96. Newton's method, its diagonal, both in a trust region (ELK), and
 * Newton's with its Jacobian scaled down, side by side: sweeps, times, errors, as a table and a figure.
 *
 *     deno run -A examples/unstable.ts
 *     deno run -A examples/unstable.ts --help
 */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Device, openDevice } from "@cervid/cervid";
import { runMain } from "./lib/main.ts";
import { writeFigure } from "./lib/output_files.ts";
import { formatCount, formatMs, formatSmall, formatTable, wrapText } from "./lib/table.ts";
import { drawUnstable } from "./lib/unstable_figure.ts";
import { parseUnstableFlags, UNSTABLE_USAGE, type UnstableFlags } from "./lib/unstable_flags.ts";
import { runUnstable, type UnstableCase } from "./lib/unstable_runs.ts";

const FIGURE = fileURLToPath(new URL("out/unstable.svg", import.meta.url));

/** What a run found; `--json` prints it, without the trajectories. */
interface Report {
  readonly device: Pick<Device, "backend" | "dtype" | "description">;
  readonly cases: readonly Omit<UnstableCase, "trajectory">[];
  /** The path of the figure. */
  readonly figure: string;
}

async function run(flags: UnstableFlags): Promise<void> {
  const figure = flags.svg === undefined ? FIGURE : resolve(flags.svg);
  await writeFigure(figure); // fails before the work, not after it
  await using device = await openDevice({ backend: flags.backend, dtype: flags.dtype });
  const cases: UnstableCase[] = [];
  for (const name of flags.cases) cases.push(await runUnstable(device, name, flags));
  const { backend, dtype, description } = device;
  const lengths = cases.map(({ time }) => formatCount(time)).join(" and ");
  const subtitle = `T = ${lengths} steps, sweeps from ${flags.guess}, scale-deer scales by ${flags.scale}; ` +
    `λ of elk ${flags.damping}, of quasi-elk ${flags.quasiDamping}; ${backend}, ${dtype}`;
  await writeFigure(figure, drawUnstable(subtitle, cases));
  const told = cases.map(({ trajectory: _, ...rest }) => rest);
  const report: Report = { device: { backend, dtype, description }, cases: told, figure };
  console.log(flags.json ? JSON.stringify(report, null, 2) : describeReport(report, flags));
}

const NOTE =
  "Every method ends with the sequential answer, after T sweeps at the latest, since each sweep makes one more step " +
  "exact. In one thread T sweeps are up to T times the work of the sequential method, and even a few dozen are not worth " +
  "while: this example is about sweeps, not about speed.";

function describeReport({ device, cases, figure }: Report, { guess, scale }: UnstableFlags): string {
  return [
    "Recurrences that amplify small differences, in parallel over time",
    "",
    `Device  ${device.description}`,
    `Sweeps  from ${guess}; scale-deer is deer with ${1 - scale} of its Jacobian`,
    "",
    ...cases.flatMap((one) => [...describeCase(one), ""]),
    "time       one solve, from inputs on the device to the trajectory: median of the runs, warm",
    "deviation  largest |h - h of sequential| over all steps and states",
    "",
    wrapText(NOTE),
    "",
    `Figure  ${figure}`,
  ].join("\n");
}

function describeCase(
  { title, time, exponent, expectedSweeps, sequentialMs, runs }: Report["cases"][number],
): string[] {
  const columns = [
    { title: "method", left: true },
    { title: "sweeps" },
    { title: "time (ms)" },
    { title: "times sequential" },
    { title: "deviation" },
    { title: "result", left: true },
  ];
  const rows = runs.map(({ label, sweeps, ms, maxDeviation, result }) => [
    label,
    formatCount(sweeps),
    formatMs(ms),
    formatCount(Math.round(ms / sequentialMs)),
    maxDeviation === null ? "not finite" : formatSmall(maxDeviation),
    result,
  ]);
  return [
    `${title}: T = ${formatCount(time)}, Lyapunov exponent ${exponent.toFixed(4)}: about ` +
    `${formatCount(expectedSweeps)} sweeps of deer, or more if it starts far away`,
    "",
    formatTable(columns, [["sequential", "-", formatMs(sequentialMs), "1", "-", "successful"], ...rows]),
  ];
}

if (import.meta.main) await runMain({ parse: parseUnstableFlags, usage: UNSTABLE_USAGE, run });
