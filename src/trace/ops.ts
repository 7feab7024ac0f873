/**
 * The vocabulary of traced steps: what a function given to `defineStep` may do with its symbols.
 *
 * Values are scalars `[]`, vectors `[n]` and matrices `[m, n]` (parameters, reshaped vectors, products). Numbers are accepted
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
export type { Shape } from "../core/types.ts";
export type { TraceError } from "../core/errors.ts";
export type { Sym } from "./graph.ts";
export type { Operand } from "./operands.ts";
export {
  abs,
  add,
  cos,
  div,
  equal,
  exp,
  gelu,
  greater,
  isNaN,
  less,
  log,
  logSigmoid,
  max,
  min,
  mul,
  neg,
  pow,
  relu,
  sigmoid,
  sign,
  sin,
  softplus,
  sqrt,
  square,
  stopGradient,
  sub,
  tanh,
  where,
} from "./ops_elementwise.ts";
export { broadcast, concat, constant, logSumExp, maximum, mean, reshape, slice, softmax, sum } from "./ops_arrays.ts";
export { linearSolve, logDet, matmul, transpose } from "./ops_matrices.ts";
export { dot, matvec, matvecTransposed, outer } from "./ops_products.ts";
export { grad } from "./ops_grad.ts";
