import { checkKeys, describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import type { BlockLayout, Structure } from "../trace/pattern.ts";
import type { StepProgram } from "../trace/program.ts";
import type { Transition, TrustRegion } from "../trace/transition.ts";

/** The methods by name; see the README for how to choose. */
export type MethodName =
  | "auto"
  | "sequential"
  | "jacobi"
  | "picard"
  | "quasi-deer"
  | "block-deer"
  | "deer"
  | "quasi-elk"
  | "elk";

/** A method with its settings, made by `deer()`, `quasiDeer({ scale: 0.1 })` and their like. */
export interface Method {
  /** Its row in the table of methods. */
  readonly name: MethodName;
  /** k: the transition becomes (1 - k) G. */
  readonly scale?: number;
  /** c: entries of the transition are clipped to [-c, c], before scaling. */
  readonly clip?: number;
  /** Of `quasi-deer`: the diagonal, exact or estimated from random signs. */
  readonly diagonal?: DiagonalChoice;
  /** Of `block-deer`: the size of the blocks. */
  readonly block?: number;
  /** Of `block-deer`: which states share a block. */
  readonly layout?: BlockLayout;
  /** Of `elk` and `quasi-elk`: λ = 1/σ², or `adaptive`. */
  readonly damping?: Damping;
  /** Of `elk` and `quasi-elk`. */
  readonly estimate?: ElkEstimate;
}

/** λ, the weight of the iterate against the linearised step, at least 0; `adaptive` finds it sweep by sweep. */
export type Damping = number | "adaptive";

/** `filter`: an update follows from what is earlier; `smoother`: from the whole sequence, the least squares' own. */
export type ElkEstimate = "filter" | "smoother";

/** Settings of `elk` and `quasi-elk`. */
export interface ElkOptions {
  /** λ = 1/σ². Default `adaptive`. */
  damping?: Damping;
  /** Default `filter`. `smoother` needs a damping of its own, and the CPU engine. */
  estimate?: ElkEstimate;
}

/** `exact`, or Hutchinson's estimate `mean of z ∘ (J z)` over `probes` random sign vectors z, the same in every sweep. */
export type DiagonalChoice = "exact" | { readonly probes: number; readonly seed?: number };

/** Settings that several methods share. */
export interface MethodOptions {
  /** k: the transition becomes (1 - k) G; stabilises at the price of linear convergence. Default 0. */
  scale?: number;
  /** c: entries of the transition are clipped to [-c, c], before scaling. Default none. */
  clip?: number;
}

/** One row of the table of methods: how its G[t] follows from a step and its settings. */
type Row = (program: StepProgram, method: Method) => Transition;

const PLAIN = { scale: 0, clip: Infinity } as const;
const damped = ({ scale = 0, clip = Infinity }: Method): { scale: number; clip: number } => ({ scale, clip });

/** The trust region of a method around its transition, none if its damping is 0. */
function withTrust(program: StepProgram, transition: Transition, method: Method): Transition {
  const { damping = "adaptive", estimate = "filter" } = method;
  if (damping === 0) return transition;
  const trust: TrustRegion = { damping, estimate, whole: isNewton(program, transition) };
  return { ...transition, trust };
}

/** G = ∂f/∂h: a Jacobian that is provably sparser needs no dense scan, and loses nothing. */
const newton: Row = ({ structure }, method) =>
  structure.kind === "block"
    ? { kind: "block", ...damped(method), block: structure.block, layout: structure.layout }
    : { kind: structure.kind, ...damped(method) };

/** The one table of methods: every method is the same sweep with another transition matrix. */
export const METHODS: Readonly<Record<Exclude<MethodName, "auto">, Row>> = {
  sequential: () => ({ kind: "sequential", ...PLAIN }),
  jacobi: () => ({ kind: "zero", ...PLAIN }),
  picard: () => ({ kind: "identity", ...PLAIN }),
  "quasi-deer": (_, method) => {
    const { diagonal = "exact" } = method;
    const estimate = diagonal === "exact" ? {} : { probes: diagonal.probes, seed: diagonal.seed ?? 0 };
    return { kind: "diagonal", ...damped(method), ...estimate };
  },
  "block-deer": (program, method) => ({ kind: "block", ...damped(method), ...chooseBlocks(program, method) }),
  deer: newton,
  "quasi-elk": (program, method) => withTrust(program, { kind: "diagonal", ...PLAIN }, method),
  elk: (program, method) => withTrust(program, newton(program, method), method),
};

/** The blocks of `block-deer`: as asked for, else the states that the step ties together elementwise. */
function chooseBlocks({ name, state, units }: StepProgram, method: Method): { block: number; layout: BlockLayout } {
  const own = units.kind === "block" ? units : { block: 1, layout: "contiguous" as const };
  const block = method.block ?? own.block;
  if (state % block !== 0) {
    throw new RangeError(`Cannot solve "${name}": block must divide the ${state} states, got ${block}`);
  }
  return { block, layout: method.layout ?? (block === own.block ? own.layout : "contiguous") };
}

/** Whether G is exactly ∂f/∂h: Newton's method. */
export function isNewton({ structure }: StepProgram, transition: Transition): boolean {
  const { scale, clip, probes, trust } = transition;
  if (scale !== 0 || clip !== Infinity || probes !== undefined || trust !== undefined) return false;
  const covers: Record<Transition["kind"], (s: Structure) => boolean> = {
    sequential: () => false,
    identity: () => false,
    zero: (s) => s.kind === "zero",
    diagonal: (s) => s.kind === "zero" || s.kind === "diagonal",
    block: (s) =>
      s.kind === "zero" || s.kind === "diagonal" ||
      (s.kind === "block" && s.block === transition.block && s.layout === transition.layout),
    dense: () => true,
  };
  return covers[transition.kind](structure);
}

/** What each method may be given. */
const SETTINGS: Readonly<Record<MethodName, readonly string[]>> = {
  auto: [],
  sequential: [],
  jacobi: [],
  picard: [],
  "quasi-deer": ["scale", "clip", "diagonal"],
  "block-deer": ["scale", "clip", "block", "layout"],
  deer: ["scale", "clip"],
  "quasi-elk": ["damping", "estimate"],
  elk: ["damping", "estimate"],
};

/** The method itself, if its settings are its own and in range, whoever made it. */
export function checkMethod<M extends Method>(context: string, method: M): M {
  const { name, ...settings } = method;
  checkKeys(context, "settings", settings, SETTINGS[name]);
  const { scale, clip, diagonal, block, layout, damping, estimate } = method;
  if (scale !== undefined && !(scale >= 0 && scale <= 1)) {
    throw new RangeError(`${context}: scale must lie in [0, 1], got ${describe(scale)}`);
  }
  if (clip !== undefined && !(clip >= 0)) {
    throw new RangeError(`${context}: clip must be at least 0, got ${describe(clip)}`);
  }
  if (typeof diagonal === "object" && diagonal !== null) checkCount(context, "probes", diagonal.probes, 1);
  else if (diagonal !== undefined && diagonal !== "exact") {
    throw new RangeError(`${context}: diagonal must be "exact" or { probes }, got ${describe(diagonal)}`);
  }
  if (block !== undefined) checkCount(context, "block", block, 1);
  if (layout !== undefined && layout !== "contiguous" && layout !== "strided") {
    throw new RangeError(`${context}: layout must be "contiguous" or "strided", got ${describe(layout)}`);
  }
  if (
    damping !== undefined && damping !== "adaptive" &&
    !(typeof damping === "number" && damping >= 0 && damping < Infinity)
  ) {
    throw new RangeError(`${context}: damping must be a number of at least 0 or "adaptive", got ${describe(damping)}`);
  }
  if (estimate !== undefined && estimate !== "filter" && estimate !== "smoother") {
    throw new RangeError(`${context}: estimate must be "filter" or "smoother", got ${describe(estimate)}`);
  }
  if (estimate === "smoother" && (damping === undefined || damping === "adaptive")) {
    throw new RangeError(
      `${context}: the smoother's damping must be a number, got ${describe(damping)}; use the filter, or give one`,
    );
  }
  return method;
}

/** The method itself, or null for `auto`; a RangeError if there is none of the name. */
export function resolveMethod(
  choice: MethodName | Method,
): (Method & { readonly name: keyof typeof METHODS }) | null {
  const method = typeof choice === "string" ? { name: choice } : choice;
  const name = method?.name;
  if (name === "auto") {
    checkMethod("Cannot solve by auto", method);
    return null;
  }
  if (!Object.hasOwn(METHODS, name)) {
    const known = ["auto", ...Object.keys(METHODS)].join(", ");
    throw new RangeError(`Cannot solve: method must be one of ${known}, got ${describe(name ?? choice)}`);
  }
  return checkMethod(`Cannot solve by ${name}`, { ...method, name });
}

/** The transition of a method for a step. Scaled or clipped to nothing it is Jacobi's, on every engine. */
export function transitionOf(
  program: StepProgram,
  method: Method & { readonly name: keyof typeof METHODS },
): Transition {
  const transition = METHODS[method.name](program, method);
  // Of a step that forgets its state f is the answer, and nothing needs to be held back.
  if (transition.kind === "zero" && transition.trust !== undefined) return { kind: "zero", ...PLAIN };
  return transition.scale === 1 || transition.clip === 0 ? { kind: "zero", ...PLAIN } : transition;
}
