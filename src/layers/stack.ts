import { describe } from "../core/describe.ts";
import type { ShapeTree, Tree } from "../core/types.ts";
import type { Tensor } from "../tensor.ts";
import { joinDirections } from "./directions.ts";
import { createRun } from "./layer_options.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { checkIsLayer } from "./reversed.ts";
import { type Combine, type LayerOfLayers, runInner } from "./run_inner.ts";
import { seedAfter } from "./seeds.ts";

const nameOf = (k: number): string => `layer${k}`;

/**
 * Layers one after the other, each reading the outputs of the one before: `y = layers[L-1](... layers[0](x))`.
 *
 * Parameters `{ layer0: ..., layer1: ... }`, the tree of each layer; of a layer without any it may be left out. States: those of
 * all layers side by side, the first layer's first, D their sum; `carry` likewise. A stack is a layer, but no step: it has no
 * `cell`. Layers of different directions may be stacked, but then pieces of a sequence do not give what the whole gives. Its
 * layers have the paths "layer0", "layer1", ... in `onSolve` and `memory`.
 *
 * Cost and memory: those of its layers, and the outputs of one layer while the next one runs. Initial parameters: each
 * layer by its own rules, with a seed of its own; the first layer's is that of the stack, and a stack within a stack starts as if
 * there were one. Throws a `TypeError` for what is no layer, or one that needs an axis of time after one that `pools`; a
 * `RangeError` where sizes do not fit.
 *
 * @example Two layers of GILR-LSTM
 * ```ts
 * import { gilrLstm, openDevice, stack } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layers = stack([gilrLstm({ input: 2, hidden: 16 }), gilrLstm({ input: 16, hidden: 8 })]);
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using ys = layers.apply(layers.init(device, { seed: 0 }), xs);
 * console.log(ys.shape, layers.state); // [1000, 8] 48
 * ```
 */
export function stack(layers: readonly SequenceLayer[]): SequenceLayer {
  if (!Array.isArray(layers) || layers.length === 0) {
    throw new TypeError(`Cannot stack: expected a list of at least one layer, got ${describe(layers)}`);
  }
  for (const [k, layer] of layers.entries()) {
    checkIsLayer("Cannot stack", `layer ${k}`, layer);
    const before = layers[k - 1];
    if (before !== undefined && layer.input !== before.hidden) {
      throw new RangeError(
        `Cannot stack: layer ${k}, "${layer.name}", must have input ${before.hidden}, as layer ${
          k - 1
        } has hidden ${before.hidden}, got ${layer.input}`,
      );
    }
    const pooled = layers.slice(0, k).findIndex(({ pools }) => pools);
    if (pooled >= 0 && layer.direction !== "none") {
      const reason = `as layer ${pooled}, "${layers[pooled]!.name}", makes one row of all steps`;
      throw new TypeError(
        `Cannot stack: layer ${k} must do without an axis of time, ${reason}, got "${layer.name}"; put it before layer ${pooled}`,
      );
    }
  }
  const own: readonly SequenceLayer[] = [...layers];
  const total = (size: (layer: SequenceLayer) => number): number => own.reduce((sum, layer) => sum + size(layer), 0);
  const name = `stack of ${own.map(({ name }) => name).join(", ")}`;
  const all: LayerOfLayers = { name, layers: own, names: own.map((_, k) => nameOf(k)) };
  const chain: Combine = (step, xs) => own.reduce((values, _, k) => step(k, values), xs);
  return {
    name: all.name,
    input: own[0]!.input,
    hidden: own.at(-1)!.hidden,
    state: total(({ state }) => state),
    carry: total(({ carry }) => carry),
    direction: joinDirections(own),
    pools: own.some(({ pools }) => pools),
    params: Object.fromEntries(own.map(({ params }, k): [string, ShapeTree] => [nameOf(k), params])),
    init: (device, { seed = 0, ...options } = {}) =>
      Object.fromEntries(
        own.map((layer, k): [string, Tree<Tensor>] => [
          nameOf(k),
          layer.init(device, { ...options, seed: seedAfter(seed, own.slice(0, k).map(({ params }) => params)) }),
        ]),
      ),
    apply: (params, xs, options = {}) => runInner(all, params, xs, options, false, chain).ys!,
    run: (params, xs, options = {}) => createRun(runInner(all, params, xs, options, true, chain)),
  };
}
