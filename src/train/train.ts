import type { RandomState } from "../core/random.ts";
import { mapTree } from "../core/tree.ts";
import type { Tree } from "../core/types.ts";
import { engineOf } from "../device.ts";
import { copyOf } from "../map/flat.ts";
import type { SolveStats } from "../solve/solution.ts";
import { innermostScope, Scope, tidy } from "../scope.ts";
import { isTensor, memoryOf, type Tensor, wrapMemory } from "../tensor.ts";
import type { TensorTree } from "../tensor_tree.ts";
import type { TrainState } from "./apply_updates.ts";
import type { OptimizerState } from "./optimizer.ts";
import { checkEvaluation, prepareTraining, type Training, type TrainSettings } from "./train_settings.ts";
import { disposeOthers, runWindow, tensorsOf, type TrainFailure } from "./train_window.ts";

/** What {@linkcode train} yields; a checkpoint, too. */
export interface TrainStep<P extends TensorTree<P> = Tree<Tensor>> {
  /** Steps so far. */
  readonly step: number;
  /** The loss of the last step, before its update; NaN if that was skipped. */
  readonly loss: number;
  /** The losses of all steps since the last that was yielded. */
  readonly losses: readonly number[];
  /** After the step. They stay until the next step is yielded; those of the last one are the caller's to dispose. */
  readonly params: P;
  /** What the optimizer remembers; likewise. */
  readonly state: OptimizerState;
  /** Where the stream of random numbers is. */
  readonly random: RandomState;
  /** Sweeps of all solves of a step: the mean over the steps since the last that was yielded. */
  readonly sweeps: number;
  /** What the solves of the last step took, in their order. */
  readonly solves: readonly SolveStats[];
  /** The steps that failed since the last that was yielded. */
  readonly failures: readonly TrainFailure[];
  /** Milliseconds per step since the last that was yielded, evaluation not counted. */
  readonly milliseconds: number;
  /** What `evaluate` said, where it was asked. */
  readonly evaluation?: Readonly<Record<string, number>>;
}

/**
 * Trains parameters: for each step a batch, the loss and its gradient, and an update of the optimizer. An async generator
 * that yields what has become of the steps, so that the caller's loop logs, saves and decides.
 *
 * On WebGPU steps are queued, and nothing waits for the device but every `logEvery` steps: then losses and the verdicts of
 * solves are read, and a step that failed is dealt with as `onFailure` says. What is yielded stays until the next step is
 * yielded, and after a break, an abort or an error, so that it can always be saved by `saveCheckpoint`. With `resume`
 * training goes on as if it had not been interrupted: on the CPU engine bit for bit, if nothing in loss and batches depends
 * on other things than parameters, step and `random`, and with warm starts if their store was saved, too.
 *
 * Memory: parameters and state of the optimizer three times, a batch and what its gradient needs; with `skip` and
 * `sequential` the batches of `logEvery` steps.
 *
 * Other work may use the device meanwhile, another training too. But while `batches`, `loss` or `evaluate` themselves wait for
 * something (a file, the device), what others make on the device is taken for theirs, and freed with it, as by `tidy`: the
 * error of whoever uses it then says so. Functions that do not wait, and batches as host arrays, have no such moments.
 *
 * Throws a `TypeError` or `RangeError` for settings that do not fit, at once; while it runs, a {@linkcode SolveError} or
 * `RangeError` for a step that failed, what the caller's functions throw, and the reason of `signal`. Its errors count steps
 * from 1, and say what `batches` was asked for.
 *
 * @example A GRU that learns to tell the mean of what it has read
 * ```ts
 * import { adam, enqueueSolve, formatProgress, gru, matmul, openDevice, squaredError, tensor, train } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = gru({ input: 1, hidden: 4 });
 * const readout = tensor(device, { data: new Float32Array(4).fill(0.1), shape: [4, 1] });
 * const training = train({
 *   params: { cell: cell.init(device), readout },
 *   optimizer: adam(1e-2),
 *   steps: 20,
 *   batches: ({ random }) => {
 *     const data = Float32Array.from({ length: 8 * 20 }, () => random.normal());
 *     const means = Float32Array.from({ length: 8 }, (_, b) => data.subarray(20 * b, 20 * b + 20).reduce((a, x) => a + x / 20, 0));
 *     return { xs: { data, shape: [8, 20, 1] }, means: { data: means, shape: [8, 1] } };
 *   },
 *   loss: ({ cell: weights, readout }, { xs, means }, { onSolve }) => {
 *     const { yT, verdict } = enqueueSolve(cell, { params: weights, xs });
 *     onSolve(verdict);
 *     return squaredError(matmul(yT, readout), means);
 *   },
 * });
 * for await (const step of training) console.log(formatProgress(step, { steps: 20 }));
 * ```
 */
export function train<P extends TensorTree<P>, B>(
  settings: TrainSettings<P, B>,
): AsyncGenerator<TrainStep<P>, void, undefined> {
  // Inside nobody asks for more than a tree.
  const training = takeSteps(prepareTraining(settings as unknown as TrainSettings<Tree<Tensor>, B>));
  return training as unknown as AsyncGenerator<TrainStep<P>, void, undefined>;
}

/** The same tree with a copy of every tensor. */
function copyTree(tree: OptimizerState): OptimizerState {
  type Leaf = Tensor | number;
  const isLeaf = (value: unknown): value is Leaf => isTensor(value) || typeof value === "number";
  return mapTree<Leaf, Leaf>(tree, isLeaf, (leaf, path) => {
    if (typeof leaf === "number") return leaf;
    return wrapMemory(leaf.device, [...leaf.shape], copyOf(engineOf(leaf.device), memoryOf(leaf)), path);
  });
}

/** The first multiple of `every` above `step`. */
const nextMultiple = (every: number, step: number): number => every * (Math.floor(step / every) + 1);

async function* takeSteps<P extends Tree<Tensor>, B>(
  { maker, params, state, from, steps, logEvery, evaluateEvery, evaluate }: Training<P, B>,
): AsyncGenerator<TrainStep<P>, void, undefined> {
  const { device, signal, random, optimizer } = maker;
  // That of the caller, if any, disposes in the end what a position holds.
  const outer = innermostScope(device);
  // Copies, so that what was given stays the caller's.
  let position: TrainState<P> = {
    params: copyTree(params) as P,
    state: state === undefined ? optimizer.init(params) : copyTree(state),
  };
  let isYielded = false;
  try {
    for (let step = from; step < steps;) {
      signal?.throwIfAborted();
      const stop = Math.min(steps, nextMultiple(logEvery, step), nextMultiple(evaluateEvery, step));
      const began = performance.now();
      const { position: next, reports, failures } = await runWindow(
        maker,
        new Scope(device, outer),
        position,
        step,
        stop,
      );
      const milliseconds = (performance.now() - began) / reports.length;
      step += reports.length;
      const asked = evaluate !== undefined && (step === steps || step % evaluateEvery === 0);
      let evaluation: Readonly<Record<string, number>> | undefined;
      try {
        if (asked) {
          evaluation = await tidy(device, () => {
            const told = evaluate(next.params);
            return told instanceof Promise ? told.then(checkEvaluation) : checkEvaluation(told);
          });
        }
      } catch (error) {
        disposeOthers(next, tensorsOf(position));
        throw error;
      }
      disposeOthers(position, tensorsOf(next));
      position = next;
      isYielded = true;
      const sweeps = reports.flatMap(({ solves }) => solves).reduce((sum, { sweeps }) => sum + sweeps, 0);
      const { loss, solves } = reports.at(-1)!;
      yield {
        step,
        loss,
        losses: reports.map(({ loss }) => loss),
        ...position,
        random: random.state(),
        sweeps: sweeps / reports.length,
        solves,
        failures,
        milliseconds,
        ...(evaluation && { evaluation }),
      };
    }
  } finally {
    if (!isYielded) disposeOthers(position, new Set());
  }
}
