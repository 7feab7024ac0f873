import { formatShape } from "../core/shape.ts";
import * as build from "./build.ts";
import { substitute, vjp } from "./differentiate.ts";
import { currentTrace, type Sym } from "./graph.ts";
import { misuse } from "./misuse.ts";
import { lift, type Operand } from "./operands.ts";

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
    if (typeof fn !== "function") {
      throw misuse(
        trace.name,
        "grad() was given a value, not a function",
        "write grad((v) => scalar)(v), for instance grad((v) => dot(v, v))(h)",
      );
    }
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
