import {
  bidirectional,
  gru,
  type HostTensor,
  lstm,
  recurrent,
  residual,
  reversed,
  type SequenceLayer,
  stack,
} from "../../mod.ts";
import { gilr } from "../../src/layers/gilr.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { sru } from "../../src/layers/sru.ts";
import { host, numbers, rowOf } from "../solve/arrays.ts";
import { LAYER_CASES, someInputs } from "./cases.ts";

/** Of nine steps: all, one, and fewer than a window of ten reads. */
export const TIME: number = 9;
export const LENGTHS: number[] = [9, 1, 4, 7];

/** A layer, also in reversed time. */
export type Case = readonly [name: string, make: (reverse: boolean) => SequenceLayer];

const mirrored: Case = ["reversed", (reverse) => reversed(qrnn({ input: 3, hidden: 2, window: 3, reverse }))];
const deep: Case = ["a stack", (reverse) =>
  stack([
    qrnn({ input: 3, hidden: 4, window: 3, reverse }),
    residual(sru({ input: 4, hidden: 4, reverse: !reverse })),
    recurrent(gru({ input: 4, hidden: 2 }), { method: "sequential", reverse }),
  ])];
const both: Case = [
  "both directions",
  (reverse) =>
    bidirectional(
      qrnn({ input: 3, hidden: 2, window: 4 }),
      reverse ? undefined : gilr({ input: 3, hidden: 2, reverse: true }),
    ),
];
const nonlinear: Case = [
  "a recurrent layer",
  (reverse) => recurrent(lstm({ input: 3, hidden: 2 }), { method: "sequential", output: 2, reverse }),
];

/** Layers of every kind. */
export const CASES: readonly Case[] = [
  ...LAYER_CASES.map(({ name, make }): Case => [name, (reverse) => make({ reverse })]),
  mirrored,
  deep,
  both,
  nonlinear,
];

/** Steps of a sequence that count. */
export const cut = (xs: HostTensor, b: number, length: number): HostTensor => {
  const width = xs.shape[2]!;
  return host(rowOf(xs, b).data.slice(0, length * width), [length, width]);
};

/** What a layer is given. */
export interface Inputs {
  readonly xs: HostTensor;
  readonly h0: HostTensor;
  readonly carry: HostTensor | undefined;
}

/** What a layer reads; in the padding numbers that would be noticed. */
export function someBatch(layer: SequenceLayer): Inputs {
  const { xs, h0 } = someInputs(layer, LENGTHS.length, TIME);
  const [row, width] = [TIME * layer.input, layer.input];
  const padded = xs.data.map((value, i) => Math.floor((i % row) / width) < LENGTHS[Math.floor(i / row)]! ? value : 9);
  const { carry } = layer;
  return {
    xs: host(padded, xs.shape),
    h0,
    carry: carry === 0 ? undefined : host(numbers(LENGTHS.length * carry, 1, 77), [LENGTHS.length, carry]),
  };
}

/** One of each that is differentiated in another way. */
export const SOME_CASES: readonly Case[] = [
  ["qrnn", (reverse) => qrnn({ input: 3, hidden: 2, window: 3, reverse })],
  ["gilrLstm", (reverse) => gilrLstm({ input: 3, hidden: 2, reverse })],
  mirrored,
  deep,
  both,
  nonlinear,
];
