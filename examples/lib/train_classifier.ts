/** A classifier of long sequences in the manner of the EigenWorms experiment of Lim et al. (arXiv 2309.12252). */

import {
  adam,
  chain,
  type Checkpoint,
  clipByGlobalNorm,
  type Device,
  gru,
  type HostTensor,
  layerNorm,
  type MethodName,
  mlp,
  padCases,
  pool,
  recurrent,
  residual,
  type SequenceLayer,
  shuffleBatches,
  softmaxCrossEntropy,
  stack,
  type Tensor,
  toHost,
  train,
  type TrainStep,
  type Tree,
  type UeaDataset,
  type WarmStarts,
} from "@cervid/cervid";

/** The sizes of the network. */
export interface ClassifierSize {
  readonly channels: number;
  readonly classes: number;
  readonly width: number;
  readonly blocks: number;
}

/**
 * An encoder for each step, blocks of a norm and a GRU with a residual, a norm and two dense layers with a residual, a head for
 * each step, and the mean of its logits over time.
 */
export function defineClassifier(
  { channels, classes, width, blocks }: ClassifierSize,
  method: MethodName,
): SequenceLayer {
  const init = { weight: "he-uniform", bias: 0 } as const;
  const norm = (): SequenceLayer => layerNorm({ size: width, affine: false });
  const block = (): SequenceLayer[] => [
    norm(),
    residual(recurrent(gru({ input: width, hidden: width }), {
      method,
      init: { weight_ih: "lecun-normal", weight_hh: "orthogonal", bias: 0, bias_n: 0 },
    })),
    norm(),
    residual(mlp({ sizes: [width, width, width], init })),
  ];
  return stack([
    mlp({ sizes: [channels, width, width], init }),
    ...Array.from({ length: blocks }, block).flat(),
    mlp({ sizes: [width, width, classes], init }),
    pool({ size: classes }),
  ]);
}

/** Cases of a set, each channel with mean 0 and deviation 1 over `scale`, the set that is trained on. */
export function standardise(set: UeaDataset, scale: UeaDataset): HostTensor[] {
  const { dimensions } = scale;
  const sums = Array.from({ length: dimensions }, () => ({ count: 0, total: 0, squares: 0 }));
  for (const { data } of scale.cases) {
    for (let i = 0; i < data.length; i++) {
      const value = data[i]!;
      if (Number.isNaN(value)) continue;
      const sum = sums[i % dimensions]!;
      sum.count++;
      sum.total += value;
      sum.squares += value * value;
    }
  }
  const scales = sums.map(({ count, total, squares }) => {
    const mean = total / Math.max(1, count);
    return { mean, std: Math.sqrt(Math.max(squares / Math.max(1, count) - mean * mean, 1e-12)) };
  });
  return set.cases.map(({ data, shape }) => ({
    data: Float32Array.from(data, (value, i) => {
      const { mean, std } = scales[i % dimensions]!;
      return (value - mean) / std;
    }),
    shape,
  }));
}

/** What is trained, and how. */
export interface ClassifierSettings {
  readonly train: UeaDataset;
  readonly test: UeaDataset;
  readonly width: number;
  readonly blocks: number;
  readonly batch: number;
  readonly rate: number;
  readonly steps: number;
  readonly seed: number;
  readonly method: MethodName;
  /** A store, where solves are to start from the states of before. */
  readonly warmStarts?: WarmStarts;
  readonly logEvery: number;
  readonly evaluateEvery: number;
}

/** Steps of Adam on shuffled batches; accuracy on the test set now and then. */
export function trainClassifier(
  device: Device,
  settings: ClassifierSettings,
  resume?: Checkpoint,
  signal?: AbortSignal,
): AsyncGenerator<TrainStep> {
  const { train: set, test, width, blocks, batch, rate, steps, seed, method, warmStarts, logEvery, evaluateEvery } =
    settings;
  const size = { channels: set.dimensions, classes: set.classNames!.length, width, blocks };
  const model = defineClassifier(size, method);
  const own = standardise(set, set);
  const held = standardise(test, set);
  const batchAt = shuffleBatches({ count: own.length, size: batch, seed });
  const pick = (cases: readonly HostTensor[], ids: ArrayLike<number>): ReturnType<typeof padCases> =>
    padCases(Array.from(ids, (id) => cases[id]!), { missing: "forward" });
  return train({
    params: model.init(device, { seed }),
    optimizer: chain(clipByGlobalNorm(1), adam(rate)),
    steps,
    seed,
    logEvery,
    batches({ step }) {
      const ids = batchAt(step);
      return { ids, ...pick(own, ids), labels: Uint32Array.from(ids, (id) => set.labels![id]!) };
    },
    loss: (params, { xs, lengths, labels }, options) =>
      softmaxCrossEntropy(model.apply(params, xs, { ...options, lengths }), labels),
    ...(warmStarts ? { warmStarts, ids: ({ ids }: { ids: Uint32Array }) => ids } : {}),
    evaluateEvery,
    evaluate: async (params) => ({ accuracy: await measure(model, params, held, test.labels!, pick) }),
    ...(resume && { resume }),
    ...(signal && { signal }),
  });
}

/** The share of cases that are told right, one at a time: the longest need the most memory there is. */
async function measure(
  model: SequenceLayer,
  params: Tree<Tensor>,
  cases: readonly HostTensor[],
  labels: Uint32Array,
  pick: (cases: readonly HostTensor[], ids: ArrayLike<number>) => ReturnType<typeof padCases>,
): Promise<number> {
  let right = 0;
  for (const [k, label] of labels.entries()) {
    const { xs, lengths } = pick(cases, [k]);
    using logits = model.apply(params, xs, { lengths });
    const { data } = await toHost(logits);
    if (data.indexOf(Math.max(...data)) === label) right++;
  }
  return right / labels.length;
}
