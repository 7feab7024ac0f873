import { emitBlank, emitGuess } from "../../../kernels/guess.ts";
import type { Kernel } from "../../../kernels/kernel.ts";
import type { ScanElements } from "../../../kernels/scan_elements.ts";
import { emitVerdict } from "../../../kernels/verdict.ts";
import type { StepProgram } from "../../trace/program.ts";
import { denseSpine, planChunks } from "./dense_plan.ts";
import { scanForm } from "./scan_forms.ts";
import { planScan } from "./scan_plan.ts";
import { type StepPlan, stepPlan } from "./step_plan.ts";
import { trustChunkRows } from "./trust_plan.ts";
import type { Transition } from "../../trace/transition.ts";

/** Kernels that every solve uses. */
export function baseKernels(): Kernel[] {
  return (["enter", "begin", "judge", "conclude", "measured"] as const).map(emitVerdict);
}

/** Kernels of solves of a step by a method, over about so many sequences and steps. */
export function solveKernels(program: StepProgram, transition: Transition, batch: number, time: number): Kernel[] {
  const { state } = program;
  const plan = stepPlan(program, transition);
  const evaluations = [plan.shared, plan.hoisting, plan.value].flatMap((one) => one === null ? [] : [one.kernel]);
  const guesses = (["zeros", "start", "buffer"] as const).map((source) => emitGuess(source, state));
  return [...baseKernels(), emitBlank(state), ...guesses, ...evaluations, ...sweepKernels(plan, state, batch, time)];
}

function sweepKernels({ form }: StepPlan, state: number, batch: number, time: number): Kernel[] {
  if (form.kind === "fold") return [form.fold.kernel];
  if (form.kind === "dense") {
    const { dense } = form;
    const chunks = Math.ceil(time / planChunks(dense, batch, time, state));
    if (chunks <= 1) return [dense.single.kernel];
    const spine = denseSpine(state / dense.units);
    const climbs = [spine.reduceSpine(), spine.applySpine("aggregates"), spine.applySpine("zeros")];
    return [dense.reduce.kernel, dense.apply.kernel, ...climbs.map(({ kernel }) => kernel)];
  }
  if (form.kind === "trust") {
    const { trust, evaluation } = form;
    const { reduce, spine, single, apply, adaptive } = trust;
    const judges = adaptive === null ? [] : Object.values(adaptive);
    const chunked = trustChunkRows(trust, batch, time, state) < time;
    return [evaluation.kernel, ...judges, ...(chunked ? [reduce, spine, apply] : [single])];
  }
  const { matrix, size, layout, evaluation } = form;
  const elements: ScanElements = { sink: "update", matrix, size, layout, reverse: false };
  const { form: kind, chunks } = planScan({ batch, time, units: state / size, size, matrix });
  if (kind === "wide") return [evaluation.kernel];
  const scan = scanForm(kind, elements);
  const parts = chunks <= 1 || matrix === "zero" ? [scan.apply("zeros")] : [
    scan.reduce(),
    scan.reduceSpine(),
    scan.applySpine("aggregates"),
    scan.applySpine("zeros"),
    scan.apply("aggregates"),
  ];
  return [evaluation.kernel, ...parts.map(({ kernel }) => kernel)];
}
