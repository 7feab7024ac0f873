/** The same training by several methods: sweeps, times, and how long their losses stay alike. */

import { resolve } from "node:path";
import { type Device, type MethodName, openDevice } from "@cervid/cervid";
import { drawCurves } from "./curves.ts";
import { followTraining, OUT } from "./follow_training.ts";
import { formatTable, wrapText } from "./table.ts";
import { BATCH, type DigitSettings, trainDigits } from "./train_digits.ts";
import type { TrainOptions } from "./train_flags.ts";
import type { CurvePoint } from "./training_log.ts";

/** One of the trainings. */
export interface ComparedTraining {
  readonly name: string;
  readonly seconds: number;
  readonly points: readonly CurvePoint[];
  /** How many losses from the first on are within {@linkcode ALIKE} of the first training's. */
  readonly alike: number;
}

/** All of them. */
export interface Comparison {
  readonly device: string;
  readonly hidden: number;
  readonly seed: number;
  /** Steps of an epoch. */
  readonly perEpoch: number;
  readonly trainings: readonly ComparedTraining[];
}

/** Losses that differ by no more count as alike. */
export const ALIKE = 1e-3;

/** The epochs over which the learning rate falls: a comparison shows their beginning. */
const SCHEDULED_EPOCHS = 40;

/** Trains by each method from the same parameters, with the same batches. */
export async function compareTrainings(
  device: Device,
  settings: DigitSettings,
  options: TrainOptions,
): Promise<Comparison> {
  const perEpoch = Math.floor(settings.train.labels.length / BATCH);
  await using double = await openDevice({ backend: "cpu", dtype: "f64" });
  const runs: [name: string, device: Device, method: MethodName, warmStarts: boolean][] = [
    ["sequential", device, "sequential", false],
    ["deer", device, "deer", false],
    ["deer-warm", device, "deer", true],
    ["sequential-f64", double, "sequential", false],
  ];
  const trainings: ComparedTraining[] = [];
  let first: readonly number[] | undefined;
  for (const [name, where, method, warmStarts] of runs) {
    if (!options.json) console.error(name);
    const training = trainDigits(where, { ...settings, method, warmStarts, scheduledEpochs: SCHEDULED_EPOCHS });
    const steps = settings.epochs * perEpoch;
    const follow = { name: `digits-${name}`, title: `digits by ${name}`, steps, epoch: perEpoch };
    const { points, losses, seconds } = await followTraining(training, { ...options, checkpoint: undefined }, follow);
    first ??= losses;
    const apart = losses.findIndex((loss, k) => !(Math.abs(loss - first![k]!) <= ALIKE));
    trainings.push({ name, seconds, points, alike: apart < 0 ? losses.length : apart });
  }
  const { hidden, seed } = settings;
  const comparison: Comparison = { device: device.description, hidden, seed, perEpoch, trainings };
  const curves = trainings.map(({ name, points }) => ({ label: name, points }));
  const file = `${resolve(options.out ?? OUT)}/digits-compared`;
  await Deno.writeTextFile(
    `${file}.svg`,
    drawCurves("Digits by several methods, from the same start", curves, perEpoch),
  );
  await Deno.writeTextFile(`${file}.json`, `${JSON.stringify(comparison, null, 1)}\n`);
  return comparison;
}

/** The comparison for people. */
export function describeComparison({ perEpoch, trainings }: Comparison): string {
  const columns = [{ title: "epoch" }];
  for (const { name } of trainings) columns.push({ title: name });
  const swept = trainings.filter(({ points }) => points.some(({ sweeps }) => sweeps > 0));
  for (const { name } of swept) columns.push({ title: `sweeps ${name}` });
  const rows = trainings[0]!.points.map(({ step }, k) => [
    String(step / perEpoch),
    ...trainings.map(({ points }) => points[k]!.loss.toFixed(4)),
    ...swept.map(({ points }) => points[k]!.sweeps.toFixed(2)),
  ]);
  const facts = trainings.map(({ name, seconds, points, alike }) => [
    name,
    seconds.toFixed(1),
    `${alike}`,
    `${(100 * points.at(-1)!.accuracy!).toFixed(1)} %`,
  ]);
  const titles = [{ title: "training", left: true }, { title: "seconds" }, { title: "steps alike" }, {
    title: "accuracy",
  }];
  return [
    "",
    "Loss by epoch, and sweeps of a step",
    "",
    formatTable(columns, rows),
    "",
    formatTable(titles, facts),
    "",
    wrapText(
      `steps alike: how long the losses stay within ${ALIKE} of those of the sequential method. Training amplifies roundings: ` +
        "the last line has no other difference than double precision.",
    ),
  ].join("\n");
}
