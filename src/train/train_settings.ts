import { checkKeys, describe, kindOf } from "../core/describe.ts";
import { createRandom, type Random } from "../core/random.ts";
import { checkCount } from "../core/shape.ts";
import type { Tree } from "../core/types.ts";
import { isTensor, type Tensor } from "../tensor.ts";
import { type Checkpoint, checkRandom } from "./checkpoint.ts";
import type { TensorTree } from "../tensor_tree.ts";
import { leavesOf, matchLeaves } from "./leaves.ts";
import { checkOptimizer, type Optimizer, type OptimizerState } from "./optimizer.ts";
import type { Loss } from "./train_step.ts";
import type { FailurePolicy, WindowMaker } from "./train_window.ts";
import type { SequenceId, WarmStarts } from "./warm_starts.ts";

/** What `train` needs. */
export interface TrainSettings<P extends TensorTree<P>, B> {
  /** Initial parameters; they stay the caller's. */
  params: P;
  /**
   * The loss of parameters over a batch, a tensor of shape `()`. The third argument is to be passed on to `apply` of layers:
   * it takes verdicts, hands out warm starts, and asks for another method where a step is made again. What the loss makes on
   * the device is freed when the step ends, also what solves take whose verdict it does not pass on.
   */
  loss: Loss<P, B>;
  /** For example `chain(clipByGlobalNorm(1), adam(1e-3))`. */
  optimizer: Optimizer;
  /**
   * The batch of a step, of any kind; steps count from 0 here, and from 1 where they are told. Whatever is drawn from `random` is
   * drawn again alike after a resume. What is made on the device before it answers is freed when the step ends: fetch a batch
   * ahead in host memory, not as tensors.
   */
  batches: (at: { readonly step: number; readonly random: Random }) => B | Promise<B>;
  /** How many steps there are in all, those before `resume` among them: if none is left to do, nothing is yielded. */
  steps: number;
  /** Of `random`, a whole number of at least 0. Default 0. */
  seed?: number;
  /** The device is asked, and a step is yielded, after so many. Default 1. */
  logEvery?: number;
  /** Measures of parameters, numbers by their names, for example an accuracy. What it makes on the device is freed. */
  evaluate?: (params: P) => Readonly<Record<string, number>> | Promise<Readonly<Record<string, number>>>;
  /** They are taken after so many steps, and after the last one. Default: then only. */
  evaluateEvery?: number;
  /** Where nonlinear solves start: from the states that the same sequences had the last time. */
  warmStarts?: WarmStarts;
  /** With `warmStarts`: the ids of the sequences of a batch. */
  ids?: (batch: B) => ArrayLike<SequenceId>;
  /**
   * What becomes of a step of which a solve has failed, the loss is not finite, or the parameters are not after it. `throw`
   * (default); `skip` it: parameters and state of the optimizer stay what they were (ten in a row are an error); `sequential`:
   * make it again with all solves by that method, and throw if that fails too. The latter two make all steps since the last
   * look again, each looked at, if any of them has failed.
   */
  onFailure?: FailurePolicy;
  /** Goes on from there. The parameters must be those of `params` in names and shapes. */
  resume?: Checkpoint;
  /** Ends the training after the step under way, which is yielded; then the generator throws the signal's reason. */
  signal?: AbortSignal;
}

const CONTEXT = "Cannot train";
const SETTINGS: readonly (keyof TrainSettings<Tree<Tensor>, unknown>)[] = [
  "params",
  "loss",
  "optimizer",
  "batches",
  "steps",
  "seed",
  "logEvery",
  "evaluate",
  "evaluateEvery",
  "warmStarts",
  "ids",
  "onFailure",
  "resume",
  "signal",
];

/** A training that was checked. */
export interface Training<P extends Tree<Tensor>, B> {
  readonly maker: WindowMaker<P, B>;
  readonly params: P;
  /** That of the optimizer at the beginning where absent. */
  readonly state: OptimizerState | undefined;
  readonly from: number;
  readonly steps: number;
  readonly logEvery: number;
  readonly evaluateEvery: number;
  readonly evaluate: TrainSettings<P, B>["evaluate"];
}

/** Throws for settings that do not fit. */
export function prepareTraining<P extends Tree<Tensor>, B>(settings: TrainSettings<P, B>): Training<P, B> {
  checkKeys(CONTEXT, "settings", settings, SETTINGS);
  const { params, loss, optimizer, batches, steps, seed = 0, logEvery = 1, evaluate } = settings;
  const { evaluateEvery = Infinity, warmStarts, ids, onFailure = "throw", resume, signal } = settings;
  const leaves = leavesOf(CONTEXT, params);
  for (const [name, value] of Object.entries({ loss, batches, evaluate, ids })) {
    const optional = name === "evaluate" || name === "ids";
    if (typeof value === "function" || (optional && value === undefined)) continue;
    throw new TypeError(`${CONTEXT}: ${name} must be a function, got ${describe(value)}`);
  }
  checkOptimizer(CONTEXT, optimizer);
  checkCount(CONTEXT, "steps", steps, 0);
  checkCount(CONTEXT, "logEvery", logEvery, 1);
  if (evaluateEvery !== Infinity) checkCount(CONTEXT, "evaluateEvery", evaluateEvery, 1);
  if (!["throw", "skip", "sequential"].includes(onFailure)) {
    throw new RangeError(`${CONTEXT}: onFailure must be "throw", "skip" or "sequential", got ${describe(onFailure)}`);
  }
  if (warmStarts !== undefined && typeof (warmStarts as Partial<WarmStarts> | null)?.memory !== "function") {
    throw new TypeError(`${CONTEXT}: warmStarts must be made by warmStarts(), got ${describe(warmStarts)}`);
  }
  if ((warmStarts === undefined) !== (ids === undefined)) {
    throw new TypeError(`${CONTEXT}: warmStarts and ids must come together, got one of them`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${CONTEXT}: signal must be an AbortSignal, got ${describe(signal)}`);
  }
  checkCount(CONTEXT, "seed", seed, 0);
  const from = resume?.step ?? 0;
  if (resume !== undefined) {
    checkCount(CONTEXT, "resume.step", from, 0);
    checkRandom(CONTEXT, resume.random, "resume.random");
    matchLeaves(leaves, "resume.params", resume.params);
  }
  const random = createRandom(resume?.random ?? seed);
  const { device } = leaves;
  const maker = { device, loss, optimizer, batches, random, warmStarts, ids, onFailure, signal, skipped: { count: 0 } };
  const given = { params: (resume?.params ?? params) as P, state: resume?.state };
  return { maker, ...given, from, steps, logEvery, evaluateEvery, evaluate };
}

/** What `evaluate` has answered, if that are numbers by their names. */
export function checkEvaluation(value: unknown): Readonly<Record<string, number>> {
  const wanted = `${CONTEXT}: evaluate must return a record of numbers, such as { accuracy: 0.5 }`;
  if (kindOf(value) !== "Object" || isTensor(value)) throw new TypeError(`${wanted}, got ${describe(value)}`);
  for (const [name, number] of Object.entries(value as object)) {
    if (typeof number !== "number") throw new TypeError(`${wanted}, got ${describe(number)} for "${name}"`);
  }
  return value as Readonly<Record<string, number>>;
}
