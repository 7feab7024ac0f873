/** The training of the network that the ECG example evaluates. */

import {
  adam,
  chain,
  type Checkpoint,
  clipByGlobalNorm,
  concat,
  cosineDecaySchedule,
  defineMap,
  type Device,
  gru,
  type HostTensor,
  map,
  mean,
  type MethodName,
  recurrent,
  reshape,
  type ShapeTree,
  sum,
  type Tensor,
  tensor,
  toHost,
  train,
  type TrainStep,
  type Tree,
  writeSafetensors,
} from "@cervid/cervid";
import { add, dot, less, mul, square, sub, where } from "@cervid/cervid/ops";
import { HELD_OUT_FROM, measurePrediction, type Model, normalise, predictNext, type Samples } from "./record.ts";

export const HIDDEN = 16;
/** Steps of a chunk of the record, and chunks of a batch. */
export const CHUNK = 512;
export const BATCH = 32;
export const STEPS = 2000;
/** A chunk starts at h = 0 in mid-record: its first predictions say nothing about the weights. */
const WARM_UP = 32;
/**
 * Weight of |weight_hh|² in the loss. Without it the fit is closer, but products of the Jacobians dh[t]/dh[t-1] grow before
 * they decay, and Newton's sweeps over the whole record blow up. With it hardly a step expands, and a handful suffice.
 */
const RECURRENT_PENALTY = 3e-4;

/** A GRU and the readout of the increment to the next sample, in units of the record's standard deviation. */
export type EcgParams = {
  readonly rnn: Tree<Tensor>;
  readonly readout: { readonly weight: Tensor; readonly bias: Tensor };
};

/** Shapes of {@linkcode EcgParams}. */
export const SHAPES: ShapeTree = {
  rnn: gru({ input: 1, hidden: HIDDEN }).params,
  readout: { weight: [HIDDEN], bias: [] },
};

const squaredErrors = defineMap({
  name: "squared error of the next sample",
  inputs: { h: [HIDDEN], u: [], next: [] },
  params: { weight: [HIDDEN], bias: [] },
  map({ h, u, next, p, t }) {
    const error = sub(add(u, add(dot(p.weight, h), p.bias)), next);
    // So that the mean over all steps is that over the ones that count.
    return where(less(t, WARM_UP), 0, mul(CHUNK / (CHUNK - WARM_UP), square(error)));
  },
});
const penalties = defineMap({
  name: "penalty",
  inputs: { w: [] },
  params: {},
  map: ({ w }) => mul(RECURRENT_PENALTY, square(w)),
});

/** Mean and standard deviation of the samples that are trained on, which the others take no part in. */
export function measureScale(samples: Samples): { readonly mean: number; readonly std: number } {
  const own = Float64Array.from(samples.subarray(0, HELD_OUT_FROM));
  const mean = own.reduce((total, x) => total + x, 0) / own.length;
  const variance = own.reduce((total, x) => total + (x - mean) ** 2, 0) / own.length;
  return { mean: Math.fround(mean), std: Math.fround(Math.sqrt(variance)) };
}

/** Chunks of the normalised samples from random places, and the samples that follow each of theirs. */
function drawChunks(
  u: Float64Array,
  random: { uniform(): number },
): { readonly xs: HostTensor; readonly next: HostTensor } {
  const [xs, next] = [new Float64Array(BATCH * CHUNK), new Float64Array(BATCH * CHUNK)];
  for (let b = 0; b < BATCH; b++) {
    const from = Math.floor((u.length - CHUNK) * random.uniform());
    xs.set(u.subarray(from, from + CHUNK), b * CHUNK);
    next.set(u.subarray(from + 1, from + CHUNK + 1), b * CHUNK);
  }
  return { xs: { data: xs, shape: [BATCH, CHUNK] }, next: { data: next, shape: [BATCH, CHUNK] } };
}

/** What is to be trained, and how. */
export interface EcgSettings {
  readonly samples: Samples;
  readonly steps: number;
  readonly seed: number;
  readonly method: MethodName;
  readonly logEvery: number;
}

/** Adam with a cosine decay on random chunks of the samples that are not held out. */
export function trainEcg(
  device: Device,
  { samples, steps, seed, method, logEvery }: EcgSettings,
  resume?: Checkpoint,
  signal?: AbortSignal,
): AsyncGenerator<TrainStep<EcgParams>> {
  const scale = measureScale(samples);
  const u = normalise(samples.subarray(0, HELD_OUT_FROM), scale);
  const layer = recurrent(gru({ input: 1, hidden: HIDDEN }), { method });
  const zeros = (...shape: number[]): Tensor =>
    tensor(device, { data: new Float32Array(shape.reduce((size, n) => size * n, 1)), shape });
  return train<EcgParams, ReturnType<typeof drawChunks>>({
    // With a readout of zeros it starts as the predictor that repeats the last value.
    params: { rnn: layer.init(device, { seed }), readout: { weight: zeros(HIDDEN), bias: zeros() } },
    optimizer: chain(
      clipByGlobalNorm(1),
      adam(cosineDecaySchedule({ initValue: 1e-2, decaySteps: steps, alpha: 1e-3 })),
    ),
    steps,
    seed,
    logEvery,
    batches: ({ random }) => drawChunks(u, random),
    loss({ rnn, readout }, { xs, next }, options) {
      const inputs = tensor(device, xs);
      const h = layer.apply(rnn, reshape(inputs, [BATCH, CHUNK, 1]), options);
      const errors = map(squaredErrors, { inputs: { h, u: inputs, next }, params: readout });
      const penalty = map(penalties, { inputs: { w: reshape(rnn.weight_hh as Tensor, [-1]) } });
      return sum(concat([reshape(mean(errors), [1]), reshape(sum(penalty), [1])]));
    },
    ...(resume && { resume }),
    ...(signal && { signal }),
  });
}

/** The network as the ECG example reads it, in PyTorch's layout: the biases of its two products folded into one stay there. */
export async function exportModel({ rnn, readout }: EcgParams): Promise<Record<string, HostTensor>> {
  const read = async (value: unknown): Promise<Float32Array<ArrayBuffer>> =>
    Float32Array.from((await toHost(value as Tensor)).data);
  const biasOfNew = await read(rnn.bias_n);
  const biasOfState = new Float32Array(3 * HIDDEN);
  biasOfState.set(biasOfNew, 2 * HIDDEN);
  return {
    "rnn.weight_ih_l0": { data: await read(rnn.weight_ih), shape: [3 * HIDDEN, 1] },
    "rnn.weight_hh_l0": { data: await read(rnn.weight_hh), shape: [3 * HIDDEN, HIDDEN] },
    "rnn.bias_ih_l0": { data: await read(rnn.bias), shape: [3 * HIDDEN] },
    "rnn.bias_hh_l0": { data: biasOfState, shape: [3 * HIDDEN] },
    "readout.weight": { data: await read(readout.weight), shape: [1, HIDDEN] },
    "readout.bias": { data: await read(readout.bias), shape: [1] },
  };
}

/** Errors of the next sample over the record, and over the part that is held out. */
export async function judgeModel(
  device: Device,
  { rnn, readout }: EcgParams,
  samples: Samples,
): Promise<Record<"record" | "heldOut", { readonly gru: number; readonly lastValue: number }>> {
  const cell = gru({ input: 1, hidden: HIDDEN });
  const scale = measureScale(samples);
  const weight = (await toHost(readout.weight)).data;
  const bias = (await toHost(readout.bias)).data[0]!;
  const model: Model = { cell, params: rnn, ...scale, readout: { weight, bias } };
  const xs = { data: normalise(samples, scale), shape: [samples.length, 1] };
  using ys = recurrent(cell, { method: "sequential" }).apply(rnn, xs, { device });
  const predicted = predictNext(model, samples, (await toHost(ys)).data);
  return {
    record: measurePrediction(samples, predicted),
    heldOut: measurePrediction(samples, predicted, HELD_OUT_FROM),
  };
}

/** The bytes of the weights' file. */
export async function writeModel(
  params: EcgParams,
  samples: Samples,
  { steps, seed, heldOut }: { steps: number; seed: number; heldOut: { gru: number; lastValue: number } },
): Promise<Uint8Array> {
  const { mean, std } = measureScale(samples);
  return writeSafetensors(await exportModel(params), {
    what:
      "One-layer GRU (input 1, hidden 16) and linear readout: the next sample of an ECG, MIT-BIH record 208 at 360 Hz, in mV",
    mean: String(mean),
    std: String(std),
    predicts:
      "x[t+1] = x[t] + std * (readout.weight h[t] + readout.bias), h[t] = GRU((x[t] - mean) / std, h[t-1]), h[-1] = 0",
    trained_with: "cervid, examples/ecg_train.ts",
    trained_on: `samples 0 to ${HELD_OUT_FROM - 1}; the rest is held out`,
    steps: String(steps),
    seed: String(seed),
    mse_heldout: (heldOut.gru ** 2).toFixed(8),
    mse_last_value_heldout: (heldOut.lastValue ** 2).toFixed(8),
  });
}
