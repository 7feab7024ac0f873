import { flattenTree } from "../core/tree.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { isTensorLike, type TensorLike } from "../tensor.ts";
import type { StepProgram } from "../trace/program.ts";
import { estimateGrowth } from "./growth_estimate.ts";
import type { PreparedProblem, Problem } from "./problem.ts";
import { runProgram } from "./run_program.ts";

/** What `auto` knows of a step beyond its structure. */
export interface Foresight {
  /** The largest Lyapunov exponent over the first `steps` steps, of the sequence where it is largest; NaN if unknown. */
  readonly exponent: number;
  readonly steps: number;
  /** Sweeps after which what `auto` had chosen for these parameters has failed, 0 if it has not. */
  readonly failedAfter: number;
}

interface Record extends Foresight {
  readonly params: readonly WeakRef<object>[];
  /** How often the step came with parameters that it was not looked at with. */
  readonly others: number;
}

/** The last of each step on each engine: parameters change in training, and hardly what they make of a step. */
const known = new WeakMap<Engine, WeakMap<StepProgram, Record>>();

/** What is looked at beforehand: an eighth of T, within these bounds, of so many sequences. */
const SHARE = 1 / 8;
const FEWEST_STEPS = 128;
const MOST_STEPS = 1024;
const MOST_SEQUENCES = 4;
/** Below this T a probe is no fraction of the solve any more. */
const SHORTEST = FEWEST_STEPS / SHARE;
const VECTORS = 2;

/** What is known of a step: its growth maybe with other parameters, its failures with these only. */
export function recallForesight(
  engine: Engine,
  program: StepProgram,
  params: Problem["params"],
): Foresight | undefined {
  const record = known.get(engine)?.get(program);
  return record === undefined || knowsParameters(engine, program, params) ? record : { ...record, failedAfter: 0 };
}

/** Whether a solve is long enough to be looked at beforehand. */
export function isWorthProbing(time: number): boolean {
  return time >= SHORTEST;
}

/** Whether what is known of a step was found with these very parameters. */
export function knowsParameters(engine: Engine, program: StepProgram, params: Problem["params"]): boolean {
  const record = known.get(engine)?.get(program);
  if (record === undefined) return false;
  const own = identities(params);
  return own.length === record.params.length && own.every((one, i) => record.params[i]!.deref() === one);
}

/** Whether a step is to be looked at with parameters that are new to it: the first time, the second, the fourth, ... */
export function isTurnOf(engine: Engine, program: StepProgram): boolean {
  const record = known.get(engine)?.get(program);
  if (record === undefined) return true;
  const others = record.others + 1;
  keep(engine, program, { ...record, others });
  return (others & (others - 1)) === 0;
}

/** What stays the same from call to call: tensors, and the arrays of host tensors. */
function identities(params: Problem["params"]): object[] {
  return flattenTree<TensorLike>(params, isTensorLike).map(([, leaf]) => "data" in leaf ? leaf.data : leaf);
}

/**
 * Runs the first steps of a few sequences one after the other, with vectors carried along, waits for the exponent, and keeps
 * it. Cost: two passes over at most an eighth of T, one of them with two Jacobian-vector products a step.
 */
export async function probe(
  engine: Engine,
  program: StepProgram,
  params: Problem["params"],
  prepared: PreparedProblem,
): Promise<void> {
  const { state, input } = program;
  const batch = Math.min(prepared.batch, MOST_SEQUENCES);
  const time = Math.max(FEWEST_STEPS, Math.min(MOST_STEPS, Math.floor(prepared.time * SHARE)));
  const held: Memory[] = [];
  const take = (from: Memory, stride: number, width: number): Memory => {
    const rows = engine.allocate(engine.dtype, batch * width, "what a probe reads");
    held.push(rows);
    engine.copy(from, rows, { fromStart: 0, fromStride: stride, toStart: 0, toStride: width, width, rows: batch });
    return rows;
  };
  try {
    const xs = prepared.xs && take(prepared.xs, prepared.time * input, time * input);
    const h0 = take(prepared.h0, state, state);
    const transition = { kind: "sequential", scale: 0, clip: Infinity } as const;
    const job = { program, transition, params: prepared.params, xs, h0, batch, time };
    const ys = runProgram(engine, job);
    held.push(ys);
    const { exponents } = await estimateGrowth(engine, { ...job, ys }, VECTORS, 0);
    const exponent = Math.max(...exponents);
    // States that are not finite are the solve's to report.
    if (!Number.isNaN(exponent)) learn(engine, program, params, { exponent, steps: time, failedAfter: 0 });
  } finally {
    for (const memory of held) engine.free(memory);
  }
}

/** Keeps that a method which `auto` had chosen did not converge: it is not to be chosen again for these parameters. */
export function noteFailure(
  engine: Engine,
  program: StepProgram,
  params: Problem["params"],
  sweeps: number,
): void {
  const { exponent = NaN, steps = 0 } = recallForesight(engine, program, params) ?? {};
  learn(engine, program, params, { exponent, steps, failedAfter: sweeps });
}

function learn(engine: Engine, program: StepProgram, params: Problem["params"], foresight: Foresight): void {
  const others = known.get(engine)?.get(program)?.others ?? 0;
  keep(engine, program, { ...foresight, params: identities(params).map((one) => new WeakRef(one)), others });
}

function keep(engine: Engine, program: StepProgram, record: Record): void {
  let steps = known.get(engine);
  if (steps === undefined) known.set(engine, steps = new WeakMap());
  steps.set(program, record);
}
