import { formatShape } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import { isCount } from "../core/host.ts";
import { show } from "./checks.ts";

/** What the header of a .npy file says. */
export interface NpyHeader {
  /** The type string, as in `<f4`. */
  readonly descr: string;
  /** Whether the first axis runs fastest. */
  readonly fortranOrder: boolean;
  readonly shape: Shape;
}

const KEYS: ReadonlySet<string> = new Set(["descr", "fortran_order", "shape"]);

/**
 * Reads the Python dict literal in a header, and nothing but that: the three keys once each, in any order.
 * Throws a SyntaxError that starts with `context`.
 */
export function parseNpyHeader(text: string, context: string): NpyHeader {
  let at = 0;
  const fail = (expected: string): never => {
    const got = at < text.length ? show(text.slice(at, at + 20)) : "its end";
    throw new SyntaxError(`${context}: expected ${expected} at character ${at} of the header, got ${got}`);
  };
  /** What the sticky `pattern` matches here, past white space; undefined where it does not match. */
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    while (" \t\n\r\f".includes(text.charAt(at)) && at < text.length) at++;
    pattern.lastIndex = at;
    const match = pattern.exec(text) ?? undefined;
    if (match) at = pattern.lastIndex;
    return match;
  };
  const takeString = (expected: string): string => {
    const match = take(/'([^'"\\\n]*)'|"([^'"\\\n]*)"/y) ?? fail(expected);
    return match[1] ?? match[2]!;
  };
  const takeShape = (): number[] => {
    const axes: number[] = [];
    if (!take(/\(/y)) fail("a tuple of whole numbers");
    while (!take(/\)/y)) {
      if (axes.length > 0 && !take(/,/y)) fail('"," or ")"');
      if (axes.length > 0 && take(/\)/y)) return axes;
      // Python 2 wrote long integers with an L.
      const digits = (take(/(-?(?:0|[1-9]\d*))L?(?![\w.])/y) ?? fail("a whole number"))[1]!;
      if (!isCount(Number(digits))) {
        const expected = "a whole number from 0 to 2^53 - 1";
        throw new SyntaxError(
          `${context}: axis ${axes.length} of the shape must be ${expected}, got ${digits.slice(0, 40)}`,
        );
      }
      axes.push(Number(digits));
      // (3) is a number in Python, not a tuple.
      if (axes.length === 1 && take(/(?=\))/y)) fail('","');
    }
    return axes;
  };

  const found: { descr?: string; fortran_order?: boolean; shape?: number[] } = {};
  if (!take(/\{/y)) fail("a Python dict");
  while (!take(/\}/y)) {
    const key = takeString("a key");
    if (!KEYS.has(key)) {
      throw new SyntaxError(`${context}: expected the keys ${[...KEYS].join(", ")}, got ${show(key)}`);
    }
    if (Object.hasOwn(found, key)) throw new SyntaxError(`${context}: expected the key "${key}" once, got it twice`);
    if (!take(/:/y)) fail('":"');
    if (key === "descr") {
      if (take(/[[(]/y)) {
        throw new SyntaxError(
          `${context}: structured arrays are not supported; save each field as an array of its own`,
        );
      }
      found.descr = takeString("a type such as '<f4'");
    } else if (key === "fortran_order") {
      found.fortran_order = (take(/(?:True|False)(?!\w)/y) ?? fail("True or False"))[0] === "True";
    } else found.shape = takeShape();
    if (!take(/,/y) && !take(/(?=\})/y)) fail('"," or "}"');
  }
  if (!take(/$/y)) fail("nothing after the dict");

  const { descr, fortran_order: fortranOrder, shape } = found;
  if (descr === undefined || fortranOrder === undefined || shape === undefined) {
    const missing = [...KEYS].filter((key) => !Object.hasOwn(found, key));
    throw new SyntaxError(
      `${context}: expected the keys ${[...KEYS].join(", ")}, got none named ${missing.join(", ")}`,
    );
  }
  return { descr, fortranOrder, shape };
}

/** The dict literal exactly as `numpy.save` writes it: followed by room for a first axis that grows in place. */
export function formatNpyHeader({ descr, fortranOrder, shape }: NpyHeader): string {
  const order = fortranOrder ? "True" : "False";
  const growing = fortranOrder ? shape.at(-1) : shape[0];
  const room = growing === undefined ? 0 : 21 - String(growing).length;
  return `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${formatShape(shape)}, }${" ".repeat(room)}`;
}
