import type { HostTensor } from "../core/types.ts";
import { checkHostTensor, isCount, isRecord } from "../core/host.ts";
import { kindOf } from "../core/describe.ts";
import { formatShape } from "../core/shape.ts";
import { show } from "./checks.ts";
import type { UeaDataset } from "./uea.ts";

const WRITE = "Cannot write .ts";

/**
 * Writes a set of time series as the text of a `.ts` file: what {@linkcode readUea} returns, with every number to its last
 * bit. NaN is written as `?`; the header says what the set is. Costs about twice the text in memory.
 *
 * Throws a TypeError if a series has another number of channels than `dimensions`, labels do not fit the cases and classes,
 * or a name cannot stand in a file: class names have no white space, no ":" and no "(" or ")".
 *
 * Format: https://www.aeon-toolkit.org/en/stable/api_reference/data_format.html
 *
 * @example
 * ```ts
 * import { writeUea } from "@cervid/cervid/io";
 *
 * const text = writeUea({
 *   problemName: "Example",
 *   dimensions: 1,
 *   cases: [{ data: new Float32Array([1, NaN, 0.5]), shape: [3, 1] }],
 *   classNames: ["down", "up"],
 *   labels: new Uint32Array([1]),
 * });
 * console.log(text.trimEnd().split("\n").at(-1)); // 1,?,0.5:up
 * ```
 */
export function writeUea(dataset: UeaDataset): string {
  checkDataset(dataset);
  const { problemName, description = "", dimensions, cases, timestamps, classNames, labels, targets } = dataset;
  const lengths = dataset.channelLengths ?? cases.map(({ shape }) => Array<number>(dimensions).fill(shape[0]!));
  const all = new Set(lengths.flat());
  const equal = all.size <= 1;
  const rows = cases.map((series, k) => {
    const fields = lengths[k]!.map((length, channel) => formatChannel(series, timestamps?.[k], length, channel));
    if (labels !== undefined) fields.push(classNames![labels[k]!]!);
    else if (targets !== undefined) fields.push(formatNumber(targets[k]!));
    // A reader drops what is empty after the last colon, so that the colon must be there twice.
    else if (fields.at(-1) === "") fields.push("");
    return fields.join(":");
  });
  const missing = cases.some((series, k) => hasMissing(series, lengths[k]!));
  return [
    ...(description === "" ? [] : description.split("\n").map((line) => `# ${line}`.trimEnd())),
    ...(problemName === "" ? [] : [`@problemName ${problemName}`]),
    `@timeStamps ${timestamps !== undefined}`,
    `@missing ${missing}`,
    `@univariate ${dimensions === 1}`,
    ...(dimensions > 1 ? [`@dimensions ${dimensions}`] : []),
    `@equalLength ${equal}`,
    ...(equal && cases.length > 0 ? [`@seriesLength ${[...all][0]}`] : []),
    ...(targets !== undefined ? ["@targetLabel true"] : [
      labels === undefined ? "@classLabel false" : `@classLabel true ${classNames!.join(" ")}`,
    ]),
    "@data",
    ...rows,
    "",
  ].join("\n");
}

/** The first `length` values of a channel, with their time stamps where there are any. */
function formatChannel(series: HostTensor, stamps: HostTensor | undefined, length: number, channel: number): string {
  const width = series.shape[1]!;
  return Array.from({ length }, (_, t) => {
    const value = formatNumber(series.data[t * width + channel]!);
    return stamps === undefined ? value : `(${formatNumber(stamps.data[t * width + channel]!)},${value})`;
  }).join(",");
}

function formatNumber(value: number): string {
  if (Number.isNaN(value)) return "?";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Object.is(value, -0) ? "-0" : String(value);
}

function hasMissing({ data, shape: [, width = 0] }: HostTensor, lengths: readonly number[]): boolean {
  return lengths.some((length, channel) => {
    for (let t = 0; t < length; t++) if (Number.isNaN(data[t * width + channel]!)) return true;
    return false;
  });
}

function checkDataset(dataset: UeaDataset): void {
  if (!isRecord(dataset)) throw new TypeError(`${WRITE}: expected a record, got ${kindOf(dataset)}`);
  const { problemName, description = "", dimensions, cases, channelLengths, timestamps } = dataset;
  if (typeof problemName !== "string" || problemName.trim() !== problemName || /[\r\n]/.test(problemName)) {
    throw new TypeError(`${WRITE}: problemName must be one line without space around it, got ${show(problemName)}`);
  }
  if (typeof description !== "string") {
    throw new TypeError(`${WRITE}: description must be a string, got ${kindOf(description)}`);
  }
  if (!isCount(dimensions)) {
    throw new TypeError(`${WRITE}: dimensions must be a whole number of at least 0, got ${show(dimensions)}`);
  }
  if (!Array.isArray(cases)) throw new TypeError(`${WRITE}: cases must be a list of tensors, got ${kindOf(cases)}`);
  cases.forEach((series, k) => checkSeries(`case ${k}`, series, dimensions));
  if (dimensions === 0 && cases.length > 0) {
    throw new TypeError(`${WRITE}: dimensions must be at least 1 where there are cases, got 0`);
  }
  checkCount("channelLengths", channelLengths, cases.length);
  channelLengths?.forEach((lengths, k) => {
    const time = cases[k]!.shape[0]!;
    if (lengths?.length === dimensions && lengths.every((length) => isCount(length) && length <= time)) return;
    throw new TypeError(
      `${WRITE}: the channelLengths of case ${k} must be ${dimensions} whole numbers up to ${time}, got ${
        show(lengths)
      }`,
    );
  });
  checkCount("timestamps", timestamps, cases.length);
  timestamps?.forEach((stamps, k) => {
    checkSeries(`the timestamps of case ${k}`, stamps, dimensions);
    const { shape } = cases[k]!;
    if (stamps.shape[0] !== shape[0]) {
      throw new TypeError(
        `${WRITE}: the timestamps of case ${k} must have shape ${formatShape(shape)}, got ${formatShape(stamps.shape)}`,
      );
    }
    const wrong = findStamp(stamps, channelLengths?.[k]);
    if (wrong === undefined) return;
    const at = `(${Math.floor(wrong / dimensions)}, ${wrong % dimensions})`;
    throw new TypeError(
      `${WRITE}: the timestamps of case ${k} must be finite, got ${stamps.data[wrong]} at (t, channel) = ${at}`,
    );
  });
  checkAnswers(dataset);
}

/** The first time stamp that is not finite, before the end of its channel. */
function findStamp(
  { data, shape: [time = 0, width = 0] }: HostTensor,
  lengths?: readonly number[],
): number | undefined {
  const wrong = data.findIndex((stamp, i) =>
    !Number.isFinite(stamp) && Math.floor(i / width) < (lengths?.[i % width] ?? time)
  );
  return wrong < 0 ? undefined : wrong;
}

function checkSeries(name: string, series: HostTensor, dimensions: number): void {
  checkHostTensor(WRITE, name, series);
  if (series.shape.length !== 2 || series.shape[1] !== dimensions) {
    throw new TypeError(`${WRITE}: ${name} must have shape (T, ${dimensions}), got ${formatShape(series.shape)}`);
  }
}

function checkCount(name: string, list: ArrayLike<unknown> | undefined, count: number): void {
  if (list === undefined || list.length === count) return;
  throw new TypeError(`${WRITE}: ${name} must be as many as there are cases, ${count}, got ${list.length}`);
}

function checkAnswers({ cases, classNames, labels, targets }: UeaDataset): void {
  checkCount("labels", labels, cases.length);
  checkCount("targets", targets, cases.length);
  if (labels !== undefined && targets !== undefined) {
    throw new TypeError(`${WRITE}: expected labels or targets, got both`);
  }
  if (labels === undefined) return;
  if (!Array.isArray(classNames) || classNames.length === 0) {
    throw new TypeError(`${WRITE}: classNames must be a list of the classes beside labels, got ${show(classNames)}`);
  }
  const wrong = classNames.find((name, k) =>
    typeof name !== "string" || !/^[^\s:()]+$/.test(name) || classNames.indexOf(name) !== k
  );
  if (wrong !== undefined) {
    throw new TypeError(
      `${WRITE}: every class must have a name of its own without white space, ":", "(" and ")", got ${show(wrong)}`,
    );
  }
  const unknown = labels.findIndex((label) => !isCount(label) || label >= classNames.length);
  if (unknown >= 0) {
    const range = `from 0 to ${classNames.length - 1}`;
    throw new TypeError(`${WRITE}: the label of case ${unknown} must be a class ${range}, got ${labels[unknown]}`);
  }
}
