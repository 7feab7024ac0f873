/** The curve of a training, line by line on disk: JSON lines, and events for TensorBoard. */

import {
  formatJsonLine,
  type LogRecord,
  scalarsOf,
  writeTensorboardHeader,
  writeTensorboardScalars,
} from "@cervid/cervid";
import { replaceFile } from "./output_files.ts";

/** A point of a curve: means over the steps since the last one, and the measures that were taken there. */
export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
  readonly sweeps: number;
  readonly milliseconds: number;
  readonly [measure: string]: number;
}

/** Where lines are added as they come. */
export interface TrainingLog extends Disposable {
  /** Those up to where the training went on from. */
  readonly before: readonly CurvePoint[];
  add(record: LogRecord): Promise<void>;
}

/**
 * Opens `name.jsonl` and the file of events in a folder. A training that goes on `from` a step keeps the lines up to it; those
 * after it, of steps that are made again, are dropped (from the events TensorBoard drops them itself). From 0 both begin anew.
 */
export async function openLog(folder: string, name: string, from: number): Promise<TrainingLog> {
  const path = `${folder}/${name}.jsonl`;
  const kept = await readLines(path, from);
  await replaceFile(path, kept.map(({ line }) => `${line}\n`).join(""));
  const lines = await Deno.open(path, { append: true });
  try {
    const how = from > 0 ? { append: true } : { write: true, truncate: true };
    const events = await Deno.open(`${folder}/events.out.tfevents.${name}`, { ...how, create: true });
    const log: TrainingLog = {
      before: kept.map(({ point }) => point),
      async add(record) {
        await writeAll(events, writeTensorboardScalars(record.step, scalarsOf(record)));
        await writeAll(lines, new TextEncoder().encode(formatJsonLine(record)));
      },
      [Symbol.dispose]() {
        lines.close();
        events.close();
      },
    };
    if ((await events.stat()).size === 0) await writeAll(events, writeTensorboardHeader());
    return log;
  } catch (error) {
    lines.close();
    throw error;
  }
}

/** The lines up to a step, none if there is no file; a line that an interrupt has cut is none. */
async function readLines(path: string, to: number): Promise<{ readonly line: string; readonly point: CurvePoint }[]> {
  let text = "";
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return text.split("\n").flatMap((line) => {
    try {
      const entries = Object.entries(JSON.parse(line) as Record<string, number | string>);
      // Numbers that JSON has not are texts.
      const point = Object.fromEntries(entries.map(([name, value]) => [name, Number(value)])) as unknown as CurvePoint;
      return point.step <= to ? [{ line, point }] : [];
    } catch (error) {
      if (error instanceof SyntaxError) return [];
      throw error;
    }
  });
}

async function writeAll(to: { write(bytes: Uint8Array): Promise<number> }, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}
