import { formatShape } from "../core/shape.ts";
import * as build from "./build.ts";
import { currentTrace, type Node, type Sym, type Trace } from "./graph.ts";
import { misuse } from "./misuse.ts";
import { lift } from "./operands.ts";

/** An operand with two axes. */
function liftMatrix(op: string, position: number, value: Sym, trace: Trace): Node {
  const node = lift(op, position, value, trace);
  if (node.shape.length === 2) return node;
  throw misuse(
    trace.name,
    `argument ${position} of ${op}() must be a matrix, got shape ${formatShape(node.shape)}`,
    "reshape it, for instance with reshape(v, [n, 1])",
  );
}

/**
 * The product of two matrices, `out[i, j] = Σ_k a[i, k] b[k, j]`: `[m, k]`, `[k, n]` to `[m, n]`. Cost: m k n
 * multiplications. With a vector write {@linkcode matvec}.
 *
 * @example Rotations, one after the other
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { matmul, reshape } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "orientation",
 *   state: 9,
 *   input: 9,
 *   params: {},
 *   step: ({ h, x }) => reshape(matmul(reshape(x, [3, 3]), reshape(h, [3, 3])), [9]),
 * });
 * ```
 */
export function matmul(a: Sym, b: Sym): Sym {
  const trace = currentTrace("matmul");
  const [left, right] = [liftMatrix("matmul", 1, a, trace), liftMatrix("matmul", 2, b, trace)];
  if (left.shape[1] !== right.shape[0]) {
    throw misuse(
      trace.name,
      `matmul() cannot multiply shapes ${formatShape(left.shape)} and ${formatShape(right.shape)}`,
      "give as many columns of the first as rows of the second",
    );
  }
  return build.matmul(left, right);
}

/**
 * The transpose, `out[i, j] = a[j, i]`: `[m, n]` to `[n, m]`. Cost: at most a copy. `matvec(transpose(a), v)` is
 * {@linkcode matvecTransposed}, without it.
 *
 * @example A symmetric matrix
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, matvec, mul, transpose } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "gradient flow",
 *   state: 3,
 *   input: 0,
 *   params: { a: [3, 3] },
 *   step: ({ h, p }) => add(h, mul(-0.05, matvec(add(p.a, transpose(p.a)), h))),
 * });
 * ```
 */
export function transpose(a: Sym): Sym {
  return build.transpose(liftMatrix("transpose", 1, a, currentTrace("transpose")));
}

/**
 * x of `a x = b`, by Gaussian elimination with partial pivoting: a `[n, n]`, b and x `[n]` or `[n, m]`. For small n: cost
 * about 2/3 n³ + 2 n² m operations for every evaluation, and one more solution for each derivative. All of x is NaN where a
 * pivot is 0, that is where a is singular in the arithmetic of the device.
 *
 * @example An implicit Euler step of h' = A h
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { constant, linearSolve, mul, sub } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "implicit",
 *   state: 2,
 *   input: 0,
 *   params: { a: [2, 2], dt: [] },
 *   step: ({ h, p }) => linearSolve(sub(constant([1, 0, 0, 1], [2, 2]), mul(p.dt, p.a)), h),
 * });
 * ```
 */
export function linearSolve(a: Sym, b: Sym): Sym {
  const trace = currentTrace("linearSolve");
  const [matrix, right] = [liftMatrix("linearSolve", 1, a, trace), lift("linearSolve", 2, b, trace)];
  const [rows, columns] = matrix.shape;
  if (rows !== columns || right.shape[0] !== rows) {
    throw misuse(
      trace.name,
      `linearSolve() cannot solve a system of shape ${formatShape(matrix.shape)} for ${formatShape(right.shape)}`,
      "give a square matrix, and a vector or a matrix of as many rows",
    );
  }
  return build.linearSolve(matrix, right);
}

/**
 * `log det a` of a symmetric positive definite matrix `[n, n]`, by elimination without exchanges of rows: a scalar. Cost:
 * about 2/3 n³ operations and n logarithms; the derivative, a⁻ᵀ, is one solution more. NaN where a pivot is not positive,
 * that is where a is not positive definite in the arithmetic of the device.
 *
 * @example What a measurement of covariance S adds to a log-likelihood
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, dot, linearSolve, logDet, mul } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "log-likelihood",
 *   state: 1,
 *   input: 2,
 *   params: { s: [2, 2] },
 *   step: ({ h, x, p }) => add(h, mul(-0.5, add(logDet(p.s), dot(x, linearSolve(p.s, x))))),
 * });
 * ```
 */
export function logDet(a: Sym): Sym {
  const trace = currentTrace("logDet");
  const matrix = liftMatrix("logDet", 1, a, trace);
  if (matrix.shape[0] !== matrix.shape[1]) {
    throw misuse(trace.name, `logDet() was given shape ${formatShape(matrix.shape)}`, "give a square matrix");
  }
  return build.logDet(matrix);
}
