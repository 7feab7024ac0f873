import { sizeOf } from "../core/shape.ts";
import type { Tree } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import { differentiate } from "../grad/value_and_grad.ts";
import type { TrajectoryMemory } from "../layers/layer_options.ts";
import type { MethodName } from "../solve/methods.ts";
import { type Solution, SolveError, type SolveStats } from "../solve/solution.ts";
import type { Scope } from "../scope.ts";
import { memoryOf, type Tensor } from "../tensor.ts";
import type { TensorTree } from "../tensor_tree.ts";
import type { Leaves } from "./leaves.ts";
import type { SequenceId, WarmStarts } from "./warm_starts.ts";

/** What `train` hands to the loss besides parameters and batch, to be passed on to `apply` of layers. */
export interface LossOptions {
  /** Takes the verdicts of solves, which are looked at when the loss is read. */
  readonly onSolve: (verdict: () => Promise<Solution>) => void;
  /** The trajectories of the batch, with `warmStarts`. */
  readonly memory?: TrajectoryMemory;
  /** Set where a step is made again, because a solve had failed. */
  readonly method?: MethodName;
}

/** The loss of parameters over a batch, a tensor of shape `()`. */
export type Loss<P extends TensorTree<P>, B> = (
  params: P,
  batch: B,
  options: LossOptions,
) => Tensor | Promise<Tensor>;

/** What evaluates one batch. */
export interface StepMaker<P extends Tree<Tensor>, B> {
  readonly loss: Loss<P, B>;
  readonly warmStarts: WarmStarts | undefined;
  readonly ids: ((batch: B) => ArrayLike<SequenceId>) | undefined;
}

/** A loss and its gradient that are on their way. */
export interface Attempt {
  readonly value: Tensor;
  readonly grads: Tree<Tensor>;
  readonly verdicts: readonly (() => Promise<Solution>)[];
}

/** What is known of a step once the device was asked. */
export interface StepReport {
  readonly loss: number;
  readonly solves: readonly SolveStats[];
  /** Why its update must not be used. */
  readonly failure: Error | null;
}

/** The loss of a batch and its gradient, in `scope`; nothing waits, unless the loss itself does. */
export async function attemptStep<P extends Tree<Tensor>, B>(
  { loss, warmStarts, ids }: StepMaker<P, B>,
  params: P,
  batch: B,
  scope: Scope,
  method?: MethodName,
): Promise<Attempt> {
  const verdicts: (() => Promise<Solution>)[] = [];
  const options: LossOptions = {
    onSolve: (verdict) => void verdicts.push(verdict),
    ...(warmStarts && ids && { memory: warmStarts.memory(ids(batch)) }),
    ...(method && { method }),
  };
  try {
    const { value, grads } = await differentiate(loss, params, [batch, options], (make) => scope.run(make));
    return { value, grads, verdicts };
  } catch (error) {
    // Nobody else will ask, and they hold a few words until then.
    await Promise.allSettled(verdicts.map((verdict) => verdict()));
    throw error;
  }
}

/** The largest |element| of parameters, NaN where one is, and losses: by one read. */
async function readNumbers(
  { device, tensors }: Pick<Leaves, "device" | "tensors">,
  losses: readonly Tensor[],
): Promise<{ losses: number[]; largest: number[] }> {
  const engine = engineOf(device);
  const count = losses.length + tensors.length;
  const all = engine.allocate(engine.dtype, count, "losses");
  const one = engine.allocate(engine.dtype, 1, "the largest element of a parameter");
  try {
    const to = (toStart: number) => ({ fromStart: 0, fromStride: 0, toStart, toStride: 0, width: 1, rows: 1 });
    for (const [k, loss] of losses.entries()) engine.copy(memoryOf(loss), all, to(k));
    for (const [k, tensor] of tensors.entries()) {
      const length = sizeOf(tensor.shape);
      engine.reduce({ op: "max-abs", input: memoryOf(tensor), out: one, outer: 1, length, inner: 1 });
      engine.copy(one, all, to(losses.length + k));
    }
    const numbers = Array.from(await engine.read(all));
    return { losses: numbers.slice(0, losses.length), largest: numbers.slice(losses.length) };
  } finally {
    engine.free(one);
    engine.free(all);
  }
}

async function judgeSolves(
  verdicts: readonly (() => Promise<Solution>)[],
): Promise<{ solves: SolveStats[]; failure: SolveError | null }> {
  const solves: SolveStats[] = [];
  let failure: SolveError | null = null;
  const settled = await Promise.allSettled(verdicts.map((verdict) => verdict()));
  for (const outcome of settled) {
    if (outcome.status === "fulfilled") {
      const solution = outcome.value;
      solves.push(solution.stats);
      if (solution.result !== "successful") {
        failure ??= new SolveError(`a solve by ${solution.stats.method} ended as "${solution.result}"`, solution);
      }
      continue;
    }
    if (!(outcome.reason instanceof SolveError)) throw outcome.reason;
    solves.push(outcome.reason.solution.stats);
    failure ??= outcome.reason;
  }
  return { solves, failure };
}

/** Waits for steps, the last of which has led to `params`; `first` is the number of the first of them, from 1. */
export async function readSteps(
  device: Device,
  params: Pick<Leaves, "paths" | "tensors">,
  steps: readonly Pick<Attempt, "value" | "verdicts">[],
  first: number,
): Promise<StepReport[]> {
  const values = readNumbers({ device, tensors: params.tensors }, steps.map(({ value }) => value));
  const [{ losses, largest }, judged] = await Promise.all([
    values,
    Promise.all(steps.map(({ verdicts }) => judgeSolves(verdicts))),
  ]);
  return judged.map(({ solves, failure }, k) => {
    const loss = losses[k]!;
    const wrong = k === steps.length - 1 ? largest.findIndex((value) => !Number.isFinite(value)) : -1;
    // Parameters were looked at before the first and after the last of them.
    const earlier = k === 0
      ? ""
      : `, or ${
        k === 1 ? "the step before has" : `one of the ${k} steps before has`
      } made parameters that are not finite ` +
        "(only logEvery: 1 looks at every step)";
    const problem = failure !== null
      ? failure
      : !Number.isFinite(loss)
      ? new RangeError(`the loss is ${loss}${earlier}; ${CURE}`)
      : wrong >= 0
      ? new RangeError(`params.${params.paths[wrong]} is not finite after the update${earlier}; ${CURE}`)
      : null;
    return { loss, solves, failure: problem && nameStep(problem, first + k) };
  });
}

const CURE = "lower the learning rate, clip gradients by clipByGlobalNorm(), or look for NaN in the batch";

/** The same error with the step it happened in, counted from 1 here and from 0 by batches. */
export function nameStep(error: Error, step: number): Error {
  return reword(error, `Cannot make step ${step} of training (batches({ step: ${step - 1} })): ${error.message}`);
}

/** The same error with another message. */
export function reword(error: Error, message: string): Error {
  return error instanceof SolveError ? new SolveError(message, error.solution) : new RangeError(message);
}
