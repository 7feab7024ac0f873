/**
 * Trains the network of the ECG example: a GRU of 16 units that tells the next sample of an electrocardiogram from the past.
 * It reads random chunks of the first 80,000 samples; the other 28,000 are held out. With --save its weights become those that
 * the demo reads.
 *
 *     deno run -A examples/ecg_train.ts
 *     deno run -A examples/ecg_train.ts --help
 *
 * Measured on one thread of an AMD EPYC with Deno 2.9.6, 2000 steps on the CPU engine: 279 s beside other work, at 16
 * steps a second at its best. The error of the next sample held out is 0.0232 mV, that of the last value repeated 0.0631
 * mV. The same seed gives the same weights, bit for bit: those in examples/data. bench/peers/torch_train_ecg.py does the
 * same in PyTorch.
 */

import { openDevice } from "@cervid/cervid";
import { followTraining, listenForInterrupt, readCheckpoint } from "./lib/follow_training.ts";
import { runMain } from "./lib/main.ts";
import { makeFolderOf } from "./lib/output_files.ts";
import { FlagError, readFlags } from "./lib/read_flags.ts";
import { HELD_OUT_FROM, readRecord } from "./lib/record.ts";
import { formatCount } from "./lib/table.ts";
import { BATCH, CHUNK, HIDDEN, judgeModel, SHAPES, STEPS, trainEcg, writeModel } from "./lib/train_ecg.ts";
import { readTrainFlags, TRAIN_FLAGS, TRAIN_USAGE, type TrainOptions } from "./lib/train_flags.ts";

const USAGE = `Trains a GRU to tell the next sample of an electrocardiogram.

Usage: deno run -A examples/ecg_train.ts [flags]

  --steps N          steps of ${BATCH} chunks of ${CHUNK} samples (default ${STEPS})
  --save FILE        where the weights go, for example examples/data/ecg_gru16.safetensors, which the demo reads
${TRAIN_USAGE}`;

/** A line is printed, and a checkpoint saved, after so many steps. */
const LOG_EVERY = 50;

async function run(options: TrainOptions, save: string | undefined): Promise<void> {
  const { steps = STEPS, seed, method, backend, dtype, json } = options;
  const samples = await readRecord();
  if (save !== undefined) await makeFolderOf("save", save);
  await using device = await openDevice({ backend, dtype });
  const interrupt = listenForInterrupt();
  try {
    const resume = await readCheckpoint(device, options, SHAPES);
    const training = trainEcg(device, { samples, steps, seed, method, logEvery: LOG_EVERY }, resume, interrupt.signal);
    const title = `A GRU of ${HIDDEN} units learns to tell the next sample of an ECG`;
    const follow = { name: "ecg_train", title, steps, from: resume?.step };
    const { params, points, seconds } = await followTraining(training, options, follow);
    const { record, heldOut } = await judgeModel(device, params, samples);
    const { step, loss } = points.at(-1)!;
    if (save !== undefined) {
      await Deno.writeFile(save, await writeModel(params, samples, { steps: step, seed, heldOut }));
    }
    const report = { device: device.description, step, seconds, loss, rmseMv: record, heldOutRmseMv: heldOut };
    console.log(json ? JSON.stringify({ ...report, points }, null, 2) : describe(report));
  } finally {
    interrupt.stop();
  }
}

interface Report {
  readonly device: string;
  readonly step: number;
  readonly seconds: number;
  readonly loss: number;
  readonly rmseMv: { readonly gru: number; readonly lastValue: number };
  readonly heldOutRmseMv: { readonly gru: number; readonly lastValue: number };
}

function describe({ device, step, seconds, loss, rmseMv, heldOutRmseMv }: Report): string {
  const pair = ({ gru, lastValue }: Report["rmseMv"]): string =>
    `${gru.toFixed(4)} mV, last value repeated ${lastValue.toFixed(4)} mV`;
  return [
    "",
    `Device  ${device}`,
    `Result  after ${formatCount(step)} steps in ${seconds.toFixed(0)} s: loss ${loss.toPrecision(3)}`,
    `RMSE of the next sample: ${pair(rmseMv)}`,
    `  held out from training, from sample ${formatCount(HELD_OUT_FROM)} on: ${pair(heldOutRmseMv)}`,
  ].join("\n");
}

/** The flags of all trainings, and where the weights go. */
function parseFlags(args: readonly string[]): TrainOptions & { readonly save: string | undefined } {
  const { save, ...values } = readFlags(args, { ...TRAIN_FLAGS, save: { type: "string" } });
  const options = readTrainFlags(values);
  if (options.warmStarts) throw new FlagError("--warm-starts has no meaning here: chunks are drawn at random");
  return { ...options, save };
}

if (import.meta.main) {
  await runMain({
    parse: parseFlags,
    usage: USAGE,
    run: ({ save, ...options }) => run(options, save),
  });
}
