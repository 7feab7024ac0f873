import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tree } from "../core/types.ts";
import { findDevice, place } from "../place.ts";
import { isTensorLike, type Tensor, type TensorLike } from "../tensor.ts";
import { findAxes } from "./carried.ts";
import { checkKeepsSteps, oppositeOf } from "./directions.ts";
import { createRun, LAYER_OPTIONS, type LayerOptions, type LayerParts } from "./layer_options.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { countedSteps, reversedWithin, takeRows } from "./lengths.ts";
import { reverseSteps } from "./reverse_rows.ts";

/**
 * A layer in reversed time: "before" is what comes after, `y[t]` depends on `x[t], x[t+1], ...`; the same parameters. The layer
 * reads its inputs, and its outputs are read, the last step first. `h0` are the states after the last row, `hT` those at the
 * first.
 *
 * With the option `lengths` (a list in host memory) each sequence is reversed within its own length: it begins at its last step
 * that counts, not in the padding, as PyTorch's packed sequences do, and ends at its first. A solve inside counts its steps from the end. Cost: a copy
 * of inputs and outputs, of a batch two. Layers on linear recurrences have an option `reverse`, which needs none
 * but with `lengths`.
 *
 * Throws a `TypeError` for what is no layer, or one that pools the steps.
 *
 * @example
 * ```ts
 * import { gru, openDevice, recurrent, reversed } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const backward = reversed(recurrent(gru({ input: 2, hidden: 4 })));
 * const xs = { data: new Float32Array(100 * 2).fill(0.1), shape: [100, 2] };
 * using ys = backward.apply(backward.init(device), xs);
 * console.log(ys.shape); // [100, 4]
 * ```
 */
export function reversed(layer: SequenceLayer): SequenceLayer {
  checkIsLayer("Cannot reverse", "the layer", layer);
  checkKeepsSteps("Cannot reverse", layer);
  return {
    ...layer,
    name: `reversed ${layer.name}`,
    direction: oppositeOf(layer.direction),
    apply: (params, xs, options = {}) => runReversed(layer, params, xs, options, false).ys!,
    run: (params, xs, options = {}) => createRun(runReversed(layer, params, xs, options, true)),
  };
}

/** Throws a TypeError unless `layer` was made by cervid, or looks like it. */
export function checkIsLayer(context: string, what: string, layer: unknown): asserts layer is SequenceLayer {
  if (typeof layer === "object" && layer !== null && typeof (layer as SequenceLayer).run === "function") return;
  throw new TypeError(`${context}: ${what} must be made by defineLinearLayer() or a layer, got ${describe(layer)}`);
}

function runReversed(
  layer: SequenceLayer,
  params: Tree<TensorLike>,
  xs: TensorLike,
  options: LayerOptions,
  wantStates: boolean,
): LayerParts {
  const context = `Cannot apply "reversed ${layer.name}"`;
  checkKeys(context, "options", options, LAYER_OPTIONS);
  const { h0, carry, lengths, memory } = options;
  const axes = findAxes(context, xs, layer.input);
  const { time } = axes;
  const counts = countedSteps(context, lengths, axes);
  const order = counts && reversedWithin(counts, time);
  const temporary: Tensor[] = [];
  const keep = (tensor: Tensor): Tensor => {
    temporary.push(tensor);
    return tensor;
  };
  const turn = (tensor: Tensor): Tensor => order === undefined ? reverseSteps(tensor) : takeRows(tensor, order);
  let run: LayerParts = {};
  try {
    const device = findDevice(context, options.device, [params, xs, h0, carry]);
    const placed = (what: string, value: TensorLike): Tensor => place(context, what, value, device, temporary);
    const inside: LayerOptions = {
      ...options,
      device,
      memory: memory && {
        get(path, shape) {
          const guess = memory.get(path, shape);
          if (guess === undefined || isTensorLike(guess)) return guess && keep(turn(placed("a trajectory", guess)));
          return guess.map((one, b) => {
            const own = order?.subarray(b * time, (b + 1) * time).map((row) => row - b * time);
            const rows = one && placed("a trajectory", one);
            return rows && keep(own === undefined ? reverseSteps(rows) : takeRows(rows, own));
          });
        },
        set(path, states) {
          using natural = turn(states);
          memory.set(path, natural);
        },
      },
    };
    const inputs = keep(turn(placed("xs", xs)));
    run = wantStates ? layer.run(params, inputs, inside) : { ys: layer.apply(params, inputs, inside) };
    const ys = run.ys!;
    if (!sameShape(ys.shape.slice(0, -1), inputs.shape.slice(0, -1))) {
      throw new TypeError(
        `${context}: the layer must keep the steps, got ${formatShape(ys.shape)} from ${formatShape(inputs.shape)}`,
      );
    }
    const answer = { ...run, ys: turn(ys) };
    ys.dispose();
    return answer;
  } catch (error) {
    for (const tensor of [run.ys, run.hT, run.carry]) tensor?.dispose();
    throw error;
  } finally {
    for (const tensor of temporary) tensor.dispose();
  }
}
