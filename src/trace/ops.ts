/**
 * The vocabulary of traced steps: what a function given to `defineStep` may do with its symbols.
 *
 * Values are scalars `[]`, vectors `[n]` and (parameters, or reshaped vectors) matrices `[m, n]`. Numbers are accepted
 * wherever a scalar is; scalars and arrays of one element broadcast against arrays. Every operation has derivatives of
 * every order. Each throws a {@linkcode TraceError} where shapes do not fit, where two traces are mixed, or outside a
 * step function.
 *
 * @example A damped pendulum, one step of the symplectic Euler method
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, concat, mul, sin, slice, sub } from "@cervid/cervid/ops";
 *
 * const pendulum = defineStep({
 *   name: "pendulum",
 *   state: 2,
 *   input: 1,
 *   params: { damping: [], dt: [] },
 *   step: ({ h, x, p }) => {
 *     const q = slice(h, 0, 1);
 *     const v = slice(h, 1, 2);
 *     const acceleration = sub(x, add(mul(p.damping, v), sin(q)));
 *     const next = add(v, mul(p.dt, acceleration));
 *     return concat(add(q, mul(p.dt, next)), next);
 *   },
 * });
 * console.log(pendulum.jacobian); // "dense"
 * ```
 *
 * @module
 */
import type { Shape } from "../core/types.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import type { TraceError } from "../core/errors.ts";
import { currentTrace, type ElementwiseOp, Node, type Sym, type Trace } from "./graph.ts";
import * as build from "./build.ts";
import { substitute, vjp } from "./differentiate.ts";
import { misuse } from "./misuse.ts";

export type { Shape, Sym, TraceError };

/** A traced value, or a number where a scalar is meant. */
export type Operand = Sym | number;

function lift(op: string, position: number, value: Operand, trace: Trace): Node {
  if (typeof value === "number") return trace.constant(value);
  if (!(value instanceof Node)) {
    const came = value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
    throw misuse(
      trace.name,
      `argument ${position} of ${op}() is ${came}, not a traced value or a number`,
      came === "undefined" ? "check its name among the step's params" : "wrap data in constant(...)",
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

function elementwise(op: ElementwiseOp, ...operands: readonly Operand[]): Sym {
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

function liftVector(op: string, position: number, value: Operand, trace: Trace): Node {
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

function product(op: "matvec" | "matvecTransposed", matrix: Sym, vector: Operand): Sym {
  const trace = currentTrace(op);
  const m = lift(op, 1, matrix, trace);
  const v = liftVector(op, 2, vector, trace);
  const axis = op === "matvec" ? 1 : 0;
  if (m.shape.length !== 2 || m.shape[axis] !== v.size) {
    throw misuse(
      trace.name,
      `${op}() cannot multiply a matrix of shape ${formatShape(m.shape)} with a vector of shape ${
        formatShape(v.shape)
      }`,
      `give a matrix whose ${axis === 1 ? "columns" : "rows"} are as many as the vector's elements`,
    );
  }
  return build[op](m, v);
}

/** Elementwise `a + b`. */
export function add(a: Operand, b: Operand): Sym {
  return elementwise("add", a, b);
}

/** Elementwise `a - b`. */
export function sub(a: Operand, b: Operand): Sym {
  return elementwise("sub", a, b);
}

/** Elementwise `a · b`. */
export function mul(a: Operand, b: Operand): Sym {
  return elementwise("mul", a, b);
}

/** Elementwise `a / b`. */
export function div(a: Operand, b: Operand): Sym {
  return elementwise("div", a, b);
}

/** `-a`. */
export function neg(a: Operand): Sym {
  return elementwise("neg", a);
}

/** `a²`. */
export function square(a: Operand): Sym {
  return elementwise("mul", a, a);
}

/** `eᵃ`. */
export function exp(a: Operand): Sym {
  return elementwise("exp", a);
}

/** The natural logarithm; NaN below 0. */
export function log(a: Operand): Sym {
  return elementwise("log", a);
}

/** The square root; its derivative at 0 is infinite. */
export function sqrt(a: Operand): Sym {
  return elementwise("sqrt", a);
}

/** The sine of `a` in radians. */
export function sin(a: Operand): Sym {
  return elementwise("sin", a);
}

/** The cosine of `a` in radians. */
export function cos(a: Operand): Sym {
  return elementwise("cos", a);
}

/** The hyperbolic tangent. */
export function tanh(a: Operand): Sym {
  return elementwise("tanh", a);
}

/** The logistic function `σ(a) = 1 / (1 + e⁻ᵃ)`. */
export function sigmoid(a: Operand): Sym {
  return elementwise("sigmoid", a);
}

/** `log σ(a) = -softplus(-a)`, without overflow. */
export function logSigmoid(a: Operand): Sym {
  return neg(softplus(neg(a)));
}

/** `log(1 + eᵃ)`, without overflow. */
export function softplus(a: Operand): Sym {
  return elementwise("softplus", a);
}

/** `max(a, 0)`; its derivative at 0 is 0. */
export function relu(a: Operand): Sym {
  return elementwise("max", a, 0);
}

/** The Gaussian error linear unit in its tanh form: `½ a (1 + tanh(√(2/π) (a + 0.044715 a³)))` (arXiv 1606.08415). */
export function gelu(a: Operand): Sym {
  const inner = mul(Math.sqrt(2 / Math.PI), add(a, mul(0.044715, mul(a, square(a)))));
  return mul(mul(0.5, a), add(1, tanh(inner)));
}

/** The absolute value; its derivative at 0 is 0. */
export function abs(a: Operand): Sym {
  return elementwise("abs", a);
}

/** -1, 0 or 1; its derivative is 0. */
export function sign(a: Operand): Sym {
  return elementwise("sign", a);
}

/** Elementwise `aᵇ`. The derivative with respect to `b` is taken as 0 where `a ≤ 0`. */
export function pow(a: Operand, b: Operand): Sym {
  return elementwise("pow", a, b);
}

/** The larger of `a` and `b`, elementwise; at a tie `b` has the derivative. */
export function max(a: Operand, b: Operand): Sym {
  return elementwise("max", a, b);
}

/** The smaller of `a` and `b`, elementwise; at a tie `b` has the derivative. */
export function min(a: Operand, b: Operand): Sym {
  return elementwise("min", a, b);
}

/** 1 where `a < b`, else 0; its derivative is 0. */
export function less(a: Operand, b: Operand): Sym {
  return elementwise("less", a, b);
}

/** 1 where `a > b`, else 0; its derivative is 0. */
export function greater(a: Operand, b: Operand): Sym {
  return elementwise("greater", a, b);
}

/** 1 where `a = b`, else 0; its derivative is 0. */
export function equal(a: Operand, b: Operand): Sym {
  return elementwise("equal", a, b);
}

/**
 * `a` where `condition` is not 0, else `b`, elementwise. Both are computed; derivatives flow to the chosen one only. It
 * stands for a branch, which a traced function cannot take.
 *
 * @example A leaky unit
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { less, mul, where } from "@cervid/cervid/ops";
 *
 * const step = defineStep({
 *   name: "leaky",
 *   state: 3,
 *   input: 0,
 *   params: {},
 *   step: ({ h }) => where(less(h, 0), mul(0.1, h), h),
 * });
 * console.log(step.jacobian); // "diagonal"
 * ```
 */
export function where(condition: Operand, a: Operand, b: Operand): Sym {
  return elementwise("where", condition, a, b);
}

/** `a` as a constant to derivatives: `∂ stopGradient(a) = 0`. */
export function stopGradient(a: Operand): Sym {
  return elementwise("detach", a);
}

/** `matrix · vector`: `[m, n]`, `[n]` to `[m]`. Cost: m n multiplications. */
export function matvec(matrix: Sym, vector: Operand): Sym {
  return product("matvec", matrix, vector);
}

/** `matrixᵀ · vector`: `[m, n]`, `[m]` to `[n]`. Cost: m n multiplications. */
export function matvecTransposed(matrix: Sym, vector: Operand): Sym {
  return product("matvecTransposed", matrix, vector);
}

/** `out[i, j] = a[i] b[j]`: `[m]`, `[n]` to `[m, n]`. */
export function outer(a: Operand, b: Operand): Sym {
  const trace = currentTrace("outer");
  return build.outer(liftVector("outer", 1, a, trace), liftVector("outer", 2, b, trace));
}

/** `Σ a[i] b[i]` of two vectors of equal length: a scalar. */
export function dot(a: Operand, b: Operand): Sym {
  const trace = currentTrace("dot");
  const [u, v] = [liftVector("dot", 1, a, trace), liftVector("dot", 2, b, trace)];
  if (u.size !== v.size) {
    throw misuse(
      trace.name,
      `dot() cannot combine shapes ${formatShape(u.shape)} and ${formatShape(v.shape)}`,
      "give vectors of equal length",
    );
  }
  return build.sum(build.mul(u, v));
}

/** The sum of all elements: a scalar. */
export function sum(a: Operand): Sym {
  const trace = currentTrace("sum");
  return build.sum(lift("sum", 1, a, trace));
}

/** The mean of all elements: a scalar. */
export function mean(a: Operand): Sym {
  const trace = currentTrace("mean");
  const node = lift("mean", 1, a, trace);
  return build.div(build.sum(node), trace.constant(node.size));
}

/** The largest element: a scalar. Where several are largest they share the derivative. */
export function maximum(a: Operand): Sym {
  const trace = currentTrace("maximum");
  return build.maximum(lift("maximum", 1, a, trace));
}

/** `log Σ e^(a[i])`, without overflow: a scalar. */
export function logSumExp(a: Operand): Sym {
  const top = stopGradient(maximum(a));
  return add(top, log(sum(exp(sub(a, top)))));
}

/** `e^(a[i]) / Σ e^(a[j])`, without overflow. */
export function softmax(a: Operand): Sym {
  const weights = exp(sub(a, stopGradient(maximum(a))));
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

/** The same elements in another shape of equal size, row-major: a vector as a matrix, or back. */
export function reshape(v: Operand, shape: Shape): Sym {
  const trace = currentTrace("reshape");
  const node = lift("reshape", 1, v, trace);
  if (!isShape(shape) || sizeOf(shape) !== node.size) {
    throw misuse(
      trace.name,
      `reshape() cannot give ${node.size} elements the shape ${formatShape(shape)}`,
      "give at most two axes whose product is the number of elements",
    );
  }
  return build.reshape(node, shape);
}

/** A vector of `length` elements, or an array of a shape, that all equal the scalar `a`. */
export function broadcast(a: Operand, length: number | Shape): Sym {
  const trace = currentTrace("broadcast");
  const node = lift("broadcast", 1, a, trace);
  const shape = typeof length === "number" ? [length] : length;
  if (node.size !== 1 || !isShape(shape)) {
    throw misuse(
      trace.name,
      `broadcast() cannot spread shape ${formatShape(node.shape)} to ${formatShape(shape)}`,
      "give a scalar, and a length or a shape of at most two axes",
    );
  }
  return build.broadcast(node, shape);
}

/** A number as a scalar, or an array of numbers as a vector (with `shape`, as a matrix): data that no one trains. */
export function constant(value: number | ArrayLike<number>, shape?: Shape): Sym {
  const trace = currentTrace("constant");
  if (typeof value === "number") return build.broadcast(trace.constant(value), shape ?? []);
  if (
    typeof value?.length !== "number" || (shape !== undefined && (!isShape(shape) || sizeOf(shape) !== value.length))
  ) {
    throw misuse(
      trace.name,
      `constant() cannot give ${String(value?.length)} elements the shape ${formatShape(shape ?? [])}`,
      "give a number or an array of numbers, and a shape of as many elements",
    );
  }
  return trace.constant(value, shape);
}

/**
 * The gradient of a scalar traced function: `grad(H)(v) = ∂H/∂v`, of the shape of `v`, by reverse mode. It may be nested,
 * and what `H` takes from outside counts as constant. Cost: at most about four times that of `H`.
 *
 * @example A Hamiltonian step: h' = h + dt S ∇H(h)
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, concat, dot, grad, mul, neg, slice } from "@cervid/cervid/ops";
 *
 * const oscillator = defineStep({
 *   name: "oscillator",
 *   state: 2,
 *   input: 0,
 *   params: { dt: [] },
 *   step: ({ h, p }) => {
 *     const g = grad((y) => mul(0.5, dot(y, y)))(h);
 *     return add(h, mul(p.dt, concat(slice(g, 1, 2), neg(slice(g, 0, 1)))));
 *   },
 * });
 * console.log(oscillator.name);
 * ```
 */
export function grad(fn: (v: Sym) => Operand): (v: Operand) => Sym {
  return (v: Operand): Sym => {
    const trace = currentTrace("grad");
    const point = lift("grad", 1, v, trace);
    // A variable of its own: what fn captures of v from outside must not be differentiated.
    const variable = trace.leaf("variable", point.shape);
    const value = lift("grad", 1, fn(variable), trace);
    if (value.size !== 1) {
      throw misuse(
        trace.name,
        `grad() needs a function with a scalar value, got shape ${formatShape(value.shape)}`,
        "reduce it with sum, mean or dot",
      );
    }
    const scalar = build.reshape(value, []);
    const [gradient] = vjp([scalar], [trace.constant(1)], [variable]);
    if (gradient === null || gradient === undefined) return build.zeros(trace, point.shape);
    return substitute(gradient, variable, point, trace);
  };
}

function isShape(shape: unknown): shape is Shape {
  return Array.isArray(shape) && shape.length <= 2 && shape.every((axis) => Number.isInteger(axis) && axis > 0);
}
