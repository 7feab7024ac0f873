/**
 * Trains a classifier of long sequences in the manner of the EigenWorms experiment (Lim et al., arXiv 2309.12252): an encoder,
 * GRUs with residuals and norms, a head, and the mean of its logits over time. It reads any set in the `.ts` format of the UEA
 * archive; without one it generates recordings of six channels.
 *
 *     deno run -A examples/long_sequences.ts
 *     deno run -A examples/long_sequences.ts --train EigenWorms_TRAIN.ts --test EigenWorms_TEST.ts --paper
 *     deno run -A examples/long_sequences.ts --time 17984
 *     deno run -A examples/long_sequences.ts --help
 *
 * Measured on one thread of an AMD EPYC that had other work, too, with Deno 2.9.6, on 48 generated recordings, and 32
 * that are held out, of four classes: with T = 1,024 all that are held out are told right after 160 of 240 steps, which
 * take 40 s in all; with T = 17,984, the length of EigenWorms, after 160, too, and the 240 steps take 1227 s beside
 * three other programs on two cores. EigenWorms itself was not tried. With --method deer (T = 1,024) the losses are the
 * same; a step takes 9 sweeps of the two GRUs together at first, and 37 at the end; with --warm-starts 9 and 10.
 */

import { openDevice, type UeaDataset, warmStarts } from "@cervid/cervid";
import { followTraining, listenForInterrupt, readCheckpoint } from "./lib/follow_training.ts";
import { generateMotion } from "./lib/generated_motion.ts";
import { runMain } from "./lib/main.ts";
import { FlagError, readCount, readFlags, readNumber } from "./lib/read_flags.ts";
import { formatCount } from "./lib/table.ts";
import { type ClassifierSettings, defineClassifier, trainClassifier } from "./lib/train_classifier.ts";
import { readTrainFlags, TRAIN_FLAGS, TRAIN_USAGE, type TrainOptions } from "./lib/train_flags.ts";
import { type ClassifierSets, readUeaSets } from "./lib/uea_sets.ts";

const USAGE = `Trains a classifier of long sequences: GRUs with residuals and norms.

Usage: deno run -A examples/long_sequences.ts [flags]

  --train FILE       a set in the .ts format of the UEA archive, and
  --test FILE        the one that is held out; without them recordings of 6 channels are generated,
  --time N           of so many steps (default 1024)
  --paper            the sizes of the paper: T = 17984, 5 blocks of 32 units, batches of 4, learning rate 3e-5
  --width N          units (default 16)
  --blocks N         GRUs (default 2)
  --batch N          sequences of a step (default 8)
  --rate R           learning rate of Adam (default 3e-3)
  --steps N          (default 240)
  --log-every N      steps between lines (default 20)
${TRAIN_USAGE}`;

const FLAGS = {
  ...TRAIN_FLAGS,
  "train": { type: "string" },
  "test": { type: "string" },
  "time": { type: "string" },
  "paper": { type: "boolean", default: false },
  "width": { type: "string" },
  "blocks": { type: "string" },
  "batch": { type: "string" },
  "rate": { type: "string" },
  "log-every": { type: "string", default: "20" },
} as const;

/** Cases that are generated. */
const GENERATED = { train: 48, test: 32 };
/** Trajectories that warm starts may keep. */
const CAPACITY_BYTES = 2 ** 32;

interface Options extends TrainOptions, Omit<ClassifierSettings, "train" | "test" | "warmStarts" | "steps"> {
  readonly files: { readonly train: string; readonly test: string } | undefined;
  readonly time: number;
}

function parseFlags(args: readonly string[]): Options {
  const values = readFlags(args, FLAGS);
  const { paper, train, test } = values;
  if ((train === undefined) !== (test === undefined)) throw new FlagError("--train and --test must come together");
  if (train !== undefined && values.time !== undefined) {
    throw new FlagError("--time is for sequences that are generated");
  }
  const size = (flag: "time" | "width" | "blocks", own: number, papers: number): number =>
    readCount(flag, values[flag] ?? String(paper ? papers : own), 1, 2 ** 20);
  const logEvery = readCount("log-every", values["log-every"], 1);
  return {
    ...readTrainFlags(values),
    files: train === undefined ? undefined : { train, test: test! },
    time: size("time", 1024, 17_984),
    width: size("width", 16, 32),
    blocks: size("blocks", 2, 5),
    batch: readCount("batch", values.batch ?? (paper ? "4" : "8"), 1, 4096),
    rate: readNumber("rate", values.rate ?? (paper ? "3e-5" : "3e-3")),
    logEvery,
    evaluateEvery: 2 * logEvery,
  };
}

async function readSets({ files, time, seed, batch }: Options): Promise<ClassifierSets> {
  if (files !== undefined) return await readUeaSets(files, batch);
  if (batch > GENERATED.train) {
    throw new FlagError(`--batch must be at most the ${GENERATED.train} cases, got ${batch}`);
  }
  // Seeds of sequences differ in their high half: those of the two sets in the low one.
  const set = (cases: number, own: number): UeaDataset => generateMotion({ cases, time, seed: own });
  return { train: set(GENERATED.train, 2 * seed), test: set(GENERATED.test, 2 * seed + 1) };
}

async function run(options: Options): Promise<void> {
  const { steps = 240, json, warmStarts: warm } = options;
  const { train, test } = await readSets(options);
  await using device = await openDevice({ backend: options.backend, dtype: options.dtype });
  using store = warmStarts({ capacityBytes: CAPACITY_BYTES });
  const { width, blocks, batch, rate, seed, method, logEvery, evaluateEvery } = options;
  const own = { train, test, width, blocks, batch, rate, seed, method, logEvery, evaluateEvery, steps };
  const settings: ClassifierSettings = warm ? { ...own, warmStarts: store } : own;
  const interrupt = listenForInterrupt();
  try {
    const size = { channels: train.dimensions, classes: train.classNames!.length, width, blocks };
    const resume = await readCheckpoint(device, options, defineClassifier(size, method).params);
    const training = trainClassifier(device, settings, resume, interrupt.signal);
    const longest = Math.max(...train.cases.map(({ shape }) => shape[0]!));
    const title = `${blocks} GRUs of ${width} units tell sequences of ${formatCount(longest)} steps apart`;
    const follow = { name: "long_sequences", title, steps, from: resume?.step };
    const { points, seconds } = await followTraining(training, options, follow);
    const accuracy = points.findLast((point) => point.accuracy !== undefined)?.accuracy;
    const { step, loss } = points.at(-1)!;
    const report = {
      device: device.description,
      problem: train.problemName,
      time: longest,
      channels: train.dimensions,
      classes: train.classNames!.length,
      ...{ width, blocks, step, seconds, loss, accuracy },
    };
    console.log(json ? JSON.stringify({ ...report, points }, null, 2) : describe(report, train, test));
  } finally {
    interrupt.stop();
  }
}

interface Report {
  readonly device: string;
  readonly problem: string;
  readonly time: number;
  readonly width: number;
  readonly blocks: number;
  readonly step: number;
  readonly seconds: number;
  readonly loss: number;
  readonly accuracy?: number | undefined;
}

function describe(report: Report, train: UeaDataset, test: UeaDataset): string {
  const { device, problem, time, width, blocks, step, seconds, loss, accuracy } = report;
  const sizes = `${train.cases.length} and ${test.cases.length} cases, T = ${
    formatCount(time)
  }, ${train.dimensions} channels`;
  const right = accuracy === undefined ? "" : `, ${(100 * accuracy).toFixed(1)} % of those held out are right`;
  return [
    "",
    `Device  ${device}`,
    `Set     ${problem}: ${sizes}, ${train.classNames!.length} classes`,
    `Model   ${blocks} GRUs of ${width} units`,
    `Result  after ${formatCount(step)} steps in ${seconds.toFixed(0)} s: loss ${loss.toPrecision(3)}${right}`,
  ].join("\n");
}

if (import.meta.main) await runMain({ parse: parseFlags, usage: USAGE, run });
