import { show } from "./checks.ts";
import { isCount } from "../core/host.ts";

/** What starts every message about a .ts file that cannot be read. */
const READ = "Cannot read .ts";

/** What the lines before the data of a .ts file say; absent where they do not say it. */
export interface UeaHeader {
  readonly problemName: string;
  /** The comments before `@data`, without their signs. */
  readonly description: string;
  readonly timestamps: boolean;
  readonly dimensions?: number;
  /** Whether all channels of all cases are as long as each other. */
  readonly equalLength: boolean;
  /** How long they are then. */
  readonly seriesLength?: number;
  /** The names of the classes where cases end in one. */
  readonly classNames?: readonly string[];
  /** Whether cases end in a number to be predicted. */
  readonly regression: boolean;
}

/** A SyntaxError about a line, counted from 1. */
export function lineError(line: number, expected: string, got: string): SyntaxError {
  return new SyntaxError(`${READ}: expected ${expected} in line ${line}, got ${got}`);
}

/** Whether a line is a comment; some files of the archives have the sign of Weka's format. */
export function isComment(line: string): boolean {
  return line.startsWith("#") || line.startsWith("%");
}

/** What the tags say, in lower case and without `@`; other tags say nothing that a reader needs. */
const TAGS: ReadonlySet<string> = new Set([
  ...["problemname", "timestamps", "missing", "univariate", "dimensions", "equallength", "serieslength"],
  ...["classlabel", "targetlabel"],
]);

/** The header from its lines, up to the line of `@data`; `end` is the number of lines that it takes. */
export function parseUeaHeader(lines: readonly string[]): { readonly header: UeaHeader; readonly end: number } {
  const comments: string[] = [];
  const tags = new Map<string, { readonly value: string; readonly line: number }>();
  for (const [index, text] of lines.entries()) {
    const line = index + 1;
    const trimmed = text.trim();
    if (trimmed === "") continue;
    if (isComment(trimmed)) {
      comments.push(trimmed.slice(1).trim());
      continue;
    }
    const match = /^@(\S+)\s*(.*)$/s.exec(trimmed);
    if (match === null) throw lineError(line, "a comment (#), a tag (@) or @data", show(trimmed));
    const name = match[1]!.toLowerCase();
    const value = match[2]!;
    if (name === "data") {
      if (value !== "") throw lineError(line, "nothing after @data", show(value));
      return { header: readTags(tags, line, comments.join("\n")), end: line };
    }
    const key = name === "dimension" ? "dimensions" : name;
    if (!TAGS.has(key)) continue;
    if (tags.has(key)) throw lineError(line, `@${key} once`, `it again after line ${tags.get(key)!.line}`);
    tags.set(key, { value, line });
  }
  throw new SyntaxError(`${READ}: expected a line @data before the cases, got none in ${lines.length} lines`);
}

type Tags = ReadonlyMap<string, { readonly value: string; readonly line: number }>;

function readTags(tags: Tags, end: number, description: string): UeaHeader {
  const dimensions = readDimensions(tags);
  const equalLength = readBoolean(tags, "equallength") ?? false;
  // Where lengths differ, files give the longest, or any other number.
  const seriesLength = equalLength ? readNumber(tags, "serieslength", 0) : undefined;
  const classNames = readClasses(tags);
  const regression = readBoolean(tags, "targetlabel") ?? false;
  readBoolean(tags, "missing");
  if (!tags.has("classlabel") && !tags.has("targetlabel")) {
    throw lineError(end, "@classLabel or @targetLabel before @data", "neither");
  }
  if (classNames !== undefined && regression) {
    throw lineError(tags.get("targetlabel")!.line, "@targetLabel false beside @classLabel true", "true");
  }
  return {
    problemName: tags.get("problemname")?.value ?? "",
    description,
    timestamps: readBoolean(tags, "timestamps") ?? false,
    ...(dimensions === undefined ? {} : { dimensions }),
    equalLength,
    ...(seriesLength === undefined ? {} : { seriesLength }),
    ...(classNames === undefined ? {} : { classNames }),
    regression,
  };
}

function readDimensions(tags: Tags): number | undefined {
  const univariate = readBoolean(tags, "univariate");
  const dimensions = readNumber(tags, "dimensions", 1);
  if (univariate && dimensions !== undefined && dimensions !== 1) {
    throw lineError(tags.get("dimensions")!.line, "@dimensions 1 beside @univariate true", String(dimensions));
  }
  return univariate ? 1 : dimensions;
}

/** The names after `@classLabel true`; undefined where cases have no class. */
function readClasses(tags: Tags): string[] | undefined {
  const tag = tags.get("classlabel");
  if (tag === undefined) return undefined;
  const [flag = "", ...names] = tag.value.split(/\s+/);
  if (flag.toLowerCase() === "false" && names.length === 0) return undefined;
  if (flag.toLowerCase() !== "true" || names.length === 0) {
    throw lineError(tag.line, '"false", or "true" and the names of the classes after @classLabel', show(tag.value));
  }
  const twice = names.find((name, k) => names.indexOf(name) < k);
  if (twice !== undefined) throw lineError(tag.line, "every class once", `${show(twice)} twice`);
  return names;
}

function readBoolean(tags: Tags, name: string): boolean | undefined {
  const tag = tags.get(name);
  if (tag === undefined) return undefined;
  const value = tag.value.toLowerCase();
  if (value === "true" || value === "false") return value === "true";
  throw lineError(tag.line, `"true" or "false" after @${name}`, show(tag.value));
}

function readNumber(tags: Tags, name: string, least: number): number | undefined {
  const tag = tags.get(name);
  if (tag === undefined) return undefined;
  const value = /^\d+$/.test(tag.value) ? Number(tag.value) : NaN;
  if (isCount(value) && value >= least) return value;
  throw lineError(tag.line, `a whole number of at least ${least} after @${name}`, show(tag.value));
}
