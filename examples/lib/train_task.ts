/** Training on the first-element task: at short sequences first, then at ever longer ones. */

import {
  adam,
  chain,
  clipByGlobalNorm,
  dense,
  type Device,
  disposeTree,
  gilrLstm,
  last,
  type SequenceLayer,
  softmaxCrossEntropy,
  stack,
  take,
  type Tensor,
  tensor,
  toHost,
  train,
  type TrainStep,
  type Tree,
} from "@cervid/cervid";
import { createRandom } from "../../src/core/random.ts";
import { drawSigns, symbolPieces } from "./first_element_task.ts";

/** What is trained, and on what. */
export interface TaskSettings {
  /** Lengths, the shortest first. */
  readonly lengths: readonly number[];
  /** p */
  readonly features: number;
  readonly hidden: number;
  readonly forgetBias: number;
  readonly seed: number;
}

/** A step of training. */
export interface TaskStep {
  readonly time: number;
  readonly batch: number;
  /** Steps at this length, and in all. */
  readonly stepOfStage: number;
  readonly step: number;
  readonly loss: number;
  readonly seconds: number;
  /** Minibatches in a row of which all sequences were told right. */
  readonly inRow: number;
}

/** As Martin & Cundy have it: five minibatches in a row without an error. */
export const ENOUGH = 5;
/** Steps at one length before training is given up. */
export const MOST_STEPS = 2000;
/** Rows of a minibatch: what the gradient remembers of each takes about 1.5 kB at 16 units. */
const MOST_ROWS = 2 ** 20;
const [MOST_SEQUENCES, LEAST_SEQUENCES] = [8, 2];
const LEARNING_RATE = 3e-3;
/** Closed gates let little noise in before anything is learnt. */
const INPUT_BIAS = -3;

/** How many sequences of a length make a minibatch. */
export function batchOf(time: number): number {
  return Math.max(LEAST_SEQUENCES, Math.min(MOST_SEQUENCES, Math.floor(MOST_ROWS / time)));
}

type TaskParams = { readonly table: Tensor; readonly layers: Tree<Tensor>; readonly head: Tree<Tensor> };

/**
 * Two layers of GILR-LSTM of which the last output tells the sign. A symbol is read as a row of a table that is learnt, -e_1 as
 * a row of its own: a one-hot vector would take 8 times the memory, and its product with the weights picks such rows, too.
 */
async function makeParams(
  device: Device,
  layers: SequenceLayer,
  head: SequenceLayer,
  { features, hidden, seed }: TaskSettings,
): Promise<TaskParams> {
  const random = createRandom(seed);
  const rows = {
    data: Float32Array.from({ length: (features + 1) * hidden }, () => random.normal()),
    shape: [features + 1, hidden],
  };
  const own = layers.init(device, { seed });
  for (const name of Object.keys(own)) {
    const layer = own[name] as Record<string, Tensor>;
    const bias = await toHost(layer.bias!);
    bias.data.fill(INPUT_BIAS, hidden, 2 * hidden);
    layer.bias!.dispose();
    layer.bias = tensor(device, bias);
  }
  return { table: tensor(device, rows), layers: own, head: head.init(device, { seed }) };
}

/** Trains at each length until enough minibatches in a row are right, then goes on with the next. */
export async function* trainTask(
  device: Device,
  settings: TaskSettings,
  signal?: AbortSignal,
): AsyncGenerator<TaskStep> {
  const { lengths, features, hidden, forgetBias, seed } = settings;
  const layers = stack([0, 1].map(() => gilrLstm({ input: hidden, hidden, forgetBias })));
  const head = dense({ input: hidden, output: 2 });
  const params = await makeParams(device, layers, head, settings);
  const optimizer = chain(clipByGlobalNorm(1), adam(LEARNING_RATE));
  const began = performance.now();
  let resume: TrainStep<TaskParams> | undefined;
  for (const time of lengths) {
    const batch = batchOf(time);
    const from = resume?.step ?? 0;
    const before = resume;
    let inRow = 0;
    const steps = train({
      params,
      optimizer,
      steps: from + MOST_STEPS,
      seed,
      batches({ random }) {
        const task = { time, features, batch, seed: Math.floor(2 ** 32 * random.uniform()) };
        const signs = drawSigns(task);
        const { symbols } = symbolPieces(task).next().value!;
        for (const [b, sign] of signs.entries()) symbols.data[b * time] = sign > 0 ? 0 : features;
        return { symbols, labels: Uint32Array.from(signs, (sign) => sign > 0 ? 1 : 0) };
      },
      loss: (p: TaskParams, { symbols, labels }, options) =>
        softmaxCrossEntropy(
          head.apply(p.head, last(layers.apply(p.layers, take(p.table, symbols), options))),
          labels,
        ),
      ...(before && { resume: before }),
      ...(signal && { signal }),
    });
    for await (const step of steps) {
      resume = step;
      // The mean of B losses is below log(2) / B only if each is below log 2: all are right.
      inRow = step.loss < Math.LN2 / batch ? inRow + 1 : 0;
      const seconds = (performance.now() - began) / 1000;
      yield { time, batch, stepOfStage: step.step - from, step: step.step, loss: step.loss, seconds, inRow };
      if (inRow >= ENOUGH) break;
    }
    if (before !== undefined) disposeTree(before.params, before.state);
    if (inRow < ENOUGH) break;
  }
  disposeTree(params);
  if (resume !== undefined) disposeTree(resume.params, resume.state);
}
