import {
  adam,
  chain,
  clipByGlobalNorm,
  type Device,
  enqueueSolve,
  exponentialDecay,
  gru,
  type GuessChoice,
  type HostTensor,
  type LossOptions,
  matmul,
  type Optimizer,
  type Random,
  solve,
  squaredError,
  type Tensor,
  tensor,
  type TrainSettings,
  type TrainStep,
  type Tree,
} from "../../mod.ts";
import { isTensor } from "../../src/tensor.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { host, numbers, read } from "../solve/arrays.ts";

/** A small GRU that tells a number of each of six sequences from its last state: what tests of training train. */
export type Params = { readonly cell: Tree<Tensor>; readonly readout: Tensor };

/** A batch: sequences by their numbers. */
export interface Batch {
  readonly ids: readonly number[];
  readonly xs: HostTensor;
  readonly ys: HostTensor;
}

export const SEQUENCES = 6;
export const TIME = 24;
export const HIDDEN = 4;
export const cell: ReturnType<typeof gru> = gru({ input: 1, hidden: HIDDEN });

const inputs = numbers(SEQUENCES * TIME, 2, 11);

/** Its answers are not those of any GRU: training goes on. */
const answer = (id: number): number => inputs[id * TIME]! * Math.sign(inputs[id * TIME + TIME - 1]!);

export function pick(ids: readonly number[]): Batch {
  const xs = ids.flatMap((id) => Array.from(inputs.slice(id * TIME, (id + 1) * TIME)));
  return { ids, xs: host(xs, [ids.length, TIME, 1]), ys: host(ids.map(answer), [ids.length, 1]) };
}

/** Three sequences drawn at random. */
export function draw({ random }: { readonly random: Random }): Batch {
  return pick([0, 1, 2].map(() => Math.floor(SEQUENCES * random.uniform())));
}

export function makeParams(device: Device): Params {
  const readout = tensor(device, host(numbers(HIDDEN, 0.5, 12), [HIDDEN, 1]));
  return { cell: cell.init(device, { seed: 4, scheme: "orthogonal" }), readout };
}

export const makeOptimizer = (): Optimizer =>
  chain(clipByGlobalNorm(1), adam(exponentialDecay({ initValue: 0.05, transitionSteps: 10, decayRate: 0.7 })));

export type Settings = TrainSettings<Params, Batch>;

/** `queued`: solves that are only looked at when the loss is; else each is waited for. */
export function makeLoss(method: "sequential" | "deer", queued: boolean, more: object = {}): Settings["loss"] {
  return async (params: Params, { xs, ys }: Batch, { onSolve, memory, method: instead = method }: LossOptions) => {
    const guess: GuessChoice = memory?.get("gru", [xs.shape[0]!, TIME, HIDDEN]) ?? "f0";
    const problem = { params: params.cell, xs };
    const options = { method: instead, guess, ...(instead === method ? more : {}) };
    let solved: { readonly ys: Tensor; readonly yT: Tensor };
    if (queued) {
      const enqueued = enqueueSolve(cell, problem, options);
      onSolve(enqueued.verdict);
      solved = enqueued;
    } else {
      const solution = await solve(cell, problem, options);
      onSolve(() => Promise.resolve(solution));
      solved = solution;
    }
    memory?.set("gru", solved.ys);
    return squaredError(matmul(solved.yT, params.readout), ys);
  };
}

export function settingsOf(device: Device, more: Partial<Settings> = {}): Settings {
  return {
    params: more.params ?? makeParams(device),
    optimizer: makeOptimizer(),
    loss: makeLoss("sequential", true),
    batches: draw,
    steps: 12,
    seed: 9,
    ...more,
  };
}

/** All numbers of the parameters, by path. */
export async function valuesOf(params: Tree<Tensor>): Promise<Record<string, number[]>> {
  const entries = flattenTree<Tensor>(params, isTensor);
  return Object.fromEntries(
    await Promise.all(entries.map(async ([path, leaf]) => [path, Array.from(await read(leaf))] as const)),
  );
}

/** Runs to the end: the losses of all steps, and the last step with its parameters as numbers. */
export async function finish(
  training: AsyncGenerator<TrainStep<Params>>,
): Promise<{ losses: number[]; steps: TrainStep<Params>[]; values: Record<string, number[]> }> {
  const losses: number[] = [];
  const steps: TrainStep<Params>[] = [];
  for await (const step of training) {
    losses.push(...step.losses);
    steps.push(step);
  }
  return { losses, steps, values: await valuesOf(steps.at(-1)!.params) };
}
