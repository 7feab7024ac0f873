import { formatShape } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import * as build from "./build.ts";
import { currentTrace, type ElementwiseOp, Node, type Sym, type Trace } from "./graph.ts";
import { misuse } from "./misuse.ts";

// What users write, checked: shared by all operations of the vocabulary.

/** A traced value, or a number where a scalar is meant. */
export type Operand = Sym | number;

/** An operand as a node of the trace that is being written; a TraceError if it is none. */
export function lift(op: string, position: number, value: Operand, trace: Trace): Node {
  if (typeof value === "number") return trace.constant(value);
  if (!(value instanceof Node)) {
    const came = value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
    throw misuse(
      trace.name,
      `argument ${position} of ${op}() is ${came}, not a traced value or a number`,
      came === "undefined"
        ? "check the name it came by; parts of a vector are taken with slice(v, start, end)"
        : "wrap data in constant(...), or take h, x, p and t from the one record that a step is given",
    );
  }
  if (value.trace !== trace) {
    throw misuse(
      trace.name,
      `argument ${position} of ${op}() belongs to another trace, "${value.trace.name}"`,
      "use only what this call of the step function was given",
    );
  }
  return value;
}

/** One elementwise operation, its shapes checked. */
export function elementwise(op: ElementwiseOp, ...operands: readonly Operand[]): Sym {
  const trace = currentTrace(op);
  const args = operands.map((operand, i) => lift(op, i + 1, operand, trace));
  if (build.broadcastShape(args) === undefined) {
    throw misuse(
      trace.name,
      `${op}() cannot combine shapes ${args.map((arg) => formatShape(arg.shape)).join(" and ")}`,
      "give operands of equal shape, or scalars; slice, reshape or broadcast first",
    );
  }
  return build.elementwise(op, args);
}

/** The operand of an operation that is made of others: errors name what the user wrote. */
export function liftOnly(op: string, a: Operand): Node {
  return lift(op, 1, a, currentTrace(op));
}

/** An operand as a vector: scalars count as one element. */
export function liftVector(op: string, position: number, value: Operand, trace: Trace): Node {
  const node = lift(op, position, value, trace);
  if (node.shape.length > 1) {
    throw misuse(
      trace.name,
      `argument ${position} of ${op}() must be a vector, got shape ${formatShape(node.shape)}`,
      "reshape it to a vector",
    );
  }
  return build.reshape(node, [node.size]);
}

/** Whether `shape` has at most two axes of at least 1. */
export function isShape(shape: unknown): shape is Shape {
  return Array.isArray(shape) && shape.length <= 2 && shape.every((axis) => Number.isInteger(axis) && axis > 0);
}

/** What was given for a shape, as error messages write it. */
export function formatGiven(shape: unknown): string {
  return Array.isArray(shape) ? formatShape(shape) : String(shape);
}
