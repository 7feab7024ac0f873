import { describe } from "./core/describe.ts";
import { checkCount } from "./core/shape.ts";
import type { Shape, ShapeTree, Tree } from "./core/types.ts";
import { mapTree } from "./core/tree.ts";
import type { Device } from "./device.ts";
import type { InitRules } from "./init.ts";
import { checkRules, type Initialisation, type InitOptions, initParams, mergeRules } from "./init_params.ts";
import type { Tensor } from "./tensor.ts";
import type { Sym } from "./trace/graph.ts";
import type { BlockLayout } from "./trace/pattern.ts";
import { type StepProgram, traceStep } from "./trace/program.ts";

/** The symbols of a step's parameters, in the tree of their shapes. */
export type ParameterSyms<P> = string extends keyof P
  // Names that are not known to the type checker: any may stand there.
  // deno-lint-ignore no-explicit-any
  ? any
  : { readonly [K in keyof P]-?: NonNullable<P[K]> extends Shape ? Sym : ParameterSyms<NonNullable<P[K]>> };

/** A recurrence as its user writes it. */
export interface StepSpec<P extends ShapeTree = ShapeTree> {
  /** Names the step in error messages. */
  name: string;
  /** D: the number of states. */
  state: number;
  /** I: the number of inputs per step; 0 if there is no input. */
  input: number;
  /** Shapes of the parameters: `[]` scalars, `[n]` vectors, `[m, n]` matrices. */
  params: P;
  /** The fan of the initial parameters: their bound is 1/√units. Default `state`. */
  units?: number;
  /** What parameters start from by the scheme `own`: numbers, `{ uniform: bound }`, "orthogonal", or one of these for each gate. */
  init?: InitRules;
  /**
   * `h' = f(h, x; p, t)`: run once on symbols `h [D]`, `x [I]`, `p` and the index of the step `t []`, which counts from 0
   * through all windows; returns `[D]`, made
   * by the operations of `@cervid/cervid/ops`.
   */
  step(args: { readonly h: Sym; readonly x: Sym; readonly p: ParameterSyms<P>; readonly t: Sym }): Sym;
}

/**
 * Where `∂h'/∂h` may be non-zero, proven from the trace; blocks of size `block` lie as `layout` says. Beyond about 11 000
 * states the proof is coarse: what is not zero counts as dense.
 */
export type JacobianStructure =
  | "zero"
  | "diagonal"
  | "dense"
  | { readonly block: number; readonly layout?: BlockLayout };

/** A traced recurrence `h[t] = f(h[t-1], x[t]; p, t)`: made by {@linkcode defineStep} or by a cell. */
export interface Step {
  /** The name it was given. */
  readonly name: string;
  /** D */
  readonly state: number;
  /** I */
  readonly input: number;
  /** Shapes of its parameters. */
  readonly params: ShapeTree;
  /** Proven structure of ∂h'/∂h. */
  readonly jacobian: JacobianStructure;
  /** Initial parameters on a device, reproducible from the seed. */
  init(device: Device, options?: InitOptions): Tree<Tensor>;
}

/** What cervid knows of a step beside what it shows. */
interface KnownStep {
  readonly program: StepProgram;
  readonly initialisation: Initialisation;
}

const steps = new WeakMap<Step, KnownStep>();

function knownStep(step: Step): KnownStep {
  const known = typeof step === "object" && step !== null ? steps.get(step) : undefined;
  if (known === undefined) {
    throw new TypeError(
      `Cannot use the step: expected one made by defineStep() or a cell, got ${
        describe(step)
      }; the step of a layer is layer.cell`,
    );
  }
  return known;
}

/** The graph of a step; a TypeError if `step` was not made by cervid. */
export function programOf(step: Step): StepProgram {
  return knownStep(step).program;
}

/** What the parameters of a step start from. */
export function initialisationOf(step: Step): Initialisation {
  return knownStep(step).initialisation;
}

/** The same step with further rules for its initial parameters. */
export function withRules(step: Step, rules: InitRules): Step {
  const { program, initialisation: { rules: own, units } } = knownStep(step);
  const { name, params } = step;
  checkRules(`Cannot initialise "${name}"`, rules, program.params);
  const initialisation = { rules: mergeRules(params, own, rules), units };
  const ruled: Step = { ...step, init: (device, options) => initParams(device, name, params, initialisation, options) };
  steps.set(ruled, { program, initialisation });
  return ruled;
}

/**
 * Traces a recurrence `h' = f(h, x; p, t)`: runs `step` once on symbols and keeps what it did. From the trace come f, its
 * derivatives, the proof of its Jacobian's structure, and code for every engine.
 *
 * Throws a {@linkcode TraceError} where the function computes with a traced value in JavaScript's own operators, mixes two
 * traces, combines shapes that do not fit or returns anything but `[state]`; a `RangeError` for sizes out of range. What
 * JavaScript does not show cannot be refused: a symbol is always truthy and equals only itself, so `if (h)`, `less(h, 0) ? a
 * : b` and `===` silently take one branch. Write `where(less(h, 0), a, b)`.
 *
 * @example A leaky integrator with a trainable time constant
 * ```ts
 * import { defineStep, openDevice, solve, toHost } from "@cervid/cervid";
 * import { add, mul, sigmoid, sub, tanh } from "@cervid/cervid/ops";
 *
 * const leaky = defineStep({
 *   name: "leaky",
 *   state: 1,
 *   input: 1,
 *   params: { rate: [] },
 *   step: ({ h, x, p }) => add(h, mul(sigmoid(p.rate), sub(tanh(x), h))),
 * });
 * console.log(leaky.jacobian); // "diagonal"
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const params = { rate: { data: new Float64Array([0]), shape: [] } };
 * const xs = { data: new Float64Array([1, 1, 1]), shape: [3, 1] };
 * using solution = await solve(leaky, { params, xs }, { device });
 * console.log((await toHost(solution.ys)).data);
 * ```
 */
export function defineStep<const P extends ShapeTree>(spec: StepSpec<P>): Step {
  if (typeof spec !== "object" || spec === null || typeof spec.step !== "function") {
    throw new TypeError(`Cannot define a step: expected { name, state, input, params, step }, got ${describe(spec)}`);
  }
  const { name, state, input, units = state } = spec;
  if (typeof name !== "string" || name === "") {
    throw new TypeError(`Cannot define a step: name must be a string that is not empty, got ${describe(name)}`);
  }
  if (typeof spec.params !== "object" || spec.params === null) {
    throw new TypeError(`Cannot define "${name}": params must be a record of shapes, got ${describe(spec.params)}`);
  }
  const program = traceStep(spec);
  checkCount(`Cannot define "${name}"`, "units", units, 1);
  const rules = spec.init ?? {};
  checkRules(`Cannot define "${name}"`, rules, program.params);
  const { structure } = program;
  const initialisation = { rules, units };
  const params = mapTree<Shape, Shape>(spec.params, Array.isArray, (shape) => Object.freeze([...shape]));
  const step: Step = {
    name,
    state,
    input,
    params,
    jacobian: structure.kind === "block" ? { block: structure.block, layout: structure.layout } : structure.kind,
    init: (device, options) => initParams(device, name, params, initialisation, options),
  };
  steps.set(step, { program, initialisation });
  return step;
}
