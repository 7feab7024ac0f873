import type { ElementwiseOp, Node } from "./graph.ts";
import { add, div, elementwise, mul, neg, pow, sub, where } from "./build.ts";

/** All that cervid knows of one elementwise operation. */
interface Rule {
  /** The value, for constant folding. */
  readonly evaluate: (a: number, b: number, c: number) => number;
  /** The same in JavaScript, of operand texts. */
  readonly js: (a: string, b: string, c: string) => string;
  /** The same in WGSL; the functions named here are those of `kernels/functions.ts`. */
  readonly wgsl: (a: string, b: string, c: string) => string;
  /** `g ∘ ∂out/∂args[i]`, or null where that is zero: it serves forward and reverse mode alike. */
  readonly scale: (i: number, g: Node, args: readonly Node[], out: Node) => Node | null;
}

const number = (g: Node, value: number): Node => g.trace.constant(value);
const call = (name: string) => (a: string): string => `${name}(${a})`;
const comparison = (test: (a: number, b: number) => boolean, sign: string): Rule => ({
  evaluate: (a, b) => (test(a, b) ? 1 : 0),
  js: (a, b) => `(${a} ${sign} ${b} ? 1 : 0)`,
  wgsl: (a, b) => `select(0.0, 1.0, ${a} ${sign.slice(0, 2)} ${b})`,
  scale: () => null,
});
/** `g` for the operand that `a op b` selects, else 0: the first (`i = 0`) where it holds, the second where not. */
function gate(op: "less" | "greater", i: number, g: Node, [a, b]: readonly Node[]): Node {
  const zero = number(g, 0);
  return where(elementwise(op, [a!, b!]), i === 0 ? g : zero, i === 0 ? zero : g);
}

/** `b - 1`; where a and b are 0 the exponent 1 instead, because 0 · 0⁻¹ is NaN where the derivative is 0. */
function lowered(a: Node, b: Node): Node {
  const [zero, one] = [number(b, 0), number(b, 1)];
  const less = sub(b, one);
  return where(elementwise("equal", [b, zero]), where(elementwise("equal", [a, zero]), one, less), less);
}

/** Numerically stable, as in PyTorch without its threshold: max(x, 0) + log1p(exp(-|x|)). */
const softplus = (a: number): number => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));

/** The one table of elementwise operations: value, code and derivative of each. */
export const ELEMENTWISE: Readonly<Record<ElementwiseOp, Rule>> = {
  neg: { evaluate: (a) => -a, js: (a) => `(-${a})`, wgsl: (a) => `(-${a})`, scale: (_, g) => neg(g) },
  exp: { evaluate: Math.exp, js: call("exp"), wgsl: call("expOf"), scale: (_, g, __, out) => mul(g, out) },
  log: { evaluate: Math.log, js: call("log"), wgsl: call("logOf"), scale: (_, g, [a]) => div(g, a!) },
  sqrt: {
    evaluate: Math.sqrt,
    js: call("sqrt"),
    wgsl: call("sqrt"),
    scale: (_, g, __, out) => div(mul(g, number(g, 0.5)), out),
  },
  sin: {
    evaluate: Math.sin,
    js: call("sin"),
    wgsl: call("sinOf"),
    scale: (_, g, [a]) => mul(g, elementwise("cos", [a!])),
  },
  cos: {
    evaluate: Math.cos,
    js: call("cos"),
    wgsl: call("cosOf"),
    scale: (_, g, [a]) => neg(mul(g, elementwise("sin", [a!]))),
  },
  tanh: {
    evaluate: Math.tanh,
    js: call("tanh"),
    wgsl: call("tanhOf"),
    scale: (_, g, __, out) => mul(g, sub(number(g, 1), mul(out, out))),
  },
  sigmoid: {
    evaluate: (a) => 1 / (1 + Math.exp(-a)),
    js: call("sigmoid"),
    wgsl: call("sigmoidOf"),
    scale: (_, g, __, out) => mul(g, mul(out, sub(number(g, 1), out))),
  },
  softplus: {
    evaluate: softplus,
    js: call("softplus"),
    wgsl: call("softplusOf"),
    scale: (_, g, [a]) => mul(g, elementwise("sigmoid", [a!])),
  },
  abs: {
    evaluate: Math.abs,
    js: call("abs"),
    wgsl: call("abs"),
    scale: (_, g, [a]) => mul(g, elementwise("sign", [a!])),
  },
  sign: { evaluate: Math.sign, js: call("sign"), wgsl: call("signOf"), scale: () => null },
  detach: { evaluate: (a) => a, js: (a) => a, wgsl: (a) => a, scale: () => null },
  add: {
    evaluate: (a, b) => a + b,
    js: (a, b) => `(${a} + ${b})`,
    wgsl: (a, b) => `(${a} + ${b})`,
    scale: (_, g) => g,
  },
  sub: {
    evaluate: (a, b) => a - b,
    js: (a, b) => `(${a} - ${b})`,
    wgsl: (a, b) => `(${a} - ${b})`,
    scale: (i, g) => (i === 0 ? g : neg(g)),
  },
  mul: {
    evaluate: (a, b) => a * b,
    js: (a, b) => `(${a} * ${b})`,
    wgsl: (a, b) => `(${a} * ${b})`,
    scale: (i, g, args) => mul(g, args[1 - i]!),
  },
  div: {
    evaluate: (a, b) => a / b,
    js: (a, b) => `(${a} / ${b})`,
    wgsl: (a, b) => `(${a} / ${b})`,
    scale: (i, g, [, b], out) => (i === 0 ? div(g, b!) : neg(mul(g, div(out, b!)))),
  },
  pow: {
    evaluate: Math.pow,
    js: (a, b) => `pow(${a}, ${b})`,
    wgsl: (a, b) => `powOf(${a}, ${b})`,
    // With respect to the exponent 0 at a base of 0 or below, where log has no value (as JAX does).
    scale: (i, g, [a, b], out) =>
      i === 0
        ? mul(g, mul(b!, pow(a!, lowered(a!, b!))))
        : gate("greater", 0, mul(g, mul(out, elementwise("log", [a!]))), [a!, number(g, 0)]),
  },
  // At a tie the second operand takes the derivative: relu(x) = max(x, 0) has derivative 0 at 0.
  max: {
    evaluate: (a, b) => Math.max(a, b),
    js: (a, b) => `max(${a}, ${b})`,
    wgsl: (a, b) => `maxOf(${a}, ${b})`,
    scale: (i, g, args) => gate("greater", i, g, args),
  },
  min: {
    evaluate: (a, b) => Math.min(a, b),
    js: (a, b) => `min(${a}, ${b})`,
    wgsl: (a, b) => `minOf(${a}, ${b})`,
    scale: (i, g, args) => gate("less", i, g, args),
  },
  less: comparison((a, b) => a < b, "<"),
  greater: comparison((a, b) => a > b, ">"),
  equal: comparison((a, b) => a === b, "==="),
  isNaN: {
    evaluate: (a) => (a !== a ? 1 : 0),
    js: (a) => `(${a} !== ${a} ? 1 : 0)`,
    // From its bits: compilers may assume that there is no NaN.
    wgsl: (a) => `select(0.0, 1.0, isNan(${a}))`,
    scale: () => null,
  },
  where: {
    evaluate: (a, b, c) => (a !== 0 ? b : c),
    js: (a, b, c) => `(${a} !== 0 ? ${b} : ${c})`,
    wgsl: (a, b, c) => `select(${c}, ${b}, (bitcast<u32>(${a}) << 1u) != 0u)`,
    scale: (i, g, [a]) => i === 0 ? null : i === 1 ? where(a!, g, number(g, 0)) : where(a!, number(g, 0), g),
  },
};

/** Whether `op` works element by element. */
export function isElementwise(op: string): op is ElementwiseOp {
  return Object.hasOwn(ELEMENTWISE, op);
}

/** `a + b` where either may be absent, which means zero. */
export function addMaybe(a: Node | null, b: Node | null): Node | null {
  return a === null ? b : b === null ? a : add(a, b);
}
