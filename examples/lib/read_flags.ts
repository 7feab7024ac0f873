/** Command lines of the examples: values that are checked, or one line that says what is wrong. */

import { parseArgs, type ParseArgsConfig } from "node:util";

/** A command line that cannot be understood. */
export class FlagError extends Error {
  override readonly name = "FlagError";
}

/** The values of the flags as text, by `parseArgs` of Node; throws a {@linkcode FlagError} for a flag that is unknown. */
export function readFlags<const Flags extends NonNullable<ParseArgsConfig["options"]>>(
  args: readonly string[],
  flags: Flags,
): ReturnType<typeof parseArgs<{ options: Flags; strict: true }>>["values"] {
  try {
    return parseArgs({ args: joinNumbers(args, flags), options: flags, strict: true }).values;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // "Option '--seed <value>' argument missing", "Option '--seed' argument is ambiguous. ..."
    const valueless = message.match(/^Option '(--[\w-]+)[^']*' argument (?:missing|is ambiguous)/)?.[1];
    if (valueless !== undefined) throw new FlagError(`${valueless} needs a value`);
    // The first sentence names the flag; what follows is advice about a parser that nobody sees here.
    throw new FlagError(message.split(/\n|\. /, 1)[0]!.replace(/\.$/, ""));
  }
}

/** `--flag -3` as `--flag=-3`: a number below 0 is a value, which the parser would take for a flag. */
function joinNumbers(args: readonly string[], flags: NonNullable<ParseArgsConfig["options"]>): string[] {
  const joined: string[] = [];
  for (const text of args) {
    const flag = joined.at(-1);
    const waits = flag !== undefined && flag.startsWith("--") && flags[flag.slice(2)]?.type === "string";
    if (waits && /^-[\d.]/.test(text)) joined[joined.length - 1] = `${flag}=${text}`;
    else joined.push(text);
  }
  return joined;
}

/** One of `choices`. */
export function readChoice<const Name extends string>(flag: string, text: string, choices: readonly Name[]): Name {
  const choice = choices.find((name) => name === text);
  if (choice === undefined) throw new FlagError(`--${flag} must be one of ${choices.join(", ")}, got "${text}"`);
  return choice;
}

/** A whole number from `least` to `most`. */
export function readCount(
  flag: string,
  text: string,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new FlagError(`--${flag} must be a whole number ${range}, got "${text}"`);
}

/** Any number but NaN and the infinite ones. */
export function readNumber(flag: string, text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new FlagError(`--${flag} must be a number, got "${text}"`);
}
