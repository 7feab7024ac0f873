import { describe } from "../core/describe.ts";
import type { BlockLayout } from "../trace/pattern.ts";
import {
  checkMethod,
  type DiagonalChoice,
  type ElkOptions,
  type Method,
  type MethodName,
  type MethodOptions,
} from "./methods.ts";

function make(name: MethodName, call: string, options: MethodOptions | ElkOptions): Method {
  const context = `Cannot make ${call}`;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`${context}: settings must be a record, got ${describe(options)}`);
  }
  return checkMethod(context, { ...options, name });
}

/**
 * Chooses the method by expected cost, from the engine, the structure of the Jacobian, D, B, T, and how many sweeps the dynamics
 * let expect; `stats.reason` says why. On the CPU engine always {@linkcode sequential}.
 *
 * Where sweeps seem worth while and T is at least 1024, `solve` first runs an eighth of the steps, at most 1024, of up to four
 * sequences one after the other, and waits for their Lyapunov exponent: once for a step and its parameters, and while they change,
 * as in training, ever more seldom. {@linkcode expectedSweeps} turns it into sweeps; chaos is left to {@linkcode sequential}, as windows
 * would take as many sweeps in all. `enqueueSolve`, which waits for nothing, uses what is known. A prefix is not the whole sequence, and a
 * negative exponent is no promise: what did not converge is not tried again with the same parameters.
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
  return make("quasi-deer", "quasiDeer()", options);
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
  return make("block-deer", "blockDeer()", options);
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
  return make("deer", "deer()", options);
}

/**
 * Newton's method in a trust region (ELK: Gonzalez, Warrington, Smith, Linderman 2024, arXiv 2407.19115), for steps whose
 * small changes grow, where the iterates of {@linkcode deer} run away. The linear solve of a sweep becomes a Kalman
 * filter's with the iterate h as observation of variance σ² = 1/λ, G = ∂f/∂h: with δ = h⁺ - h, from P[-1] = 0
 *
 *     P⁻[t] = G[t] P[t-1] G[t]ᵀ + I,  Γ[t] = (I + λ P⁻[t])⁻¹,  P[t] = Γ[t] P⁻[t]
 *     δ[t] = Γ[t] (f(h[t-1]) - h[t] + G[t] δ[t-1])
 *
 * so that what G amplifies is held back, and what it damps is left alone. λ = 0 is `deer`, a large λ keeps the iterate.
 * The row after the exact ones is f itself, so k sweeps make k rows exact here too, and T sweeps always suffice. Convergence
 * is judged by the residual and the undamped update: a heavy damping cannot pretend to have converged.
 *
 * **Damping.** `adaptive` (default) starts every window at λ = 0.1 and balances, sweep by sweep and sequence by sequence, what f
 * does beyond its Jacobian against what damping holds back; λ falls to 0 and convergence becomes Newton's. A sweep that ran
 * away is refused, which costs that sweep. A number is used as it is: the largest that converges takes the fewest sweeps,
 * and it may lie anywhere (1e-7 for a trained autoregressive GRU, 1/300 for Lorenz 96; a third of it takes up to twice the
 * sweeps, three times it never ends). Beside the best of them `adaptive` took 0.8 to 1.6 times the sweeps (bench/elk_sweeps.ts).
 * Not so for the GRU driven by four times the noise of its training: the best number took 17 to 56 sweeps, `adaptive` more than 600.
 *
 * **Guess.** Damping holds on to the iterate, also to a guess that is nowhere near. A network that feeds on its own output and starts
 * beyond its range has a bad one in `f0`, f of that start at all steps: there the GRU mostly did not end within 600 sweeps, from
 * `zeros` it took 30 to 45 (examples/unstable.ts).
 *
 * **Estimate.** `filter` (default) is causal: a prefix that is right stays right. `smoother`, the least squares that the
 * method is derived from, lets wrong later states pull at it, and failed wherever damping was needed in our tests; it is there for
 * comparison, with a damping of its own, on the CPU engine.
 *
 * Cost beside that of `deer`, for blocks of n states (n = D unless the Jacobian is proven to have smaller ones): 5 n²
 * operations for each state of a step on the CPU engine; on WebGPU about 22 n² over both phases (36 for n = 1) and 4 (2 n + 5)
 * bytes, as f and the entries of G go through memory. A sweep of a GRU of 16
 * states takes 10 times that of `deer` on either engine (bench/elk_bench.ts). Words held for each (b, t): `adaptive` 3 D, on WebGPU D (n + 1) more.
 *
 * **Engines.** Both do the same sweep by sweep. WebGPU takes blocks of up to 16 states and the filter, never waits within a
 * solve, and throws a `RangeError` with the cure for larger blocks and for the smoother. In f32, recurrences that amplify
 * roundings a hundredfold, where ELK is at home, need a tolerance above those: `rtol` of 1e-4 or 1e-3.
 * Throws a `RangeError` for bad settings.
 *
 * @example A recurrence that amplifies small differences
 * ```ts
 * import { defineStep, elk, openDevice, solve } from "@cervid/cervid";
 * import { concat, slice, sub, mul, add } from "@cervid/cervid/ops";
 *
 * const henon = defineStep({
 *   name: "henon",
 *   state: 2,
 *   input: 0,
 *   params: {},
 *   step: ({ h }) => {
 *     const [x, y] = [slice(h, 0, 1), slice(h, 1, 2)];
 *     return concat(add(sub(1, mul(1.4, mul(x, x))), y), mul(0.3, x));
 *   },
 * });
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const problem = { params: {}, time: 200, h0: { data: new Float64Array([0.1, 0.1]), shape: [2] } };
 * using solution = await solve(henon, problem, { device, method: elk() });
 * console.log(solution.stats.sweeps);
 * ```
 */
export function elk(options: ElkOptions = {}): Method {
  return make("elk", "elk()", options);
}

/**
 * {@linkcode elk} with G = diag(∂f/∂h): everything is scalar, O(D) a step, linear convergence (arXiv 2407.19115). For large D.
 *
 * `adaptive` takes what the diagonal leaves out for curvature: it took 1.2 to 1.3 times the sweeps of the best number on Lorenz 96
 * (λ = 1/10 to 1/30), 1.3 to 1.5 times on an autoregressive GRU (λ = 1/300), which then is to be given.
 *
 * Cost beside f and the diagonal: 12 operations for each state of a step on the CPU engine, a sweep of a GRU takes 1.0 to 1.2
 * times that of `quasi-deer` (bench/elk_bench.ts); on WebGPU 36 operations and 28 bytes. `adaptive` holds three more trajectories.
 * Any number of states, on both engines. Throws a `RangeError` for bad settings.
 *
 * @example A variance of the iterate
 * ```ts
 * import { gru, openDevice, quasiElk, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = gru({ input: 1, hidden: 8 });
 * const xs = { data: Float32Array.from({ length: 300 }, (_, t) => Math.sin(t / 5)), shape: [300, 1] };
 * using solution = await solve(cell, { params: cell.init(device), xs }, { method: quasiElk({ damping: 1e-3 }) });
 * console.log(solution.stats.sweeps);
 * ```
 */
export function quasiElk(options: ElkOptions = {}): Method {
  return make("quasi-elk", "quasiElk()", options);
}
