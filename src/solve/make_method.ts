import { checkKeys } from "../core/describe.ts";
import type { BlockLayout } from "../trace/pattern.ts";
import { checkMethod, type DiagonalChoice, type Method, type MethodName, type MethodOptions } from "./methods.ts";

function make(name: MethodName, call: string, options: MethodOptions, known: readonly string[]): Method {
  checkKeys(`Cannot make ${call}`, "settings", options, known);
  return checkMethod(`Cannot make ${call}`, { ...options, name });
}

/**
 * Chooses the method by expected cost, from the engine, the structure of the Jacobian, D, B and T; `stats.reason` says why. On
 * the CPU engine always {@linkcode sequential}. It does not know whether the dynamics are chaotic, where sweeps do not converge.
 *
 * @example Ask why
 * ```ts
 * import { auto, gru, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = gru({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 300 }, (_, t) => Math.sin(t / 5)), shape: [300, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: auto() });
 * console.log(solution.stats.method, solution.stats.reason);
 * ```
 */
export function auto(): Method {
  return { name: "auto" };
}

/**
 * One pass, `h[t] = f(h[t-1])`: the definition that all others are measured by. Cost: T evaluations in a row.
 *
 * @example The reference
 * ```ts
 * import { gru, openDevice, sequential, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = gru({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 300 }, (_, t) => Math.sin(t / 5)), shape: [300, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: sequential() });
 * console.log(solution.result, solution.stats.sweeps); // "successful" 0
 * ```
 */
export function sequential(): Method {
  return { name: "sequential" };
}

/**
 * G = 0: `h⁺[t] = f(h[t-1])`, no scan at all. Converges fast only where the step forgets its state fast.
 *
 * @example A step that forgets fast
 * ```ts
 * import { elman, jacobi, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = elman({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 300 }, (_, t) => Math.sin(t / 5)), shape: [300, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: jacobi() });
 * console.log(solution.stats.residuals);
 * ```
 */
export function jacobi(): Method {
  return { name: "jacobi" };
}

/**
 * G = I: an O(D) scan. For steps close to the identity, such as small steps of an ODE.
 *
 * @example Small steps of an ODE: dh/dt = -h
 * ```ts
 * import { defineStep, openDevice, picard, solve } from "@cervid/cervid";
 * import { mul } from "@cervid/cervid/ops";
 *
 * const decay = defineStep({ name: "decay", state: 1, input: 0, params: {}, step: ({ h }) => mul(0.999, h) });
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const problem = { params: {}, time: 100, h0: { data: new Float64Array([1]), shape: [1] } };
 * using solution = await solve(decay, problem, { device, method: picard() });
 * console.log(solution.stats.sweeps);
 * ```
 */
export function picard(): Method {
  return { name: "picard" };
}

/**
 * G = diag(∂f/∂h): an O(D) scan, linear convergence (arXiv 2407.19115). For large D; exact Newton where the Jacobian is
 * diagonal. Throws a `RangeError` for a scale outside [0, 1], a negative clip or fewer than one probe.
 *
 * @example The diagonal estimated from two probes
 * ```ts
 * import { gru, openDevice, quasiDeer, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = gru({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 300 }, (_, t) => Math.sin(t / 5)), shape: [300, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: quasiDeer({ diagonal: { probes: 2, seed: 1 } }) });
 * console.log(solution.stats.sweeps);
 * ```
 */
export function quasiDeer(options: MethodOptions & { readonly diagonal?: DiagonalChoice } = {}): Method {
  return make("quasi-deer", "quasiDeer()", options, ["scale", "clip", "diagonal"]);
}

/**
 * G = the diagonal blocks of ∂f/∂h: an O(D b²) scan. By default the blocks are the states that the step ties together
 * elementwise: (h, c) of each unit of an LSTM. Throws a `RangeError` for bad settings.
 *
 * @example The (h, c) blocks of an LSTM
 * ```ts
 * import { blockDeer, lstm, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = lstm({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 300 }, (_, t) => Math.sin(t / 5)), shape: [300, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: blockDeer() });
 * console.log(solution.stats.sweeps);
 * ```
 */
export function blockDeer(
  options: MethodOptions & { readonly block?: number; readonly layout?: BlockLayout } = {},
): Method {
  return make("block-deer", "blockDeer()", options, ["scale", "clip", "block", "layout"]);
}

/**
 * G = ∂f/∂h: Newton's method, quadratic convergence (arXiv 2309.12252). The fewest sweeps; O(D³) per element of the scan
 * on a parallel machine, one Jacobian-vector product per step on the CPU engine. Throws a `RangeError` for bad settings.
 *
 * @example Clipped to tame an iterate that overshoots
 * ```ts
 * import { deer, gru, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = gru({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 300 }, (_, t) => Math.sin(t / 5)), shape: [300, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: deer({ clip: 1 }) });
 * console.log(solution.stats.sweeps);
 * ```
 */
export function deer(options: MethodOptions = {}): Method {
  return make("deer", "deer()", options, ["scale", "clip"]);
}
