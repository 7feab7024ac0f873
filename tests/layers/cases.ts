import type { HostTensor, Shape, Tree } from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { gilr } from "../../src/layers/gilr.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import type { LinearLayer } from "../../src/layers/linear_layer.ts";
import { minGru } from "../../src/layers/min_gru.ts";
import { minLstm } from "../../src/layers/min_lstm.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { sru } from "../../src/layers/sru.ts";
import { stronglyTyped } from "../../src/layers/strongly_typed.ts";
import { host, numbers } from "../solve/arrays.ts";
import {
  type Flat,
  plainGilr,
  plainGilrLstm,
  plainMinGru,
  plainMinLstm,
  plainQrnn,
  plainSru,
  type PlainStep,
  plainTyped,
} from "./reference.ts";

/** A layer, and the same network in plain numbers. */
export interface LayerCase {
  readonly name: string;
  readonly make: (options?: { reverse: boolean }) => LinearLayer;
  readonly plain: PlainStep;
  /** Where the Jacobian of the cell is not diagonal. */
  readonly triangular?: boolean;
}

const sizes = { input: 5, hidden: 4 };

/** Every layer with every setting that changes its equations. */
export const LAYER_CASES: readonly LayerCase[] = [
  { name: "sru", make: (o) => sru({ input: 4, hidden: 4, ...o }), plain: plainSru(4, (c) => c) },
  {
    name: "sru, tanh, projected skip",
    make: (o) => sru({ ...sizes, activation: "tanh", ...o }),
    plain: plainSru(4, Math.tanh),
  },
  { name: "qrnn", make: (o) => qrnn({ ...sizes, ...o }), plain: plainQrnn(4, "fo") },
  { name: "qrnn, window 2", make: (o) => qrnn({ ...sizes, window: 2, ...o }), plain: plainQrnn(4, "fo") },
  { name: "qrnn, window 10", make: (o) => qrnn({ ...sizes, window: 10, ...o }), plain: plainQrnn(4, "fo") },
  { name: "qrnn, f-pooling", make: (o) => qrnn({ ...sizes, pooling: "f", ...o }), plain: plainQrnn(4, "f") },
  {
    name: "qrnn, ifo-pooling, window 3",
    make: (o) => qrnn({ ...sizes, window: 3, pooling: "ifo", ...o }),
    plain: plainQrnn(4, "ifo"),
  },
  { name: "t-rnn", make: (o) => stronglyTyped({ ...sizes, ...o }), plain: plainTyped(4, "t-rnn") },
  {
    name: "t-lstm",
    make: (o) => stronglyTyped({ ...sizes, kind: "t-lstm", ...o }),
    plain: plainTyped(4, "t-lstm"),
  },
  { name: "t-gru", make: (o) => stronglyTyped({ ...sizes, kind: "t-gru", ...o }), plain: plainTyped(4, "t-gru") },
  { name: "minGru", make: (o) => minGru({ ...sizes, ...o }), plain: plainMinGru(4) },
  { name: "minLstm", make: (o) => minLstm({ ...sizes, ...o }), plain: plainMinLstm(4) },
  { name: "gilr", make: (o) => gilr({ ...sizes, ...o }), plain: plainGilr(4, "tanh") },
  { name: "gilr, elu", make: (o) => gilr({ ...sizes, activation: "elu", ...o }), plain: plainGilr(4, "elu") },
  {
    name: "gilr, identity",
    make: (o) => gilr({ ...sizes, activation: "identity", ...o }),
    plain: plainGilr(4, "identity"),
  },
  { name: "gilrLstm", make: (o) => gilrLstm({ ...sizes, ...o }), plain: plainGilrLstm(4, false), triangular: true },
  {
    name: "gilrLstm, current",
    make: (o) => gilrLstm({ ...sizes, surrogate: "current", ...o }),
    plain: plainGilrLstm(4, true),
    triangular: true,
  },
];

/** A tree from parameters by their paths. */
export function treeOf<Leaf>(flat: Readonly<Record<string, Leaf>>): Tree<Leaf> {
  const tree: Record<string, unknown> = {};
  for (const [path, leaf] of Object.entries(flat)) {
    const names = path.split(".");
    let node = tree;
    for (const name of names.slice(0, -1)) node = (node[name] ??= {}) as Record<string, unknown>;
    node[names.at(-1)!] = leaf;
  }
  return tree as Tree<Leaf>;
}

/** Reproducible parameters of a layer, such that gates are neither shut nor open. */
export function someParams({ params }: { readonly params: Tree<Shape> }, seed = 1): Flat {
  const shapes = flattenTree<Shape>(params, Array.isArray);
  return Object.fromEntries(shapes.map(([path, shape], k): [string, HostTensor] => {
    const bound = shape.length === 2 ? 2 / Math.sqrt(shape[1]!) : 1;
    const size = shape.reduce((a, b) => a * b, 1);
    return [path, host(numbers(size, bound, 100 * seed + k), shape)];
  }));
}

/** Reproducible inputs `(B, T, I)` and states `(B, D)`. */
export function someInputs(
  { input, state }: { readonly input: number; readonly state: number },
  batch: number,
  time: number,
  seed = 1,
): { readonly xs: HostTensor; readonly h0: HostTensor } {
  return {
    xs: host(numbers(batch * time * input, 1, 7000 + seed), [batch, time, input]),
    h0: host(numbers(batch * state, 1, 8000 + seed), [batch, state]),
  };
}
