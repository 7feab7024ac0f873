import type { HostTensor } from "../core/types.ts";
import { kindOf } from "../core/describe.ts";
import { show } from "./checks.ts";
import { parseUeaCase, parseUeaNumber, type UeaCase } from "./uea_case.ts";
import { isComment, lineError, parseUeaHeader, type UeaHeader } from "./uea_header.ts";

/** A set of time series, one for each case, with what is to be told from them: the content of a `.ts` file. */
export interface UeaDataset {
  /** `@problemName`; empty where the file has none. */
  readonly problemName: string;
  /** The comments before `@data`, line by line. */
  readonly description?: string;
  /** C: channels, the same for all cases. */
  readonly dimensions: number;
  /** The N series, `(T_i, C)` each; NaN where a value is missing, and after the end of a channel that is shorter. */
  readonly cases: readonly HostTensor[];
  /** How many values each channel of each case has; absent in a set to be written means `T_i`. */
  readonly channelLengths?: readonly (readonly number[])[];
  /** When each value was measured, in the shapes of `cases`: numbers, dates as seconds since 1970 (UTC). */
  readonly timestamps?: readonly HostTensor[];
  /** The names of the classes. */
  readonly classNames?: readonly string[];
  /** For each case the index of its class in `classNames`. */
  readonly labels?: Uint32Array<ArrayBuffer>;
  /** For each case the number to be predicted. */
  readonly targets?: Float64Array<ArrayBuffer>;
}

/**
 * Reads the text of a `.ts` file of the UEA and UCR archives, as sktime and aeon write it, into double precision.
 *
 * Tags are read in any case: `@problemName`, `@timeStamps`, `@univariate`, `@dimensions`, `@equalLength`, `@seriesLength`,
 * `@classLabel`, `@targetLabel`, `@data`; other tags are passed over. Missing values (`?` or `NaN`) are NaN, lengths may
 * differ from case to case and from channel to channel, and values with time stamps, `(stamp,value)`, are read too. Class
 * names are matched as they are, else without regard to case. Costs some ten bytes of memory a value beside the text.
 *
 * Throws a TypeError if `text` is no string, and a SyntaxError that names the line, what was expected and what came: a
 * value that is no number, a class that the header does not name, lengths or channels that contradict the header.
 *
 * Format: https://www.aeon-toolkit.org/en/stable/api_reference/data_format.html
 *
 * @example
 * ```ts
 * import { padCases, readUea } from "@cervid/cervid/io";
 *
 * // Two channels, of different lengths in each case: 1.5, 2, 3 and 4, missing, 6 for the first, which is "up".
 * const { cases, classNames, labels } = readUea(`# Any comment
 * @problemName Example
 * @timeStamps false
 * @univariate false
 * @dimensions 2
 * @equalLength false
 * @classLabel true down up
 * @data
 * 1.5,2,3:4,?,6:up
 * 1,2:3,4:down
 * `);
 * console.log(cases[0]!.shape, classNames![labels![0]!]); // [3, 2] "up"
 * const { xs, lengths } = padCases(cases); // (2, 3, 2), and [3, 2]
 * console.log(xs.shape, lengths);
 * ```
 */
export function readUea(text: string): UeaDataset {
  if (typeof text !== "string") {
    const cure = "decode bytes with new TextDecoder().decode(bytes)";
    throw new TypeError(`Cannot read .ts: expected the text of a file as a string, got ${kindOf(text)}; ${cure}`);
  }
  const lines = text.split("\n");
  const { header, end } = parseUeaHeader(lines);
  const classOf = header.classNames && createClassReader(header.classNames);
  const cases: HostTensor[] = [];
  const timestamps: HostTensor[] = [];
  const channelLengths: number[][] = [];
  const answers: number[] = [];
  let { dimensions, seriesLength: length } = header;
  for (let index = end; index < lines.length; index++) {
    const content = lines[index]!.trim();
    if (content === "" || isComment(content)) continue;
    const line = index + 1;
    if (content.startsWith("@")) throw lineError(line, "a case, as @data has come before", show(content));
    const parsed = parseUeaCase(content, line, { ...header, ...(dimensions && { dimensions }) }, length);
    dimensions = parsed.channels.length;
    if (header.equalLength) length = parsed.channels[0]!.length;
    cases.push(interleave(parsed.channels));
    if (parsed.stamps !== null) timestamps.push(interleave(parsed.stamps));
    channelLengths.push(parsed.channels.map((channel) => channel.length));
    if (parsed.label !== undefined) answers.push(classOf?.(parsed.label, line) ?? readTarget(parsed.label, line));
  }
  return {
    problemName: header.problemName,
    description: header.description,
    dimensions: dimensions ?? 0,
    cases,
    channelLengths,
    ...(header.timestamps ? { timestamps } : {}),
    ...(header.classNames ? { classNames: header.classNames, labels: Uint32Array.from(answers) } : {}),
    ...(header.regression ? { targets: Float64Array.from(answers) } : {}),
  };
}

/** Channels as `(T, C)`, T the length of the longest; NaN where a channel has ended. */
function interleave(channels: UeaCase["channels"]): HostTensor {
  const width = channels.length;
  const time = channels.reduce((longest, { length }) => Math.max(longest, length), 0);
  const data = new Float64Array(time * width).fill(NaN);
  for (const [channel, values] of channels.entries()) {
    for (let t = 0; t < values.length; t++) data[t * width + channel] = values[t]!;
  }
  return { data, shape: [time, width] };
}

function createClassReader(names: NonNullable<UeaHeader["classNames"]>): (label: string, line: number) => number {
  const exact = new Map(names.map((name, k) => [name, k]));
  const folded = new Map(names.map((name, k) => [name.toLowerCase(), k]));
  return (label, line) => {
    const found = exact.get(label) ?? (folded.size === names.length ? folded.get(label.toLowerCase()) : undefined);
    if (found === undefined) throw lineError(line, `one of the classes ${show(names.join(" "))}`, show(label));
    return found;
  };
}

function readTarget(label: string, line: number): number {
  const value = parseUeaNumber(label);
  if (value === undefined) throw lineError(line, 'a number as target, "?" or "NaN"', show(label));
  return value;
}
