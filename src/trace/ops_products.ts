import { formatShape } from "../core/shape.ts";
import * as build from "./build.ts";
import { currentTrace, type Sym } from "./graph.ts";
import { misuse } from "./misuse.ts";
import { lift, liftVector, type Operand } from "./operands.ts";

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

/**
 * `matrix · vector`: `[m, n]`, `[n]` to `[m]`. Cost: m n multiplications.
 *
 * @example A recurrent layer
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, matvec, tanh } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "elman",
 *   state: 4,
 *   input: 2,
 *   params: { w: [4, 4], u: [4, 2] },
 *   step: ({ h, x, p }) => tanh(add(matvec(p.w, h), matvec(p.u, x))),
 * });
 * ```
 */
export function matvec(matrix: Sym, vector: Operand): Sym {
  return product("matvec", matrix, vector);
}

/**
 * `matrixᵀ · vector`: `[m, n]`, `[m]` to `[n]`. Cost: m n multiplications.
 *
 * @example A linear least-squares step
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { matvec, matvecTransposed, sub } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "gradient descent on ½|A h - x|²",
 *   state: 3,
 *   input: 5,
 *   params: { a: [5, 3] },
 *   step: ({ h, x, p }) => sub(h, matvecTransposed(p.a, sub(matvec(p.a, h), x))),
 * });
 * ```
 */
export function matvecTransposed(matrix: Sym, vector: Operand): Sym {
  return product("matvecTransposed", matrix, vector);
}

/**
 * `out[i, j] = a[i] b[j]`: `[m]`, `[n]` to `[m, n]`.
 *
 * @example A rank-one update
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { add, matvec, outer } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "low rank",
 *   state: 3,
 *   input: 0,
 *   params: { u: [3], v: [3] },
 *   step: ({ h, p }) => add(h, matvec(outer(p.u, p.v), h)),
 * });
 * ```
 */
export function outer(a: Operand, b: Operand): Sym {
  const trace = currentTrace("outer");
  return build.outer(liftVector("outer", 1, a, trace), liftVector("outer", 2, b, trace));
}

/**
 * `Σ a[i] b[i]` of two vectors of equal length: a scalar.
 *
 * @example A norm
 * ```ts
 * import { defineStep } from "@cervid/cervid";
 * import { dot, mul, sub } from "@cervid/cervid/ops";
 *
 * defineStep({
 *   name: "pulled to the sphere",
 *   state: 3,
 *   input: 0,
 *   params: {},
 *   step: ({ h }) => mul(h, sub(1.5, mul(0.5, dot(h, h)))),
 * });
 * ```
 */
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
