import { show } from "./checks.ts";
import { lineError, type UeaHeader } from "./uea_header.ts";

/** One line of data: the values of each channel, when they were measured, and what the line ends in. */
export interface UeaCase {
  readonly channels: readonly Float64Array<ArrayBuffer>[];
  /** As long as the channels; null where the file has no time stamps. */
  readonly stamps: readonly Float64Array<ArrayBuffer>[] | null;
  /** The class or the target, undefined where cases have none. */
  readonly label?: string;
}

/** Reads a line of data, whose channels must all have `length` values if that is known; `line` counts from 1. */
export function parseUeaCase(text: string, line: number, header: UeaHeader, length: number | undefined): UeaCase {
  const fields = header.timestamps ? splitOutsideBrackets(text) : text.split(":");
  const labelled = header.classNames !== undefined || header.regression;
  const label = labelled ? fields.pop()!.trim() : undefined;
  if (labelled && fields.length === 0) {
    throw lineError(line, `channels and a ${header.regression ? "target" : "class"} after ":"`, show(text));
  }
  // aeon ends each channel with a colon, also the last one where no label follows.
  if (!labelled && fields.at(-1)!.trim() === "") fields.pop();
  const { dimensions } = header;
  if (dimensions !== undefined && fields.length !== dimensions) {
    throw lineError(line, `${dimensions} channels, separated by ":",`, String(fields.length));
  }
  const parsed = fields.map((field, channel) =>
    header.timestamps ? parsePairs(field, line, channel) : { values: parseList(field, line, channel), stamps: null }
  );
  const expected = length ?? (header.equalLength ? parsed[0]!.values.length : undefined);
  for (const [channel, { values }] of parsed.entries()) {
    if (expected !== undefined && values.length !== expected) {
      throw lineError(line, `${expected} values in channel ${channel} (@equalLength true)`, String(values.length));
    }
  }
  return {
    channels: parsed.map(({ values }) => values),
    stamps: header.timestamps ? parsed.map(({ stamps }) => stamps!) : null,
    ...(label === undefined ? {} : { label }),
  };
}

/** A number as Python's `float` reads it; NaN where it is missing, undefined where `text` is none. */
export function parseUeaNumber(text: string): number | undefined {
  const trimmed = text.trim();
  const value = Number(trimmed);
  // What Number() takes beyond decimals ("0x1", "1e5" is both) has a letter in the second place: a quick look for most.
  if (Number.isFinite(value) && trimmed !== "" && !(trimmed.charCodeAt(1) > 57)) return value;
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(trimmed)) return value;
  const word = trimmed.toLowerCase();
  if (word === "?" || word === "nan") return NaN;
  const infinite = /^([+-]?)inf(?:inity)?$/.exec(word);
  return infinite === null ? undefined : infinite[1] === "-" ? -Infinity : Infinity;
}

function parseList(field: string, line: number, channel: number): Float64Array<ArrayBuffer> {
  if (field.trim() === "") return new Float64Array(0);
  const parts = field.split(",");
  const values = new Float64Array(parts.length);
  for (const [t, part] of parts.entries()) {
    const value = parseUeaNumber(part);
    if (value === undefined) {
      const cure = part.includes("(") ? "; a file with time stamps says @timeStamps true" : "";
      throw lineError(line, `a number, "?" or "NaN" at (t, channel) = (${t}, ${channel})`, show(part.trim()) + cure);
    }
    values[t] = value;
  }
  return values;
}

/** Reads `(stamp,value),(stamp,value)`. */
function parsePairs(
  field: string,
  line: number,
  channel: number,
): { readonly values: Float64Array<ArrayBuffer>; readonly stamps: Float64Array<ArrayBuffer> } {
  const values: number[] = [];
  const stamps: number[] = [];
  const pair = /\s*\(([^(),]*),([^(),]*)\)\s*(,|$)/y;
  for (let at = 0, more = field.trim() !== ""; more;) {
    pair.lastIndex = at;
    const [all, stampText, valueText, comma] = pair.exec(field) ?? [];
    const stamp = stampText === undefined ? undefined : parseStamp(stampText.trim());
    const value = valueText === undefined ? undefined : parseUeaNumber(valueText);
    if (all === undefined || stamp === undefined || value === undefined) {
      const what = `(stamp,value) at (t, channel) = (${values.length}, ${channel}), the stamp a number or a date,`;
      throw lineError(line, what, show(field.slice(at, at + 40)));
    }
    stamps.push(stamp);
    values.push(value);
    more = comma === ",";
    at += all.length;
  }
  return { values: Float64Array.from(values), stamps: Float64Array.from(stamps) };
}

/** A stamp as a number: as it is, or a date `YYYY-MM-DD HH:MM:SS` as seconds since 1970, taken as UTC. */
function parseStamp(text: string): number | undefined {
  const number = parseUeaNumber(text);
  if (number !== undefined) return Number.isFinite(number) ? number : undefined;
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?)?$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour = 0, minute = 0, second = 0] = match.slice(1).map((part) => Number(part ?? 0));
  const midnight = new Date(Date.UTC(year!, month! - 1, day));
  // Date.UTC takes the 31st of February for a day in March.
  const exists = midnight.getUTCMonth() === month! - 1 && midnight.getUTCDate() === day;
  if (!exists || hour > 23 || minute > 59 || second >= 61) return undefined;
  return midnight.getTime() / 1000 + 3600 * hour + 60 * minute + second;
}

/** The parts between colons that stand in no brackets: dates have colons of their own. */
function splitOutsideBrackets(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "(") inside = true;
    else if (char === ")") inside = false;
    else if (char === ":" && !inside) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}
