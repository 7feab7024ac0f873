import { checkKeys, describe } from "../core/describe.ts";
import { checkCellSize } from "../cells/size.ts";
import type { CellSize } from "../cells/size.ts";
import type { Sym } from "../trace/graph.ts";
import { add, exp, greater, matvec, min, slice, sub, tanh, where } from "../trace/ops.ts";

/** Sizes of a layer on linear recurrences, and what all of them can do. */
export interface LayerSize extends CellSize {
  /** Default false; if true, time runs backward, as in the second half of a bidirectional network. */
  reverse?: boolean;
}

/** A function that a network applies elementwise. */
export type Activation = "identity" | "tanh" | "elu";

const ACTIVATIONS: Readonly<Record<Activation, (a: Sym) => Sym>> = {
  identity: (a) => a,
  tanh: (a) => tanh(a),
  // The exponential of no more than 0: where() computes both sides.
  elu: (a) => where(greater(a, 0), a, sub(exp(min(a, 0)), 1)),
};

/** Applies a function elementwise. */
export function activate(activation: Activation, a: Sym): Sym {
  return ACTIVATIONS[activation](a);
}

/** Throws unless sizes and settings are what the layer knows. */
export function checkLayer(layer: string, options: LayerSize, known: readonly string[] = []): void {
  checkCellSize(layer, options);
  const context = `Cannot make ${layer}()`;
  checkKeys(context, "options", options, ["input", "hidden", "reverse", ...known]);
  const { reverse = false } = options;
  if (typeof reverse !== "boolean") {
    throw new TypeError(`${context}: reverse must be true or false, got ${describe(reverse)}`);
  }
}

/** Throws a RangeError unless `value` is one of `known`. */
export function checkChoice(layer: string, name: string, value: unknown, known: readonly string[]): void {
  if (known.includes(value as string)) return;
  const list = known.map((one) => `"${one}"`);
  const words = `${list.slice(0, -1).join(", ")} or ${list.at(-1)}`;
  throw new RangeError(`Cannot make ${layer}(): ${name} must be ${words}, got ${describe(value)}`);
}

/** Throws a RangeError unless `value` is a finite number. */
export function checkNumber(layer: string, name: string, value: unknown): void {
  if (typeof value === "number" && Number.isFinite(value)) return;
  throw new RangeError(`Cannot make ${layer}(): ${name} must be a finite number, got ${describe(value)}`);
}

/** The gates of `weight x + bias`, which are stacked: `gate(i)` is rows `i hidden` to `(i + 1) hidden`. */
export function stackedGates(weight: Sym, bias: Sym, x: Sym, hidden: number): (i: number) => Sym {
  const all = add(matvec(weight, x), bias);
  return (i) => slice(all, i * hidden, (i + 1) * hidden);
}
