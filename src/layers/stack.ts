import { checkKeys, describe } from "../core/describe.ts";
import type { ShapeTree, Tree } from "../core/types.ts";
import { findDevice, place } from "../place.ts";
import { isTensorLike, type Tensor, type TensorLike } from "../tensor.ts";
import { type Axes, columnsOf, findAxes, placeCarried, rowsOf } from "./carried.ts";
import { assemble, type Part } from "./assemble.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import type { LayerOptions } from "./run_layer.ts";

/** Layers of one stack, in the order in which they are applied. */
interface StackOf {
  readonly name: string;
  readonly layers: readonly SequenceLayer[];
  /** D */
  readonly state: number;
  /** C */
  readonly carry: number;
}

const nameOf = (k: number): string => `layer${k}`;

/**
 * Layers one after the other, each reading the outputs of the one before: `y = layers[L-1](... layers[0](x))`.
 *
 * Parameters `{ layer0: ..., layer1: ... }`, the tree of each layer. States: those of all layers side by side, the first
 * layer's first, D their sum; `carry` likewise. A stack is a layer, but no step: it has no `cell`. Layers of different
 * directions may be stacked, but then pieces of a sequence do not give what the whole gives.
 *
 * Cost and memory: those of its layers, and the outputs of one layer while the next one runs. Initial parameters: each
 * layer by its own rules, with a seed of its own; the first layer's is that of the stack. Throws a `TypeError` for what is
 * no layer, a `RangeError` where sizes do not fit.
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
    if (typeof layer !== "object" || layer === null || typeof layer.run !== "function") {
      throw new TypeError(
        `Cannot stack: layer ${k} must be made by defineLinearLayer() or a layer, got ${describe(layer)}`,
      );
    }
    const before = layers[k - 1];
    if (before !== undefined && layer.input !== before.hidden) {
      throw new RangeError(
        `Cannot stack: layer ${k}, "${layer.name}", must have input ${before.hidden}, as layer ${
          k - 1
        } has hidden ${before.hidden}, got ${layer.input}`,
      );
    }
  }
  const own = [...layers];
  const total = (size: (layer: SequenceLayer) => number): number => own.reduce((sum, layer) => sum + size(layer), 0);
  const all: StackOf = {
    name: `stack of ${own.map(({ name }) => name).join(", ")}`,
    layers: own,
    state: total(({ state }) => state),
    carry: total(({ carry }) => carry),
  };
  return {
    name: all.name,
    input: own[0]!.input,
    hidden: own.at(-1)!.hidden,
    state: all.state,
    carry: all.carry,
    params: Object.fromEntries(own.map(({ params }, k): [string, ShapeTree] => [nameOf(k), params])),
    init: (device, { seed = 0, ...options } = {}) =>
      // Seeds that differ in their high half: no layer of one stack starts like the first of another.
      Object.fromEntries(
        own.map((layer, k): [string, Tree<Tensor>] => [
          nameOf(k),
          layer.init(device, { ...options, seed: seed + k * 2 ** 32 }),
        ]),
      ),
    apply: (params, xs, options = {}) => runStack(all, params, xs, options, false)[0]!,
    run(params, xs, options = {}) {
      const [ys, hT, carry] = runStack(all, params, xs, options, true) as [Tensor, Tensor, Tensor?];
      return carry === undefined ? { ys, hT } : { ys, hT, carry };
    },
  };
}

function checkStackParams(context: string, params: Tree<TensorLike>, count: number): void {
  const names = Array.from({ length: count }, (_, k) => nameOf(k));
  checkKeys(context, "params", params, names);
  for (const name of names) {
    const value = params[name];
    if (typeof value !== "object" || value === null || isTensorLike(value)) {
      throw new TypeError(`${context}: params.${name} must be a record of arrays, got ${describe(value)}`);
    }
  }
}

function runStack(
  { name, layers, state, carry: carryWidth }: StackOf,
  params: Tree<TensorLike>,
  xs: TensorLike,
  options: LayerOptions,
  wantStates: boolean,
): Tensor[] {
  const context = `Cannot apply "${name}"`;
  checkKeys(context, "options", options, ["h0", "carry", "device"]);
  checkStackParams(context, params, layers.length);
  const axes = findAxes(context, xs, layers[0]!.input);
  const { h0, carry } = options;
  const device = findDevice(context, options.device, [params, xs, h0, carry]);
  const temporary: Tensor[] = [];
  const answers: Tensor[] = [];
  const ends: { hT: Tensor[]; carry: Tensor[] } = { hT: [], carry: [] };
  try {
    const carried = (what: string, value: TensorLike | undefined, width: number): Tensor | undefined =>
      value && placeCarried(context, what, value, width, axes, device, temporary);
    const start = carried("h0", h0, state);
    const before = carried("carry", carry, carryWidth);
    let [offset, carryOffset] = [0, 0];
    let values = place(context, "xs", xs, device, temporary);
    for (const [k, layer] of layers.entries()) {
      const given: LayerOptions = {
        device,
        h0: start && columnsOf(start, offset, layer.state, axes, temporary),
        carry: before && layer.carry > 0 ? columnsOf(before, carryOffset, layer.carry, axes, temporary) : undefined,
      };
      offset += layer.state;
      carryOffset += layer.carry;
      const tree = params[nameOf(k)] as Tree<TensorLike>;
      let ys: Tensor;
      if (wantStates) {
        const run = layer.run(tree, values, given);
        ends.hT.push(run.hT);
        if (run.carry !== undefined) ends.carry.push(run.carry);
        ys = run.ys;
      } else ys = layer.apply(tree, values, given);
      if (k > 0) values.dispose();
      values = ys;
      // Not yet an answer, but the caller's if it stays the last.
      answers[0] = ys;
    }
    temporary.push(...ends.hT, ...ends.carry);
    if (wantStates) answers.push(sideBySide(ends.hT, axes, "states after the last step"));
    if (wantStates && carryWidth > 0) answers.push(sideBySide(ends.carry, axes, "the last inputs"));
    return answers;
  } catch (error) {
    for (const tensor of [...answers, ...ends.hT, ...ends.carry]) tensor.dispose();
    throw error;
  } finally {
    for (const tensor of temporary) tensor.dispose();
  }
}

/** Tensors of one row a sequence, side by side. */
function sideBySide(tensors: readonly Tensor[], axes: Axes, label: string): Tensor {
  const width = tensors.reduce((total, { shape }) => total + shape.at(-1)!, 0);
  let toStart = 0;
  const parts = tensors.map((from): Part => {
    const own = from.shape.at(-1)!;
    const rows = { fromStart: 0, fromStride: own, toStart, toStride: width, width: own, rows: axes.batch };
    toStart += own;
    return { from, rows };
  });
  return assemble(tensors[0]!.device, rowsOf(axes, width), parts, label);
}
