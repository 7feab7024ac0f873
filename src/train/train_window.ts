import type { Random } from "../core/random.ts";
import type { Tree } from "../core/types.ts";
import type { Device } from "../device.ts";
import { SolveError } from "../solve/solution.ts";
import type { Scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { advance, type TrainState } from "./apply_updates.ts";
import { leavesOf } from "./leaves.ts";
import { type Optimizer, tensorsIn } from "./optimizer.ts";
import {
  type Attempt,
  attemptStep,
  nameStep,
  readSteps,
  reword,
  type StepMaker,
  type StepReport,
} from "./train_step.ts";

/** What becomes of a step that failed. */
export type FailurePolicy = "throw" | "skip" | "sequential";

/** A step that failed, and what was done about it. */
export interface TrainFailure {
  /** Its number, from 1. */
  readonly step: number;
  /** Why. */
  readonly error: Error;
  /** Left out, or made again by the sequential method. */
  readonly action: "skipped" | "sequential";
}

/** What all windows have in common. */
export interface WindowMaker<P extends Tree<Tensor>, B> extends StepMaker<P, B> {
  readonly device: Device;
  readonly optimizer: Optimizer;
  readonly batches: (at: { readonly step: number; readonly random: Random }) => B | Promise<B>;
  readonly random: Random;
  readonly onFailure: FailurePolicy;
  readonly signal: AbortSignal | undefined;
  /** How many steps in a row were skipped so far. */
  readonly skipped: { count: number };
}

/** What a window of steps has led to. */
export interface WindowResult<P extends Tree<Tensor>> {
  readonly position: TrainState<P>;
  /** One for each step. */
  readonly reports: readonly StepReport[];
  readonly failures: readonly TrainFailure[];
}

/** So many steps in a row that cannot be made are no accident. */
const MOST_SKIPPED = 10;
/** Milliseconds of work after which the event loop is given a turn, so that signals and pages live. */
const TURN_MS = 30;

/** Disposes what stands in `tree` and not in `kept`. */
export function disposeOthers(tree: TrainState<Tree<Tensor>>, kept: ReadonlySet<Tensor>): void {
  for (const part of [tree.params, tree.state]) {
    for (const tensor of tensorsIn(part)) if (!kept.has(tensor)) tensor.dispose();
  }
}

/** All tensors of a position. */
export function tensorsOf({ params, state }: TrainState<Tree<Tensor>>): Set<Tensor> {
  return new Set([...tensorsIn(params), ...tensorsIn(state)]);
}

/** Gives the event loop a turn now and then. */
function createTurns(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < TURN_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = performance.now();
  };
}

/**
 * Steps `from` to below `to`, fewer after an abort but at least one: first without looking at any of them; if one failed,
 * again from the start, each looked at before its update is used. The position given stays as it is. What is made on the way is
 * a member of `scope`, which is closed; it is open to others while batches or loss wait, but not between the steps.
 */
export async function runWindow<P extends Tree<Tensor>, B>(
  maker: WindowMaker<P, B>,
  scope: Scope,
  start: TrainState<P>,
  from: number,
  to: number,
): Promise<WindowResult<P>> {
  const { onFailure } = maker;
  const batches: B[] = [];
  const run = async (): Promise<WindowResult<P>> => {
    const result = await runBlindly(maker, scope, start, from, to, batches);
    const failure = result instanceof Error ? result : result.reports.find((report) => report.failure)?.failure;
    if (failure === undefined || failure === null) {
      maker.skipped.count = 0;
      return result as WindowResult<P>;
    }
    if (onFailure === "throw") throw failure;
    if (!(result instanceof Error)) disposeOthers(result.position, tensorsOf(start));
    return await runCarefully(maker, scope, start, from, to, batches);
  };
  try {
    const result = await run();
    scope.close(result);
    return result;
  } catch (error) {
    scope.close();
    throw error;
  }
}

/** Queues all steps, then reads what became of them; an error is a solve that was waited for, and failed. */
async function runBlindly<P extends Tree<Tensor>, B>(
  maker: WindowMaker<P, B>,
  scope: Scope,
  start: TrainState<P>,
  from: number,
  to: number,
  batches: B[],
): Promise<WindowResult<P> | Error> {
  const { device, optimizer, random, onFailure, signal } = maker;
  const kept = tensorsOf(start);
  const takeTurn = createTurns();
  const attempts: Pick<Attempt, "value" | "verdicts">[] = [];
  let position = start;
  for (let step = from; step < to; step++) {
    if (step > from && signal?.aborted) break;
    try {
      // What the batch and the loss have made on the device is freed, but what a second try needs.
      const { next, value, verdicts } = await scope.within(async (own) => {
        const batch = await own.run(() => maker.batches({ step, random }));
        if (onFailure !== "throw") batches.push(batch);
        const { value, grads, verdicts } = await attemptStep(maker, position.params, batch, own);
        const next = own.run(() => advance(optimizer, { ...position, grads }, kept));
        return { next, value, verdicts, ...(onFailure === "throw" ? {} : { batch }) };
      });
      position = next;
      attempts.push({ value, verdicts });
    } catch (error) {
      if (!(error instanceof SolveError)) throw error;
      await readSteps(device, leavesOf("Cannot train", position.params), attempts, from + 1);
      if (position !== start) disposeOthers(position, kept);
      return nameStep(error, step + 1);
    }
    await takeTurn();
  }
  const reports = await readSteps(device, leavesOf("Cannot train", position.params), attempts, from + 1);
  for (const { value } of attempts) value.dispose();
  return { position, reports, failures: [] };
}

/** Looks at every step before its update is used. */
async function runCarefully<P extends Tree<Tensor>, B>(
  maker: WindowMaker<P, B>,
  scope: Scope,
  start: TrainState<P>,
  from: number,
  to: number,
  batches: readonly B[],
): Promise<WindowResult<P>> {
  const { onFailure, random, signal, skipped } = maker;
  const kept = tensorsOf(start);
  const takeTurn = createTurns();
  const reports: StepReport[] = [];
  const failures: TrainFailure[] = [];
  let position = start;
  for (let step = from; step < to; step++) {
    if (step > from && signal?.aborted && step - from >= batches.length) break;
    const { report, next } = await scope.within(async (own) => {
      const known = step - from < batches.length;
      const batch = known ? batches[step - from]! : await own.run(() => maker.batches({ step, random }));
      const first = await tryStep(maker, own, position, batch, step, kept);
      const error = first.report.failure;
      if (error === null || onFailure !== "sequential") return first;
      const second = await tryStep(maker, own, position, batch, step, kept, "sequential");
      if (second.report.failure !== null) throw second.report.failure;
      failures.push({ step: step + 1, error, action: "sequential" });
      return second;
    });
    reports.push(next === null ? { ...report, loss: NaN } : report);
    skipped.count = next === null ? skipped.count + 1 : 0;
    if (next === null) {
      failures.push({ step: step + 1, error: report.failure!, action: "skipped" });
      if (skipped.count >= MOST_SKIPPED) {
        const end = `it is number ${MOST_SKIPPED} in a row that would be skipped, which ends the training`;
        throw reword(report.failure!, `${report.failure!.message}; ${end}`);
      }
    } else {
      disposeOthers(position, new Set([...kept, ...tensorsOf(next)]));
      position = next;
    }
    await takeTurn();
  }
  return { position, reports, failures };
}

/** One step that is waited for; null instead of where it leads if it failed. */
async function tryStep<P extends Tree<Tensor>, B>(
  maker: WindowMaker<P, B>,
  scope: Scope,
  position: TrainState<P>,
  batch: B,
  step: number,
  kept: ReadonlySet<Tensor>,
  method?: "sequential",
): Promise<{ readonly report: StepReport; readonly next: TrainState<P> | null }> {
  const { device, optimizer } = maker;
  try {
    const { value, grads, verdicts } = await attemptStep(maker, position.params, batch, scope, method);
    const used = new Set([...kept, ...tensorsOf(position)]);
    const next = scope.run(() => advance(optimizer, { ...position, grads }, used));
    const leaves = leavesOf("Cannot train", next.params);
    const [report] = await readSteps(device, leaves, [{ value, verdicts }], step + 1);
    value.dispose();
    if (report!.failure === null) return { report: report!, next };
    disposeOthers(next, used);
    return { report: report!, next: null };
  } catch (error) {
    if (!(error instanceof SolveError)) throw error;
    const failure = nameStep(error, step + 1);
    return { report: { loss: NaN, solves: [error.solution.stats], failure }, next: null };
  }
}
