import { checkKeys } from "../core/describe.ts";
import type { Tree } from "../core/types.ts";
import { map } from "../map/map.ts";
import { findDevice, place } from "../place.ts";
import { placeParams } from "../place_params.ts";
import { linearRecurrence } from "../scan/linear_recurrence.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import type { ParameterLeaf } from "../trace/parameters.ts";
import { assemble, type Part } from "./assemble.ts";
import { type Axes, columnsOf, findAxes, placeCarried, rowsOf } from "./carried.ts";
import type { AnyLayerSpec } from "./describe_layer.ts";
import type { LayerMap, LayerMaps } from "./layer_maps.ts";
import { LAYER_OPTIONS, type LayerOptions } from "./layer_options.ts";

/** A layer as those who run it need it. */
export interface CompiledLayer {
  readonly spec: AnyLayerSpec;
  readonly params: readonly ParameterLeaf[];
  readonly maps: LayerMaps;
  /** D */
  readonly state: number;
}

/** The tree of parameters with every leaf in its place. */
function treeOf(leaves: readonly ParameterLeaf[], values: readonly Tensor[]): Tree<Tensor> {
  const tree: Record<string, unknown> = {};
  for (const [k, { path }] of leaves.entries()) {
    const names = path.split(".");
    let node = tree;
    for (const name of names.slice(0, -1)) node = (node[name] ??= {}) as Record<string, unknown>;
    node[names.at(-1)!] = values[k]!;
  }
  return tree as Tree<Tensor>;
}

/** One evaluation of a layer: the tensors there are so far. */
class Evaluation {
  readonly kept = new Map<string, Tensor>();
  readonly states = new Map<string, Tensor>();
  readonly starts = new Map<string, Tensor>();

  constructor(
    readonly layer: CompiledLayer,
    readonly axes: Axes,
    readonly params: Tree<Tensor>,
    readonly xs: Tensor,
    readonly carry: Tensor | undefined,
    readonly temporary: Tensor[],
  ) {}

  /** Applies a map to what it reads. */
  map({ fn, sources }: LayerMap): Record<string, Tensor> {
    const inputs: Record<string, Tensor> = {};
    const starts: Record<string, Tensor> = {};
    for (const [input, { of, name, ago }] of Object.entries(sources)) {
      inputs[input] = of === "x" ? this.xs : (of === "kept" ? this.kept : this.states).get(name)!;
      const start = of === "before" ? this.starts.get(name) : of === "x" && ago > 0 ? this.#before(ago) : undefined;
      if (start !== undefined) starts[input] = start;
    }
    return map(fn, { inputs, starts, params: this.params });
  }

  /** The inputs of the `count` steps before the first, in the order of their rows. */
  #before(count: number): Tensor | undefined {
    const { input, window = 1, reverse = false } = this.layer.spec;
    if (this.carry === undefined) return undefined;
    const width = (window - 1) * input;
    const shape = rowsOf(this.axes, ...(count === 1 ? [input] : [count, input]));
    // Running backward, the rows of what came before are those after the last; the nearest is the first of them.
    const start = reverse ? 0 : (window - 1 - count) * input;
    const rows = { fromStart: start, fromStride: width, toStart: 0, toStride: count * input };
    const part: Part = { from: this.carry, rows: { ...rows, width: count * input, rows: this.axes.batch } };
    const made = assemble(this.xs.device, shape, [part], "inputs before the first");
    this.temporary.push(made);
    return made;
  }
}

/** Evaluates a layer over all steps; the states after the last one only if they are wanted. */
export function runLayer(
  layer: CompiledLayer,
  params: Tree<TensorLike>,
  xs: TensorLike,
  options: LayerOptions,
  wantStates: boolean,
): Tensor[] {
  const { spec, maps, state } = layer;
  const { name, input, window = 1, reverse = false, recurrences } = spec;
  const context = `Cannot apply "${name}"`;
  checkKeys(context, "options", options, LAYER_OPTIONS);
  const { h0, carry } = options;
  const axes = findAxes(context, xs, input);
  const device = findDevice(context, options.device, [params, xs, h0, carry]);
  const temporary: Tensor[] = [];
  const answers: Tensor[] = [];
  try {
    const tree = treeOf(layer.params, placeParams(context, layer.params, params, device, temporary));
    const inputs = place(context, "xs", xs, device, temporary);
    const carried = (what: string, value: TensorLike | undefined, width: number): Tensor | undefined =>
      value && placeCarried(context, what, value, width, axes, device, temporary);
    const start = carried("h0", h0, state);
    const before = carried("carry", carry, (window - 1) * input);
    const evaluation = new Evaluation(layer, axes, tree, inputs, before, temporary);
    let offset = 0;
    for (const [k, recurrence] of recurrences.entries()) {
      const first = start && columnsOf(start, offset, recurrence.state, axes, temporary);
      offset += recurrence.state;
      if (first !== undefined) evaluation.starts.set(recurrence.name, first);
      const { a, b, ...kept } = evaluation.map(maps.gates[k]!) as { a: Tensor; b: Tensor };
      const own: Tensor[] = [a, b];
      try {
        for (const [key, value] of Object.entries(kept as Record<string, Tensor>)) {
          temporary.push(value);
          evaluation.kept.set(key.slice("kept_".length), value);
        }
        const states = linearRecurrence({ a, b, ...(first && { h0: first }) }, { reverse });
        evaluation.states.set(recurrence.name, states);
        if (maps.output === null && maps.outputState === recurrence.name) answers.push(states);
        else temporary.push(states);
      } finally {
        // The largest arrays there are: freed before the next ones are made.
        for (const tensor of own) tensor.dispose();
      }
    }
    if (maps.output !== null) answers.push(evaluation.map(maps.output)["y"]!);
    if (wantStates) {
      answers.push(lastStates(evaluation, start));
      if (window > 1) answers.push(lastInputs(evaluation));
    }
    return answers;
  } catch (error) {
    for (const answer of answers) answer.dispose();
    throw error;
  } finally {
    for (const tensor of temporary) tensor.dispose();
  }
}

/** The states after the last step, side by side; those before the first where there is no step. */
function lastStates({ layer, axes, states, xs: { device } }: Evaluation, start: Tensor | undefined): Tensor {
  const { spec: { recurrences, reverse = false }, state: width } = layer;
  const { batch, time } = axes;
  const parts: Part[] = [];
  if (time === 0) {
    const rows = { fromStart: 0, fromStride: width, toStart: 0, toStride: width, width, rows: batch };
    if (start !== undefined) parts.push({ from: start, rows });
    return assemble(device, rowsOf(axes, width), parts, "states after the last step");
  }
  let offset = 0;
  for (const { name, state } of recurrences) {
    const fromStart = reverse ? 0 : (time - 1) * state;
    const rows = { fromStart, fromStride: time * state, toStart: offset, toStride: width, width: state, rows: batch };
    parts.push({ from: states.get(name)!, rows });
    offset += state;
  }
  return assemble(device, rowsOf(axes, width), parts, "states after the last step");
}

/** The last k - 1 inputs in the order of their rows, from before the first step where there are fewer. */
function lastInputs({ layer, axes, xs, carry }: Evaluation): Tensor {
  const { input, window = 1, reverse = false } = layer.spec;
  const { batch, time } = axes;
  const width = (window - 1) * input;
  const own = Math.min(window - 1, time) * input;
  const old = width - own;
  const common = { toStride: width, rows: batch };
  const parts: Part[] = [];
  if (own > 0) {
    const [fromStart, toStart] = reverse ? [0, 0] : [time * input - own, old];
    parts.push({ from: xs, rows: { ...common, fromStart, fromStride: time * input, toStart, width: own } });
  }
  if (carry !== undefined && old > 0) {
    const [fromStart, toStart] = reverse ? [0, own] : [own, 0];
    parts.push({ from: carry, rows: { ...common, fromStart, fromStride: width, toStart, width: old } });
  }
  return assemble(xs.device, rowsOf(axes, width), parts, "the last inputs");
}
