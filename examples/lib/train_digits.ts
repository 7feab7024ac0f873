/** The training of the example of the digits. */

import {
  adamw,
  chain,
  type Checkpoint,
  clipByGlobalNorm,
  dense,
  type Device,
  gru,
  type MethodName,
  pool,
  recurrent,
  type SequenceLayer,
  shuffleBatches,
  softmaxCrossEntropy,
  stack,
  type Tensor,
  toHost,
  train,
  type TrainStep,
  type Tree,
  warmStarts,
  warmupCosineDecaySchedule,
} from "@cervid/cervid";
import { type Digits, pickDigits } from "./digits.ts";

/** Images of a step. */
export const BATCH = 16;
const CLASSES = 10;
/** Trajectories that warm starts may keep: of this set, some 20 MB are needed. */
const CAPACITY_BYTES = 2 ** 28;

/** What is trained, and how. */
export interface DigitSettings {
  readonly train: Digits;
  readonly test: Digits;
  readonly hidden: number;
  readonly epochs: number;
  readonly seed: number;
  readonly method: MethodName;
  readonly warmStarts: boolean;
  /** Of the schedule, if not all of them are trained. */
  readonly scheduledEpochs?: number;
}

/** A GRU, its last state, ten logits. */
export function digitModel(hidden: number, method: MethodName): SequenceLayer {
  return stack([
    recurrent(gru({ input: 1, hidden }), { method }),
    pool({ size: hidden, over: "last" }),
    dense({ input: hidden, output: CLASSES }),
  ]);
}

/** A step is yielded after every epoch, with the accuracy on the held-out images. */
export async function* trainDigits(
  device: Device,
  settings: DigitSettings,
  resume?: Checkpoint,
  signal?: AbortSignal,
): AsyncGenerator<TrainStep> {
  const { train: images, test, hidden, epochs, seed, method, scheduledEpochs = epochs } = settings;
  const model = digitModel(hidden, method);
  const count = images.labels.length;
  const perEpoch = Math.floor(count / BATCH);
  const batchAt = shuffleBatches({ count, size: BATCH, seed });
  const rate = warmupCosineDecaySchedule({
    initValue: 0,
    peakValue: 0.01,
    // Of a single epoch half.
    warmupSteps: Math.min(perEpoch, Math.floor(scheduledEpochs * perEpoch / 2)),
    decaySteps: scheduledEpochs * perEpoch,
    endValue: 1e-4,
  });
  using store = warmStarts({ capacityBytes: CAPACITY_BYTES });
  yield* train({
    params: model.init(device, { seed }),
    optimizer: chain(clipByGlobalNorm(1), adamw(rate, { weightDecay: 0.1 })),
    steps: epochs * perEpoch,
    seed,
    batches({ step }) {
      const ids = batchAt(step);
      return { ids, ...pickDigits(images, ids) };
    },
    loss: (params, { xs, labels }, options) => softmaxCrossEntropy(model.apply(params, xs, options), labels),
    ...(settings.warmStarts ? { warmStarts: store, ids: ({ ids }: { ids: Uint32Array }) => ids } : {}),
    logEvery: perEpoch,
    evaluateEvery: perEpoch,
    evaluate: async (params) => ({ accuracy: await measureAccuracy(model, params, test) }),
    ...(resume && { resume }),
    ...(signal && { signal }),
  });
}

/** The share of images of which the largest logit is that of the right digit. */
export async function measureAccuracy(
  model: SequenceLayer,
  params: Tree<Tensor>,
  { xs, labels }: Digits,
): Promise<number> {
  using logits = model.apply(params, xs);
  const { data } = await toHost(logits);
  let right = 0;
  for (const [n, label] of labels.entries()) {
    const own = data.subarray(n * CLASSES, (n + 1) * CLASSES);
    if (own.indexOf(Math.max(...own)) === label) right++;
  }
  return right / labels.length;
}
