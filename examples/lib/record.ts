/** The electrocardiogram, the network that reads it, and how well that network predicts. */

import {
  type Device,
  fromTorchGru,
  gru,
  type HostArray,
  readNpy,
  readSafetensors,
  type Step,
  type TensorLike,
  type Tree,
} from "@cervid/cervid";
import { TRAINED_HIDDEN } from "./flags.ts";
import { FlagError } from "./read_flags.ts";

/** Samples per second. */
export const RATE_HZ = 360;
/** The network was trained on the samples before this one. */
export const HELD_OUT_FROM = 80_000;

const DATA = new URL("../data/", import.meta.url);

/** Samples of the electrocardiogram in mV. */
export type Samples = Float32Array | Float64Array;

/** A GRU and what it needs around it. */
export interface Model {
  readonly cell: Step;
  readonly params: Tree<TensorLike>;
  /** Of the normalisation of the input, in mV. */
  readonly mean: number;
  readonly std: number;
  /** The trained readout of the increment; absent where the GRU is not trained. */
  readonly readout?: { readonly weight: HostArray; readonly bias: number };
}

/** Root mean squared errors of the next sample, in mV. */
export interface PredictionError {
  readonly gru: number;
  /** Of repeating the last value. */
  readonly lastValue: number;
}

/** The samples of the record, in mV. */
export async function readRecord(): Promise<Samples> {
  const { data } = readNpy(await Deno.readFile(new URL("ecg_mitbih208_360hz.npy", DATA)));
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  throw new TypeError("Cannot read the record: expected floats");
}

/** The trained GRU, or for another hidden size one that is initialised at random from `seed`. */
export async function readModel(device: Device, hidden: number, seed: number): Promise<Model> {
  const { tensors, metadata } = readSafetensors(await Deno.readFile(new URL("ecg_gru16.safetensors", DATA)));
  const cell = gru({ input: 1, hidden });
  const mean = Number(metadata.mean);
  const std = Number(metadata.std);
  if (hidden !== TRAINED_HIDDEN) return { cell, params: cell.init(device, { seed }), mean, std };
  const weight = tensors["readout.weight"]!.data;
  const bias = tensors["readout.bias"]!.data[0]!;
  return { cell, params: fromTorchGru(tensors), mean, std, readout: { weight, bias } };
}

/** The normalised samples, as the network reads them. */
export function normalise(
  samples: Samples,
  { mean, std }: Pick<Model, "mean" | "std">,
): Float64Array<ArrayBuffer> {
  return Float64Array.from(samples, (x) => (x - mean) / std);
}

/** What a trained model says after each sample about the next one: `p[t]` predicts `x[t + 1]`, in mV. */
export function predictNext(model: Model, samples: Samples, states: HostArray): Float64Array<ArrayBuffer> {
  const { readout, std, cell: { state } } = model;
  if (readout === undefined) throw new TypeError("Cannot predict: the model is not trained");
  return Float64Array.from(samples, (x, t) => {
    let increment = readout.bias;
    for (let i = 0; i < state; i++) increment += readout.weight[i]! * states[t * state + i]!;
    return x + std * increment;
  });
}

/** The errors of the predictions of samples `from` and later; `from` is at least 1. */
export function measurePrediction(samples: Samples, predicted: Float64Array, from = 1): PredictionError {
  let squares = 0;
  let squaresOfLast = 0;
  for (let t = from; t < samples.length; t++) {
    squares += (predicted[t - 1]! - samples[t]!) ** 2;
    squaresOfLast += (samples[t - 1]! - samples[t]!) ** 2;
  }
  const count = samples.length - from;
  return { gru: Math.sqrt(squares / count), lastValue: Math.sqrt(squaresOfLast / count) };
}

/** The first `length` samples of the record, all by default. */
export async function readSamples(length: number | undefined): Promise<Samples> {
  const record = await readRecord();
  if (length !== undefined && length > record.length) {
    throw new FlagError(`--length must be at most ${record.length}, the length of the record, got "${length}"`);
  }
  return record.subarray(0, length);
}
