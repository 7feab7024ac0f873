import type { ErrorKind } from "../engine.ts";
import type { StepProgram } from "../../trace/program.ts";
import { hoist, type Stages } from "../../trace/stages.ts";
import { absoluteAction, type Transition, transitionAction } from "../../trace/transition.ts";
import { nodesOfEntries, type TransitionEntries, transitionEntries } from "../../trace/transition_entries.ts";
import { compileDampedSweep } from "./damped_kernel.ts";
import { createSmoother } from "./smoother.ts";
import { compileMap, type MapKernel } from "./map_kernel.ts";
import { compileSweep, type SweepKernel } from "./sweep_kernel.ts";

/** All compiled code of one step with one transition. */
export interface StepKernels {
  readonly stages: Stages;
  /** Values from parameters alone. */
  readonly shared: MapKernel;
  /** Hoisted values of each (b, t). */
  readonly hoist: MapKernel;
  /** f at one state for all t. */
  readonly value: MapKernel;
  readonly sweep: SweepKernel;
  /** The error by one more scan; compiled when first asked for. */
  measure(kind: ErrorKind): SweepKernel;
}

const cache = new WeakMap<StepProgram, Map<string, StepKernels>>();

/** The kernels of a step, compiled at first use and kept as long as the step. */
export function stepKernels(program: StepProgram, transition: Transition, dtype: "f32" | "f64"): StepKernels {
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  const { trust } = transition;
  // λ itself is a number that kernels are given.
  const kind = trust && { ...trust, damping: trust.damping === "adaptive" ? trust.damping : "fixed" };
  const key = JSON.stringify([{ ...transition, trust: kind }, String(transition.clip), dtype]);
  let kernels = known.get(key);
  if (kernels === undefined) known.set(key, kernels = compile(program, transition, dtype));
  return kernels;
}

function compile(program: StepProgram, transition: Transition, dtype: "f32" | "f64"): StepKernels {
  const { output, tangent } = program;
  const damped = transition.trust !== undefined;
  const action = damped ? null : transitionAction(program, transition);
  const entries = damped ? transitionEntries(program, transition) : null;
  // The error scan shares the stages: its Jacobian needs no other h-free values than the tangent does.
  const wanted = [output, action, tangent, ...(entries === null ? [] : nodesOfEntries(entries))];
  const stages = hoist(wanted.filter((node) => node !== null), program);
  const none = { shared: [], sharedSize: stages.sharedSize, hoisted: [], hoistedSize: stages.hoistedSize };
  const measures = new Map<ErrorKind, SweepKernel>();
  return {
    stages,
    shared: compileMap(program, none, stages.shared, stages.sharedSize),
    hoist: compileMap(
      program,
      { ...none, shared: stages.shared },
      stages.hoisted,
      stages.hoistedSize,
    ),
    value: compileMap(program, stages, [{ node: output, offset: 0 }], program.state),
    sweep: entries !== null
      ? compileTrust(program, stages, transition, entries, dtype)
      : compileSweep(program, stages, action, transition.kind === "sequential" ? "sequential" : "sweep", dtype),
    measure(kind) {
      const growth = kind === "first-order" ? tangent : absoluteAction(program);
      const kernel = measures.get(kind) ?? compileSweep(program, stages, growth, kind, dtype);
      measures.set(kind, kernel);
      return kernel;
    },
  };
}

function compileTrust(
  program: StepProgram,
  stages: Stages,
  transition: Transition,
  entries: TransitionEntries,
  dtype: "f32" | "f64",
): SweepKernel {
  const make = transition.trust!.estimate === "smoother" ? createSmoother : compileDampedSweep;
  return make(program, stages, transition, entries, dtype);
}

/** Words a step of a sequence that a trust region keeps from sweep to sweep, or within one. */
export function trustWords({ state }: StepProgram, { kind, block = 1, trust }: Transition): number {
  if (trust === undefined) return 0;
  if (trust.estimate === "smoother") return state * (2 + (kind === "dense" ? state : block));
  return trust.damping === "adaptive" ? 3 * state : 0;
}
