import type { InitRules } from "../init.ts";
import type { ShapeTree } from "../core/types.ts";
import type { ParameterSyms } from "../step.ts";
import type { Sym } from "../trace/graph.ts";

/** A recurrence's states: at step t, and at the step before. */
export interface StateSyms {
  /** `[n]` */
  readonly now: Sym;
  /** `[n]` */
  readonly before: Sym;
}

/** What the gates of a recurrence are computed from. */
export interface GateArguments<P extends ShapeTree, N extends string> {
  /** `[k I]`: the inputs `x[t-k+1]` to `x[t]`, one after the other; zeros before the first. */
  readonly x: Sym;
  /** The parameters. */
  readonly p: ParameterSyms<P>;
  /** The states of the recurrences before this one, by name. */
  readonly states: { readonly [K in N]: StateSyms };
}

/** What the output is computed from. */
export interface OutputArguments<P extends ShapeTree, N extends string> extends GateArguments<P, N> {
  /** What gates returned beside a and b, by name. */
  readonly kept: { readonly [name: string]: Sym };
}

/** One linear recurrence `c[t] = a ∘ c[t-1] + b` of a layer. */
export interface RecurrenceSpec<P extends ShapeTree, N extends string> {
  /** Names its states. */
  readonly name: N;
  /** n: the number of states. */
  readonly state: number;
  /** `a`, `[n]` or one number `[]` for all states, and `b [n]`; further vectors by other names are kept for the output. */
  gates(args: GateArguments<P, N>): {
    readonly a: Sym;
    readonly b: Sym;
    readonly [kept: string]: Sym | undefined;
  };
}

/** A network on linear recurrences as its user writes it. */
export interface LinearLayerSpec<P extends ShapeTree = ShapeTree, N extends string = string> {
  /** Names the layer in error messages. */
  name: string;
  /** I: inputs per step. */
  input: number;
  /** H: outputs per step. */
  hidden: number;
  /** Shapes of the parameters: `[]` scalars, `[n]` vectors, `[m, n]` matrices. */
  params: P;
  /** What parameters start from by the scheme `own`; those not named as by `torch`. */
  init?: InitRules;
  /** k, default 1: gates read the inputs `x[t-k+1]` to `x[t]`. */
  window?: number;
  /** Default false; if true, time runs backward: "before" is what comes after. */
  reverse?: boolean;
  /** In the order of evaluation: each may read the states of those before it. */
  recurrences: readonly RecurrenceSpec<P, N>[];
  /** `y [H]`, run once on symbols. */
  output(args: OutputArguments<P, N>): Sym;
}

/** A description whose types are forgotten, for those who evaluate it. */
// Its symbols have the fields that the description declares; defineLinearLayer() gives them types.
// deno-lint-ignore no-explicit-any
export type AnyLayerSpec = LinearLayerSpec<any, string>;
