import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { Tree } from "../core/types.ts";
import { mapFlat } from "../map/flat.ts";
import { findDevice, place } from "../place.ts";
import { sumProgram } from "../tape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { checkKeepsSteps } from "./directions.ts";
import { createRun, type LayerOptions, type LayerParts } from "./layer_options.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { checkIsLayer } from "./reversed.ts";

/**
 * A layer, or a stack of them, whose input is added to its output: `y = layer(x) + x`. Parameters, state and paths are the
 * layer's. Cost: one pass more. To normalise first, `stack([layerNorm({ size }), residual(layer)])` adds the normalised input,
 * `residual(stack([layerNorm({ size }), layer]))` that before.
 *
 * Throws a `RangeError` unless input and output are equally wide, a `TypeError` for what is no layer or pools the steps.
 * He, Zhang, Ren & Sun 2016, arXiv 1512.03385.
 *
 * @example
 * ```ts
 * import { gru, layerNorm, recurrent, residual, stack } from "@cervid/cervid";
 *
 * const block = residual(stack([layerNorm({ size: 8 }), recurrent(gru({ input: 8, hidden: 8 }))]));
 * console.log(block.input, block.hidden); // 8 8
 * ```
 */
export function residual(layer: SequenceLayer): SequenceLayer {
  checkIsLayer("Cannot make residual()", "the layer", layer);
  checkKeepsSteps("Cannot make residual()", layer);
  const name = `residual ${layer.name}`;
  if (layer.input !== layer.hidden) {
    throw new RangeError(
      `Cannot make residual(): "${layer.name}" must have as many outputs as inputs, got ${layer.input} to ${layer.hidden}`,
    );
  }
  return {
    ...layer,
    name,
    apply: (params, xs, options = {}) => runResidual(name, layer, params, xs, options, false).ys!,
    run: (params, xs, options = {}) => createRun(runResidual(name, layer, params, xs, options, true)),
  };
}

function runResidual(
  name: string,
  layer: SequenceLayer,
  params: Tree<TensorLike>,
  xs: TensorLike,
  options: LayerOptions,
  wantStates: boolean,
): LayerParts {
  const context = `Cannot apply "${name}"`;
  const temporary: Tensor[] = [];
  let run: LayerParts = {};
  try {
    const device = findDevice(context, options?.device, [params, xs, options?.h0, options?.carry]);
    const inputs = place(context, "xs", xs, device, temporary);
    const given = { ...options, device };
    run = wantStates ? layer.run(params, inputs, given) : { ys: layer.apply(params, inputs, given) };
    const ys = run.ys!;
    if (!sameShape(ys.shape, inputs.shape)) {
      throw new TypeError(
        `${context}: the layer must keep the shape, got ${formatShape(ys.shape)} from ${formatShape(inputs.shape)}`,
      );
    }
    const sum = mapFlat(device, sumProgram(1, [0, 0]), [ys, inputs], sizeOf(ys.shape), ys.shape);
    ys.dispose();
    return { ...run, ys: sum };
  } catch (error) {
    for (const tensor of [run.ys, run.hT, run.carry]) tensor?.dispose();
    throw error;
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}
