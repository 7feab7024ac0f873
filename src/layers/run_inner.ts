import { checkKeys, describe } from "../core/describe.ts";
import type { Tree } from "../core/types.ts";
import { findDevice, place } from "../place.ts";
import { isTensorLike, type Tensor, type TensorLike } from "../tensor.ts";
import { InnerStates } from "./inner_states.ts";
import { LAYER_OPTIONS, type LayerOptions, type LayerParts, optionsWithin } from "./layer_options.ts";
import type { SequenceLayer } from "./linear_layer.ts";

/** A layer that is made of others. */
export interface LayerOfLayers {
  readonly name: string;
  readonly layers: readonly SequenceLayer[];
  /** Of each layer in parameters and paths. */
  readonly names: readonly string[];
}

/** What a layer of layers makes of its inputs; `step(k, values)` are the outputs of layer k, which are taken care of. */
export type Combine = (step: (k: number, values: Tensor) => Tensor, xs: Tensor) => Tensor;

/** The trees of all layers; nothing need be said of a layer that has no parameters. */
function treesOf(context: string, params: Tree<TensorLike>, { layers, names }: LayerOfLayers): Tree<TensorLike>[] {
  checkKeys(context, "params", params, names);
  return layers.map((layer, k) => {
    const value = params[names[k]!];
    if (value === undefined && Object.keys(layer.params).length === 0) return {};
    if (typeof value === "object" && value !== null && !isTensorLike(value)) return value;
    throw new TypeError(`${context}: params.${names[k]} must be a record of arrays, got ${describe(value)}`);
  });
}

/** Runs layers within a layer, each with its part of the options and of the states. */
export function runInner(
  whole: LayerOfLayers,
  params: Tree<TensorLike>,
  xs: TensorLike,
  options: LayerOptions,
  wantStates: boolean,
  combine: Combine,
): LayerParts {
  const { name, layers, names } = whole;
  const context = `Cannot apply "${name}"`;
  checkKeys(context, "options", options, LAYER_OPTIONS);
  const trees = treesOf(context, params, whole);
  const device = findDevice(context, options.device, [params, xs, options.h0, options.carry]);
  const temporary = new Set<Tensor>();
  const placed: Tensor[] = [];
  let states: InnerStates | undefined;
  let ys: Tensor | undefined;
  try {
    if (!isTensorLike(xs)) {
      throw new TypeError(`${context}: xs must be a tensor or { data, shape }, got ${describe(xs)}`);
    }
    const inner = states = new InnerStates(context, layers, xs, options, device, placed);
    const step = (k: number, values: Tensor): Tensor => {
      const given: LayerOptions = { ...optionsWithin({ ...options, device }, names[k]!), ...inner.startOf(k) };
      let next: Tensor;
      if (wantStates) {
        const run = layers[k]!.run(trees[k]!, values, given);
        inner.add(run);
        next = run.ys;
      } else next = layers[k]!.apply(trees[k]!, values, given);
      // Of a chain only the last outputs are wanted.
      if (temporary.delete(values)) values.dispose();
      temporary.add(next);
      return next;
    };
    ys = combine(step, place(context, "xs", xs, device, placed));
    temporary.delete(ys);
    return wantStates ? { ys, ...states.join() } : { ys };
  } catch (error) {
    ys?.dispose();
    states?.free();
    throw error;
  } finally {
    for (const tensor of [...temporary, ...placed]) tensor.dispose();
  }
}
