import { checkKeys } from "../core/describe.ts";
import type { Tree } from "../core/types.ts";
import { map } from "../map/map.ts";
import { findDevice, place } from "../place.ts";
import { placeParams } from "../place_params.ts";
import { linearRecurrence } from "../scan/linear_recurrence.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import type { ParameterLeaf } from "../trace/parameters.ts";
import { lastInputs, lastStates } from "./after_last.ts";
import { assemble, type Part } from "./assemble.ts";
import { type Axes, columnsOf, findAxes, placeCarried, rowsOf } from "./carried.ts";
import type { AnyLayerSpec } from "./describe_layer.ts";
import type { LayerMap, LayerMaps } from "./layer_maps.ts";
import { LAYER_OPTIONS, type LayerOptions } from "./layer_options.ts";
import { countedSteps, movedBack, movedToEnd, takeRows } from "./lengths.ts";

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
export class Evaluation {
  readonly kept: Map<string, Tensor> = new Map();
  readonly states: Map<string, Tensor> = new Map();
  readonly starts: Map<string, Tensor> = new Map();

  constructor(
    readonly layer: CompiledLayer,
    readonly axes: Axes,
    readonly params: Tree<Tensor>,
    readonly xs: Tensor,
    readonly carry: Tensor | undefined,
    /** How many steps of each sequence count; running backward, those at the end. All if absent. */
    readonly lengths: readonly number[] | undefined,
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
  const lengths = reverse || wantStates ? countedSteps(context, options.lengths, axes) : undefined;
  const device = findDevice(context, options.device, [params, xs, h0, carry]);
  const temporary: Tensor[] = [];
  const answers: Tensor[] = [];
  try {
    const tree = treeOf(layer.params, placeParams(context, layer.params, params, device, temporary));
    let inputs = place(context, "xs", xs, device, temporary);
    if (reverse && lengths !== undefined) temporary.push(inputs = takeRows(inputs, movedToEnd(lengths, axes.time)));
    const carried = (what: string, value: TensorLike | undefined, width: number): Tensor | undefined =>
      value && placeCarried(context, what, value, width, axes, device, temporary);
    const start = carried("h0", h0, state);
    const before = carried("carry", carry, (window - 1) * input);
    const evaluation = new Evaluation(layer, axes, tree, inputs, before, lengths, temporary);
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
    if (reverse && lengths !== undefined) {
      temporary.push(answers[0]!);
      answers[0] = takeRows(answers[0]!, movedBack(lengths, axes.time));
    }
    return answers;
  } catch (error) {
    for (const answer of answers) answer.dispose();
    throw error;
  } finally {
    for (const tensor of temporary) tensor.dispose();
  }
}
