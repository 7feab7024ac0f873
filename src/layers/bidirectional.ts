import { concat } from "../map/concat.ts";
import { joinDirections } from "./directions.ts";
import { createRun } from "./layer_options.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { checkIsLayer, reversed } from "./reversed.ts";
import { type Combine, type LayerOfLayers, runInner } from "./run_inner.ts";
import { seedAfter } from "./seeds.ts";

const sideBySide: Combine = (step, xs) => concat([step(0, xs), step(1, xs)]);

/**
 * Two layers over the same inputs, one forward and one backward in time, their outputs side by side: `y[t] = [forward(x)[t],
 * backward(x)[t]]`, as wide as both.
 *
 * `backward` must run backward by itself (`reverse: true`, or `reversed(...)`), unlike the second layer of Flax's
 * `Bidirectional`; if it is absent, it is `reversed(forward)` with parameters of its own. Parameters `{ forward: ..., backward:
 * ... }`. States: those of both side by side. A sequence must be given whole: pieces of it do not give what the whole gives.
 * With the option `lengths` the backward layer begins each sequence at its last step that counts.
 *
 * Cost: that of both, and one copy of their outputs. Throws a `RangeError` where their inputs differ, or where both are seen to
 * run the same way (of a stack in which layers run both ways, or a pool takes all steps, it is not), a `TypeError` for what is no
 * layer. Schuster & Paliwal 1997, doi 10.1109/78.650093.
 *
 * @example
 * ```ts
 * import { bidirectional, gru, openDevice, recurrent } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const both = bidirectional(recurrent(gru({ input: 2, hidden: 4 })));
 * const xs = { data: new Float32Array(100 * 2).fill(0.1), shape: [100, 2] };
 * using ys = both.apply(both.init(device), xs);
 * console.log(ys.shape); // [100, 8]
 * ```
 *
 * @example A backward layer of another kind
 * ```ts
 * import { bidirectional, gru, qrnn, recurrent, reversed } from "@cervid/cervid";
 *
 * const forward = recurrent(gru({ input: 2, hidden: 4 }));
 * console.log(bidirectional(forward, reversed(recurrent(gru({ input: 2, hidden: 6 })))).hidden); // 10
 * console.log(bidirectional(forward, qrnn({ input: 2, hidden: 6, reverse: true })).hidden); // 10
 * ```
 */
export function bidirectional(forward: SequenceLayer, backward?: SequenceLayer): SequenceLayer {
  const context = "Cannot make bidirectional()";
  checkIsLayer(context, "the forward layer", forward);
  const other = backward ?? reversed(forward);
  checkIsLayer(context, "the backward layer", other);
  checkPair(context, forward, other);
  const name = `bidirectional ${forward.name}`;
  const both: LayerOfLayers = { name, layers: [forward, other], names: ["forward", "backward"] };
  return {
    name,
    input: forward.input,
    hidden: forward.hidden + other.hidden,
    state: forward.state + other.state,
    carry: forward.carry + other.carry,
    direction: joinDirections(both.layers),
    pools: forward.pools,
    params: { forward: forward.params, backward: other.params },
    init: (device, { seed = 0, ...options } = {}) => ({
      forward: forward.init(device, { ...options, seed }),
      backward: other.init(device, { ...options, seed: seedAfter(seed, [forward.params]) }),
    }),
    apply: (params, xs, options = {}) => runInner(both, params, xs, options, false, sideBySide).ys!,
    run: (params, xs, options = {}) => createRun(runInner(both, params, xs, options, true, sideBySide)),
  };
}

/** Throws for layers of which the outputs cannot stand side by side, or that both run the same way. */
function checkPair(context: string, forward: SequenceLayer, backward: SequenceLayer): void {
  const { input, direction, pools } = forward;
  if (input !== backward.input) {
    throw new RangeError(`${context}: both layers must have input ${input}, got ${backward.input} for the second`);
  }
  if (direction === backward.direction && (direction === "forward" || direction === "backward")) {
    const names = `"${forward.name}" and "${backward.name}"`;
    const which = direction === "forward" ? "second" : "first";
    throw new RangeError(
      `${context}: one layer must run forward in time, the other backward, got ${names}, both ${direction}; give reversed(layer) as the ${which}`,
    );
  }
  if (pools !== backward.pools) {
    const one = pools ? forward : backward;
    throw new TypeError(`${context}: both layers must keep the steps, or none, got "${one.name}", which does not`);
  }
}
