/** Follows a training: a line of progress, curves, files for TensorBoard, checkpoints, Ctrl-C. */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Checkpoint,
  type Device,
  formatJsonLine,
  formatProgress,
  loadCheckpoint,
  saveCheckpoint,
  scalarsOf,
  type Tensor,
  type TrainStep,
  type Tree,
  writeTensorboardHeader,
  writeTensorboardScalars,
} from "@cervid/cervid";
import { drawCurves } from "./curves.ts";
import { FlagError } from "./read_flags.ts";
import type { TrainOptions } from "./train_flags.ts";

/** A point of a curve: means over the steps since the last one, and the measures that were taken there. */
export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
  readonly sweeps: number;
  readonly milliseconds: number;
  readonly [measure: string]: number;
}

/** What is known at the end. */
export interface Followed<P extends Tree<Tensor>> {
  /** The last parameters. */
  readonly params: P;
  readonly points: readonly CurvePoint[];
  /** Of every step. */
  readonly losses: readonly number[];
  readonly seconds: number;
}

/** What a training is called, and how it is shown. */
export interface FollowOptions {
  /** Of the files. */
  readonly name: string;
  readonly title: string;
  readonly steps: number;
  /** Steps of an epoch: the unit of the horizontal axis. */
  readonly epoch?: number;
}

/** Where curves go by default. */
export const OUT: string = fileURLToPath(new URL("../out/", import.meta.url));

/** The state that a training goes on from, if its file is there. */
export async function readCheckpoint(device: Device, { checkpoint }: TrainOptions): Promise<Checkpoint | undefined> {
  if (checkpoint === undefined) return undefined;
  try {
    return loadCheckpoint(device, await Deno.readFile(checkpoint));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (!(error instanceof SyntaxError)) throw error;
    throw new FlagError(`--checkpoint ${checkpoint} cannot be read: ${error.message}`);
  }
}

/** A signal that Ctrl-C aborts; the second time it ends the process. */
export function listenForInterrupt(): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const stop = (): void => Deno.removeSignalListener("SIGINT", interrupt);
  const interrupt = (): void => {
    stop();
    controller.abort(new DOMException("interrupted", "AbortError"));
  };
  Deno.addSignalListener("SIGINT", interrupt);
  return { signal: controller.signal, stop };
}

/** Runs a training to its end, or to an interrupt, and keeps its curves. */
export async function followTraining<P extends Tree<Tensor>>(
  training: AsyncGenerator<TrainStep<P>>,
  { out = OUT, checkpoint, json }: TrainOptions,
  { name, title, steps, epoch = 1 }: FollowOptions,
): Promise<Followed<P>> {
  const folder = resolve(out);
  await Deno.mkdir(folder, { recursive: true });
  const file = (extension: string): string => `${folder}/${name}.${extension}`;
  using events = await Deno.open(`${folder}/events.out.tfevents.${name}`, {
    write: true,
    create: true,
    truncate: true,
  });
  using lines = await Deno.open(file("jsonl"), { write: true, create: true, truncate: true });
  await writeAll(events, writeTensorboardHeader());
  const encoder = new TextEncoder();
  const isTerminal = Deno.stderr.isTerminal();
  const points: CurvePoint[] = [];
  const all: number[] = [];
  let last: TrainStep<P> | undefined;
  const began = performance.now();
  try {
    for await (const step of training) {
      last = step;
      const { sweeps, milliseconds, evaluation = {}, losses } = step;
      all.push(...losses);
      const known = losses.filter(Number.isFinite);
      const loss = known.reduce((sum, value) => sum + value, 0) / known.length;
      const record = { step: step.step, loss, sweeps, milliseconds, evaluation };
      points.push({ step: step.step, loss, sweeps, milliseconds, ...evaluation });
      await writeAll(events, writeTensorboardScalars(step.step, scalarsOf(record)));
      await writeAll(lines, encoder.encode(formatJsonLine(record)));
      for (const failure of step.failures) console.error(`\n${failure.action}: ${failure.error.message}`);
      const line = formatProgress(record, { steps });
      if (!json) await writeAll(Deno.stderr, encoder.encode(isTerminal ? `\r\x1b[2K${line}` : `${line}\n`));
      if (checkpoint !== undefined) await save(checkpoint, step);
    }
  } catch (error) {
    // An interrupt ends training, not the program: what was learnt is there.
    if (!(error instanceof DOMException) || error.name !== "AbortError" || last === undefined) throw error;
  }
  if (isTerminal && !json) console.error();
  if (last === undefined) throw new FlagError(`nothing is left to train: the checkpoint is at step ${steps} or beyond`);
  const seconds = (performance.now() - began) / 1000;
  await Deno.writeTextFile(file("json"), JSON.stringify({ title, steps, seconds, points }, null, 1) + "\n");
  await Deno.writeTextFile(file("svg"), drawCurves(title, [{ label: name, points }], epoch));
  return { params: last.params, points, losses: all, seconds };
}

/** Writes beside the old file, then in its place: an interrupt leaves one of them. */
async function save(path: string, step: TrainStep): Promise<void> {
  await Deno.mkdir(dirname(resolve(path)), { recursive: true });
  await Deno.writeFile(`${path}.part`, await saveCheckpoint(step));
  await Deno.rename(`${path}.part`, path);
}

async function writeAll(to: { write(bytes: Uint8Array): Promise<number> }, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}
