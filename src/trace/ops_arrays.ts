import { formatShape, sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import * as build from "./build.ts";
import { currentTrace, type Node, type Sym, type Trace } from "./graph.ts";
import { misuse } from "./misuse.ts";
import { formatGiven, isShape, lift, liftVector, type Operand } from "./operands.ts";
import { add, div, exp, log, stopGradient, sub } from "./ops_elementwise.ts";

/** An operand with at least one element: the input of a step without input has none. */
function liftSome(op: string, a: Operand, trace: Trace): Node {
  const node = lift(op, 1, a, trace);
  if (node.size === 0) throw misuse(trace.name, `${op}() was given no elements`, "leave x out where input is 0");
  return node;
}

/** The sum of all elements: a scalar. */
export function sum(a: Operand): Sym {
  const trace = currentTrace("sum");
  return build.sum(lift("sum", 1, a, trace));
}

/** The mean of all elements: a scalar. */
export function mean(a: Operand): Sym {
  const trace = currentTrace("mean");
  const node = liftSome("mean", a, trace);
  return build.div(build.sum(node), trace.constant(node.size));
}

/** The largest element: a scalar. Where several are largest they share the derivative. */
export function maximum(a: Operand): Sym {
  const trace = currentTrace("maximum");
  return build.maximum(liftSome("maximum", a, trace));
}

/** `log Σ e^(a[i])`, without overflow: a scalar. */
export function logSumExp(a: Operand): Sym {
  const x = liftSome("logSumExp", a, currentTrace("logSumExp"));
  const top = stopGradient(maximum(x));
  return add(top, log(sum(exp(sub(x, top)))));
}

/**
 * `e^(a[i]) / Σ e^(a[j])`, without overflow.
 *
 * @example A distribution over states
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, matvec, softmax } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "hidden Markov weights",
 *   state: 3,
 *   input: 3,
 *   params: { w: [3, 3] },
 *   step: ({ h, x, p }) => softmax(add(matvec(p.w, h), x)),
 * });
 * ```
 */
export function softmax(a: Operand): Sym {
  const x = liftSome("softmax", a, currentTrace("softmax"));
  const weights = exp(sub(x, stopGradient(maximum(x))));
  return div(weights, sum(weights));
}

/**
 * Elements `start` to `end - 1` of a vector.
 *
 * @example The halves of a state
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { concat, slice } from "@cervid/cervid/ops";
 *
 * const swap = defineStep({
 *   name: "swap",
 *   state: 4,
 *   input: 0,
 *   params: {},
 *   step: ({ h }) => concat(slice(h, 2, 4), slice(h, 0, 2)),
 * });
 * console.log(swap.jacobian); // { block: 2, layout: "strided" }
 * ```
 */
export function slice(v: Operand, start: number, end: number): Sym {
  const trace = currentTrace("slice");
  const node = liftVector("slice", 1, v, trace);
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end <= start || end > node.size) {
    throw misuse(
      trace.name,
      `slice() cannot take elements ${start} to ${end} of a vector of ${node.size}`,
      "give whole numbers with 0 <= start < end <= length",
    );
  }
  return build.slice(node, start, end - start);
}

/** The elements of all values in order: a vector. Scalars count as one element. */
export function concat(...values: readonly Operand[]): Sym {
  const trace = currentTrace("concat");
  if (values.length === 0) throw misuse(trace.name, "concat() was given nothing", "give at least one value");
  return build.concat(values.map((value, i) => liftVector("concat", i + 1, value, trace)));
}

/**
 * The same elements in another shape of equal size, row-major: a vector as a matrix, or back.
 *
 * @example Weights that change with every step
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { matvec, reshape, tanh } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "weights among the inputs",
 *   state: 2,
 *   input: 4,
 *   params: {},
 *   step: ({ h, x }) => tanh(matvec(reshape(x, [2, 2]), h)),
 * });
 * ```
 */
export function reshape(v: Operand, shape: Shape): Sym {
  const trace = currentTrace("reshape");
  const node = lift("reshape", 1, v, trace);
  if (!isShape(shape) || sizeOf(shape) !== node.size) {
    throw misuse(
      trace.name,
      `reshape() cannot give ${node.size} elements the shape ${formatGiven(shape)}`,
      "give at most two axes whose product is the number of elements",
    );
  }
  return build.reshape(node, shape);
}

/**
 * A vector of `length` elements, or an array of a shape, that all equal the scalar `a`.
 *
 * @example A scalar for every unit
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, broadcast, mean, mul } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "mean field",
 *   state: 4,
 *   input: 0,
 *   params: { k: [] },
 *   step: ({ h, p }) => add(mul(0.9, h), broadcast(mul(p.k, mean(h)), 4)),
 * });
 * ```
 */
export function broadcast(a: Operand, length: number | Shape): Sym {
  const trace = currentTrace("broadcast");
  const node = lift("broadcast", 1, a, trace);
  const shape = typeof length === "number" ? [length] : length;
  if (node.size !== 1 || !isShape(shape)) {
    throw misuse(
      trace.name,
      `broadcast() cannot spread shape ${formatShape(node.shape)} to ${formatGiven(shape)}`,
      "give a scalar, and a length or a shape of at most two axes",
    );
  }
  return build.broadcast(node, shape);
}

/**
 * A number as a scalar, or an array of numbers as a vector (with `shape`, as a matrix): data that no one trains.
 *
 * @example Numbers that nobody trains
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, constant, mul } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "fixed rates",
 *   state: 3,
 *   input: 3,
 *   params: {},
 *   step: ({ h, x }) => add(mul(constant([0.5, 0.9, 0.99]), h), x),
 * });
 * ```
 */
export function constant(value: number | ArrayLike<number>, shape?: Shape): Sym {
  const trace = currentTrace("constant");
  const count = typeof value === "number" ? 1 : typeof value === "object" ? value?.length : undefined;
  const fits = shape === undefined || (isShape(shape) && (typeof value === "number" || sizeOf(shape) === count));
  if (typeof count !== "number" || !fits) {
    const given = shape === undefined ? "" : ` the shape ${formatGiven(shape)}`;
    throw misuse(
      trace.name,
      `constant() cannot give ${count === undefined ? String(value) : `${count} elements`}${given}`,
      "give a number or an array of numbers, and a shape of as many elements",
    );
  }
  return typeof value === "number" ? build.broadcast(trace.constant(value), shape ?? []) : trace.constant(value, shape);
}
