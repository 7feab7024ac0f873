/**
 * Trains a GRU to tell handwritten digits, which it reads pixel by pixel: 1438 images of 8 x 8 as sequences of 64 steps, and
 * 359 that are held out. With `--compare` it is trained several times from the same start: step after step, by Newton's
 * method in parallel over time, and so with warm starts; a table says how many sweeps a step took, and how alike the losses
 * are.
 *
 *     deno run -A examples/digits.ts
 *     deno run -A examples/digits.ts --compare
 *     deno run -A examples/digits.ts --help
 *
 * Measured on one thread of an AMD EPYC that had other work, too, with Deno 2.9.6 and --backend cpu: 40 epochs, 3560
 * steps, take 139 s; of the images held out 96.7 % are told right. With --compare --epochs 40 the losses of Newton's
 * method are those of the sequential method at all 3560 steps, to 1e-3; it takes 4.5 sweeps a step in the first epoch,
 * 16 from the eighth on. With warm starts it takes 8 in the eighth epoch, 4 in the last, in which the learning rate is
 * small. The table is kept:
 *
 *     deno run -A bench/report.ts bench/results/warm_starts_cpu_amd_epyc.json
 */

import { type Device, openDevice } from "@cervid/cervid";
import { compareTrainings, describeComparison } from "./lib/compare_digits.ts";
import { readDigits, splitDigits } from "./lib/digits.ts";
import { followTraining, listenForInterrupt, readCheckpoint } from "./lib/follow_training.ts";
import { runMain } from "./lib/main.ts";
import { FlagError, readCount, readFlags } from "./lib/read_flags.ts";
import { formatCount } from "./lib/table.ts";
import { BATCH, digitModel, type DigitSettings, trainDigits } from "./lib/train_digits.ts";
import { readTrainFlags, TRAIN_FLAGS, TRAIN_USAGE, type TrainOptions } from "./lib/train_flags.ts";

const USAGE = `Trains a GRU to tell handwritten digits that it reads pixel by pixel.

Usage: deno run -A examples/digits.ts [flags]

  --hidden N         units of the GRU (default 48)
  --epochs N         how often each image is seen (default 40, with --compare 8)
  --compare          trains by several methods, and compares them
${TRAIN_USAGE}`;

const FLAGS = {
  ...TRAIN_FLAGS,
  hidden: { type: "string", default: "48" },
  epochs: { type: "string" },
  compare: { type: "boolean", default: false },
} as const;

interface DigitOptions extends TrainOptions {
  readonly hidden: number;
  readonly epochs: number;
  readonly compare: boolean;
}

function parseFlags(args: readonly string[]): DigitOptions {
  const values = readFlags(args, FLAGS);
  const { compare } = values;
  if (values.steps !== undefined) throw new FlagError("--steps has no meaning here; use --epochs");
  const epochs = readCount("epochs", values.epochs ?? (compare ? "8" : "40"), 1, 10_000);
  return { ...readTrainFlags(values), hidden: readCount("hidden", values.hidden, 1, 512), epochs, compare };
}

async function run(options: DigitOptions): Promise<void> {
  const { hidden, epochs, seed, method, warmStarts, backend, dtype, json } = options;
  const { train, test } = splitDigits(await readDigits());
  const settings: DigitSettings = { train, test, hidden, epochs, seed, method, warmStarts };
  await using device = await openDevice({ backend, dtype });
  const { description } = device;
  if (options.compare) {
    const comparison = await compareTrainings(device, settings, options);
    console.log(json ? JSON.stringify(comparison, null, 2) : describeComparison(comparison));
    return;
  }
  const interrupt = listenForInterrupt();
  try {
    const resume = await readCheckpoint(device, options, digitModel(hidden, method).params);
    const training = trainDigits(device, settings, resume, interrupt.signal);
    const perEpoch = Math.floor(train.labels.length / BATCH);
    const title = `A GRU of ${hidden} units reads digits pixel by pixel`;
    const { points, seconds } = await followTraining(training, options, {
      name: "digits",
      title,
      steps: epochs * perEpoch,
      from: resume?.step,
      epoch: perEpoch,
    });
    const { accuracy, loss, step } = points.at(-1)!;
    const report = {
      device: description,
      ...settings,
      train: undefined,
      test: undefined,
      step,
      seconds,
      loss,
      accuracy,
    };
    console.log(json ? JSON.stringify({ ...report, points }, null, 2) : describe(device, report));
  } finally {
    interrupt.stop();
  }
}

interface Report {
  readonly hidden: number;
  readonly step: number;
  readonly seconds: number;
  readonly loss: number;
  readonly accuracy?: number | undefined;
}

function describe(device: Device, { hidden, step, seconds, loss, accuracy }: Report): string {
  const right = accuracy === undefined ? "" : `, ${(100 * accuracy).toFixed(1)} % of the held-out fifth are right`;
  return [
    "",
    `Device  ${device.description}`,
    `Model   GRU of ${hidden} units, its last state to ten classes; T = 64`,
    `Result  after ${formatCount(step)} steps of ${BATCH} images in ${seconds.toFixed(0)} s: loss ${
      loss.toPrecision(3)
    }${right}`,
  ].join("\n");
}

if (import.meta.main) await runMain({ parse: parseFlags, usage: USAGE, run });
