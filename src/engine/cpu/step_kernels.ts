import type { StepProgram } from "../../trace/program.ts";
import { hoist, type Stages } from "../../trace/stages.ts";
import { type Transition, transitionAction } from "../../trace/transition.ts";
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
  /** The first-order error by one more scan with G = J; compiled when first asked for. */
  measure(): SweepKernel;
}

const cache = new WeakMap<StepProgram, Map<string, StepKernels>>();

/** The kernels of a step, compiled at first use and kept as long as the step. */
export function stepKernels(program: StepProgram, transition: Transition, dtype: "f32" | "f64"): StepKernels {
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  const key = JSON.stringify([transition, String(transition.clip), dtype]);
  let kernels = known.get(key);
  if (kernels === undefined) known.set(key, kernels = compile(program, transition, dtype));
  return kernels;
}

function compile(program: StepProgram, transition: Transition, dtype: "f32" | "f64"): StepKernels {
  const { output, tangent } = program;
  const action = transitionAction(program, transition);
  // The error scan joins the stages, so that it finds its values hoisted as well.
  const wanted = [output, action, tangent].filter((node) => node !== null);
  const stages = hoist(wanted, program);
  const none = { shared: [], sharedSize: stages.sharedSize, hoisted: [], hoistedSize: stages.hoistedSize };
  let measure: SweepKernel | undefined;
  return {
    stages,
    shared: compileMap(program, none, stages.shared, stages.sharedSize, "shared"),
    hoist: compileMap(
      program,
      { ...none, shared: stages.shared },
      stages.hoisted,
      stages.hoistedSize,
      "hoist",
    ),
    value: compileMap(program, stages, [{ node: output, offset: 0 }], program.state, "value"),
    sweep: compileSweep(program, stages, action, transition.kind === "sequential" ? "sequential" : "sweep", dtype),
    measure: () => measure ??= compileSweep(program, stages, tangent, "measure", dtype),
  };
}
