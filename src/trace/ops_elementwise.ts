import type { Sym } from "./graph.ts";
import { elementwise, liftOnly, type Operand } from "./operands.ts";

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
  const x = liftOnly("square", a);
  return elementwise("mul", x, x);
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
  return neg(softplus(neg(liftOnly("logSigmoid", a))));
}

/** `log(1 + eᵃ)`, without overflow. */
export function softplus(a: Operand): Sym {
  return elementwise("softplus", a);
}

/** `max(a, 0)`; its derivative at 0 is 0. */
export function relu(a: Operand): Sym {
  return elementwise("max", liftOnly("relu", a), 0);
}

/** The Gaussian error linear unit in its tanh form: `½ a (1 + tanh(√(2/π) (a + 0.044715 a³)))` (arXiv 1606.08415). */
export function gelu(a: Operand): Sym {
  const x = liftOnly("gelu", a);
  const inner = mul(Math.sqrt(2 / Math.PI), add(x, mul(0.044715, mul(x, square(x)))));
  return mul(mul(0.5, x), add(1, tanh(inner)));
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
 * 1 where `a` is not a number, else 0; its derivative is 0. Comparisons cannot tell: where NaN stands for "missing", this
 * does. What was computed from NaN is NaN, 0 · NaN too: replace it before.
 *
 * @example A running sum that leaves out what is missing
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, isNaN, where } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "sum of what there is",
 *   state: 2,
 *   input: 2,
 *   params: {},
 *   step: ({ h, x }) => add(h, where(isNaN(x), 0, x)),
 * });
 * ```
 */
export function isNaN(a: Operand): Sym {
  return elementwise("isNaN", a);
}

/**
 * `a` where `condition` is not 0, else `b`, elementwise. Both are computed; derivatives flow to the chosen one only. It
 * stands for a branch, which a traced function cannot take. Where the other one's derivative is infinite the gradient is
 * NaN, as in JAX: keep its argument in range with a `where` of its own.
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
  return elementwise("detach", liftOnly("stopGradient", a));
}
