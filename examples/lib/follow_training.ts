/** Follows a training: a line of progress, curves, files for TensorBoard, checkpoints, Ctrl-C. */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Checkpoint,
  type Device,
  formatProgress,
  loadCheckpoint,
  saveCheckpoint,
  type ShapeTree,
  type Tensor,
  type TrainStep,
  type Tree,
} from "@cervid/cervid";
import { drawCurves } from "./curves.ts";
import { explainFileError, makeFolder, makeFolderOf, replaceFile } from "./output_files.ts";
import { FlagError } from "./read_flags.ts";
import type { TrainOptions } from "./train_flags.ts";
import { type CurvePoint, openLog, type TrainingLog } from "./training_log.ts";

/** What is known at the end. */
export interface Followed<P extends Tree<Tensor>> {
  /** The last parameters. */
  readonly params: P;
  /** Of the whole training, also of the part before a checkpoint, if that was logged to the same folder. */
  readonly points: readonly CurvePoint[];
  /** Of every step of this run. */
  readonly losses: readonly number[];
  /** Of this run. */
  readonly seconds: number;
}

/** What a training is called, and how it is shown. */
export interface FollowOptions {
  /** Of the files. */
  readonly name: string;
  readonly title: string;
  readonly steps: number;
  /** The step that it goes on from. */
  readonly from?: number | undefined;
  /** Steps of an epoch: the unit of the horizontal axis. */
  readonly epoch?: number;
}

/** Where curves go by default. */
export const OUT: string = fileURLToPath(new URL("../out/", import.meta.url));

/** The state that a training of a model with parameters of these shapes goes on from, if its file is there. */
export async function readCheckpoint(
  device: Device,
  { checkpoint }: TrainOptions,
  shapes: ShapeTree,
): Promise<Checkpoint | undefined> {
  if (checkpoint === undefined) return undefined;
  await makeFolderOf("checkpoint", checkpoint);
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(checkpoint);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new FlagError(`--checkpoint ${checkpoint} cannot be read: ${explainFileError(error)}`);
  }
  try {
    const state = loadCheckpoint(device, bytes);
    const [there, here] = [listShapes(state.params), listShapes(shapes)];
    const k = Array.from({ length: Math.max(there.length, here.length) }, (_, k) => k).find((k) =>
      there[k] !== here[k]
    );
    if (k === undefined) return state;
    const none = "no more parameters";
    throw new FlagError(
      `--checkpoint ${checkpoint} is of another model: ${there[k] ?? none} there, ${here[k] ?? none} here`,
    );
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new FlagError(`--checkpoint ${checkpoint} cannot be read: ${error.message}`);
  }
}

/** The parameters of a tree by their paths, with their shapes. */
function listShapes(tree: Tree<Tensor> | ShapeTree, prefix = ""): string[] {
  return Object.keys(tree).sort().flatMap((name) => {
    const value = tree[name] as Tensor | readonly number[] | Tree<Tensor>;
    const shape = Array.isArray(value) ? value : (value as Tensor).shape;
    const path = `${prefix}${name}`;
    return Array.isArray(shape) ? [`${path} (${shape.join(", ")})`] : listShapes(value as Tree<Tensor>, `${path}.`);
  });
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

/** Runs a training to its end, or to an interrupt, and keeps its curves. Files of before stay until the first point is there. */
export async function followTraining<P extends Tree<Tensor>>(
  training: AsyncGenerator<TrainStep<P>>,
  { out = OUT, checkpoint, json }: TrainOptions,
  { name, title, steps, from = 0, epoch = 1 }: FollowOptions,
): Promise<Followed<P>> {
  const folder = resolve(out);
  await makeFolder("out", folder);
  const isTerminal = Deno.stderr.isTerminal();
  const points: CurvePoint[] = [];
  const all: number[] = [];
  let last: TrainStep<P> | undefined;
  let log: TrainingLog | undefined;
  const began = performance.now();
  try {
    for await (const step of training) {
      last = step;
      if (log === undefined) {
        log = await openLog(folder, name, from);
        points.push(...log.before);
      }
      const { sweeps, milliseconds, evaluation = {}, losses } = step;
      all.push(...losses);
      const known = losses.filter(Number.isFinite);
      const loss = known.reduce((sum, value) => sum + value, 0) / known.length;
      const record = { step: step.step, loss, sweeps, milliseconds, evaluation };
      points.push({ step: step.step, loss, sweeps, milliseconds, ...evaluation });
      await log.add(record);
      for (const failure of step.failures) console.error(`\n${failure.action}: ${failure.error.message}`);
      const line = formatProgress(record, { steps });
      if (!json) await Deno.stderr.write(new TextEncoder().encode(isTerminal ? `\r\x1b[2K${line}` : `${line}\n`));
      if (checkpoint !== undefined) await replaceFile(checkpoint, await saveCheckpoint(step));
    }
  } catch (error) {
    // An interrupt ends training, not the program: what was learnt is there.
    if (!(error instanceof DOMException) || error.name !== "AbortError" || last === undefined) throw error;
  } finally {
    log?.[Symbol.dispose]();
  }
  if (isTerminal && !json) console.error();
  if (last === undefined) throw new FlagError(`nothing is left to train: the checkpoint is at step ${steps} or beyond`);
  const seconds = (performance.now() - began) / 1000;
  await Deno.writeTextFile(`${folder}/${name}.json`, JSON.stringify({ title, steps, seconds, points }, null, 1) + "\n");
  await Deno.writeTextFile(`${folder}/${name}.svg`, drawCurves(title, [{ label: name, points }], epoch));
  return { params: last.params, points, losses: all, seconds };
}
