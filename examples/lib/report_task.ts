/** Runs the training on the first-element task: lines of progress, a table of lengths, a curve. */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { openDevice } from "@cervid/cervid";
import { drawCurves } from "./curves.ts";
import { listenForInterrupt } from "./follow_training.ts";
import type { MillionOptions } from "./million_flags.ts";
import { makeFolder } from "./output_files.ts";
import { formatCount, formatSmall, formatTable, wrapText } from "./table.ts";
import { batchOf, ENOUGH, type TaskStep, trainTask } from "./train_task.ts";

/** What training at one length took. */
interface Stage {
  readonly time: number;
  readonly batch: number;
  readonly steps: number;
  readonly seconds: number;
  readonly loss: number;
  /** Whether enough minibatches in a row were right. */
  readonly learnt: boolean;
}

const OUT = fileURLToPath(new URL("../out/", import.meta.url));

/** Trains, reports, and keeps the curve. */
export async function runTaskTraining(options: MillionOptions): Promise<void> {
  const { lengths, hidden, features, forgetBias, seed, json, out = OUT } = options;
  const folder = resolve(out);
  await makeFolder("out", folder);
  await using device = await openDevice({ backend: options.backend, dtype: options.dtype });
  const interrupt = listenForInterrupt();
  const all: TaskStep[] = [];
  let told = 0;
  try {
    for await (const step of trainTask(device, { lengths, hidden, features, forgetBias, seed }, interrupt.signal)) {
      all.push(step);
      const { time, loss, seconds, stepOfStage, inRow } = step;
      if (json || (seconds - told < 5 && inRow < ENOUGH)) continue;
      told = seconds;
      const line = `T = ${formatCount(time)}  step ${stepOfStage}  loss ${formatSmall(loss)}  ${inRow} in a row`;
      console.error(`${line}  ${seconds.toFixed(0)} s`);
    }
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
  } finally {
    interrupt.stop();
  }
  const stages = lengths.flatMap((time): Stage[] => {
    const own = all.filter((step) => step.time === time);
    if (own.length === 0) return [];
    const { loss, seconds, inRow } = own.at(-1)!;
    const before = all[all.indexOf(own[0]!) - 1]?.seconds ?? 0;
    return [{
      time,
      batch: batchOf(time),
      steps: own.length,
      seconds: seconds - before,
      loss,
      learnt: inRow >= ENOUGH,
    }];
  });
  const { backend, dtype, description } = device;
  const settings = { hidden, features, forgetBias, seed };
  const report = { device: { backend, dtype, description }, ...settings, stages };
  const points = all.map(({ step, loss, time }) => ({ step, loss: Math.max(loss, 1e-9), "log2 T": Math.log2(time) }));
  const title = `Two layers of GILR-LSTM learn to tell the first of up to ${
    formatCount(Math.max(...lengths))
  } elements`;
  await Deno.writeTextFile(`${folder}/million_step.svg`, drawCurves(title, [{ label: "loss", points }], 1));
  await Deno.writeTextFile(`${folder}/million_step.json`, `${JSON.stringify({ ...report, steps: all }, null, 1)}\n`);
  console.log(json ? JSON.stringify(report, null, 2) : describeStages(description, settings, stages));
}

function describeStages(
  device: string,
  { hidden, features, forgetBias }: Pick<MillionOptions, "hidden" | "features" | "forgetBias">,
  stages: readonly Stage[],
): string {
  const columns = ["length", "sequences", "steps", "seconds", "last loss"].map((title) => ({ title }));
  const rows = stages.map(({ time, batch, steps, seconds, loss, learnt }) => [
    formatCount(time),
    String(batch),
    String(steps),
    seconds.toFixed(1),
    formatSmall(loss),
    learnt ? "yes" : "no",
  ]);
  return [
    "",
    `Device  ${device}`,
    `Task    the sign of x[0] = ±e_1 in ${features} dimensions, after T - 1 steps of noise`,
    `Model   two layers of ${hidden} units, forget bias ${forgetBias} at the beginning`,
    "",
    formatTable([...columns, { title: "learnt" }], rows),
    "",
    wrapText(
      `learnt: ${ENOUGH} minibatches in a row of new sequences, all of them told right before the update. Training goes on from ` +
        "length to length with the same parameters: what closes the gates to noise is learnt where steps are cheap.",
    ),
  ].join("\n");
}
