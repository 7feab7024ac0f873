/**
 * The task of Martin & Cundy (2018): sequences of up to a million steps, of which only the first is not noise, read by two
 * layers of GILR-LSTM, a network whose states are linear recurrences. Scans read them piece by piece and carry the state;
 * the shorter ones are also read step after step, as a check. Prints how long it took, how far the two are apart, and how
 * much of the first step is left at the end, of a network that is not trained. With --train it is, at ever longer sequences,
 * until it tells the sign of the first step of a sequence of a million.
 *
 *     deno run -A examples/million_step.ts
 *     deno run -A examples/million_step.ts --train --backend cpu
 *     deno run -A examples/million_step.ts --help
 *
 * Measured with --train on one thread of an AMD EPYC that had other work, too, with Deno 2.9.6: T = 16,384 is learnt 32
 * s after the beginning, 65,536 after 85 s, 262,144 after 214 s, 1,048,576 after 415 s, each by five updates on new
 * sequences that are all told right before the update (8, 8, 4 and 2 at a time: of the longest that is 10). The 200
 * updates before them are on shorter ones. The curve is kept: bench/results/million_step_cpu_amd_epyc.svg and .json.
 */

import { type Device, openDevice } from "@cervid/cervid";
import { runMain } from "./lib/main.ts";
import { MILLION_USAGE, type MillionOptions, parseMillionFlags } from "./lib/million_flags.ts";
import { runTaskTraining } from "./lib/report_task.ts";
import { type Reading, readTwins } from "./lib/read_pieces.ts";
import { formatCount, formatSmall, formatTable, wrapText } from "./lib/table.ts";
import { defineTwoLayers } from "./lib/two_layers.ts";

/** What a run found; `--json` prints it. */
interface Report {
  readonly device: Pick<Device, "backend" | "dtype" | "description">;
  readonly hidden: number;
  readonly features: number;
  readonly forgetBias: number;
  readonly readings: readonly (Reading & { readonly time: number })[];
}

async function run(options: MillionOptions): Promise<void> {
  const { lengths, hidden, features, forgetBias, cellUpTo, piece, seed } = options;
  await using device = await openDevice({ backend: options.backend, dtype: options.dtype });
  const network = defineTwoLayers(features, hidden, forgetBias);
  const params = network.layer.init(device, { seed });
  // The first piece compiles: it is read once more than needed.
  const longest = Math.max(...lengths);
  await readTwins(device, network, params, {
    time: Math.min(piece, longest),
    features,
    piece,
    seed,
    byCell: cellUpTo > 0,
  });
  const readings: (Reading & { time: number })[] = [];
  for (const time of lengths) {
    const reading = await readTwins(device, network, params, { time, features, piece, seed, byCell: time <= cellUpTo });
    readings.push({ time, ...reading });
  }
  const { backend, dtype, description } = device;
  const report: Report = { device: { backend, dtype, description }, hidden, features, forgetBias, readings };
  console.log(options.json ? JSON.stringify(report, null, 2) : describeReport(report, piece));
}

const FORGETTING =
  "A gate with forget bias b keeps σ(b) of its state at a step, so that exp(-T exp(-b)) of it is left after " +
  "T steps: to tell the sign after a million, training has to find b of at least 14 (--forget-bias), and to keep the noise " +
  "out.";
const CPU_NOTE =
  "On the CPU engine one thread does everything, and the scans write their gates to memory, which the cell " +
  "need not: the cell is expected to win.";

function describeReport({ device, hidden, features, forgetBias, readings }: Report, piece: number): string {
  const columns = [
    { title: "length" },
    { title: "scans (s)" },
    { title: "steps/s" },
    { title: "cell (s)" },
    { title: "steps/s" },
    { title: "deviation" },
    { title: "largest y" },
    { title: "left of x[0]" },
  ];
  const seconds = (ms: number): string => (ms / 1000).toPrecision(3);
  const rate = (time: number, ms: number): string =>
    Number((2 * time / ms * 1000).toPrecision(3)).toLocaleString("en-US");
  const rows = readings.map(({ time, layerMs, cellMs, maxDeviation, largest, left }) => [
    formatCount(time),
    seconds(layerMs),
    rate(time, layerMs),
    ...(cellMs === null ? ["-", "-"] : [seconds(cellMs), rate(time, cellMs)]),
    maxDeviation === null ? "-" : formatSmall(maxDeviation / largest),
    formatSmall(largest),
    formatSmall(left),
  ]);
  return [
    "Two layers of GILR-LSTM read sequences whose first element alone is not noise",
    "",
    `Device  ${device.description}`,
    `Task    x[0] = ±e_1 in ${features} dimensions, then one-hot noise; both signs with the same noise`,
    `Model   two layers of ${hidden} units, not trained: weights uniform in ±0.05, forget bias ${forgetBias}`,
    `Pieces  of ${formatCount(piece)} steps, each from the states in which the one before has ended`,
    "",
    formatTable(columns, rows),
    "",
    "scans         both layers over whole pieces: maps over all steps and linear recurrences",
    "cell          the same network as one step, written from the paper, by the sequential method",
    "steps/s       steps of both sequences, from inputs on the device to states in host memory",
    "deviation     largest |y of the scans - y of the cell| over all steps and units, as a part of the largest |y|",
    "left of x[0]  largest |y(+e_1) - y(-e_1)| over the units, after the last step",
    "",
    wrapText(FORGETTING),
    ...(device.backend === "cpu" ? ["", wrapText(CPU_NOTE)] : []),
  ].join("\n");
}

if (import.meta.main) {
  await runMain({
    parse: parseMillionFlags,
    usage: MILLION_USAGE,
    run: (options) => options.train ? runTaskTraining(options) : run(options),
  });
}
