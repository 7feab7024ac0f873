import { checkKeys } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import { last } from "../map/concat.ts";
import { meanPool } from "../map/mean_pool.ts";
import { checkChoice } from "./gates.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { makeStateless } from "./stateless.ts";

/** Settings of {@linkcode pool}. */
export interface PoolOptions {
  /** n: the length of the last axis. */
  size: number;
  /** `mean` (default) of the steps that count, or the `last` step. */
  over?: "mean" | "last";
}

/**
 * One row for every sequence, `(B, T, n)` to `(B, n)`, `(T, n)` to `(n)`: the mean over its steps, or the last of them. What
 * follows it in a stack works on rows that are no steps any more: dense layers and norms. `stack` refuses others.
 *
 * No parameters, no state. With the option `lengths` of `apply` the mean is over so many steps of each sequence; inputs of the
 * model must be finite in the padding, too. Throws a
 * `TypeError` for other shapes or `lengths` with `last`, a `RangeError` for no steps.
 *
 * @example A classifier of sequences
 * ```ts
 * import { dense, gru, openDevice, pool, recurrent, stack } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const classifier = stack([recurrent(gru({ input: 6, hidden: 16 })), pool({ size: 16 }), dense({ input: 16, output: 5 })]);
 * const xs = { data: new Float32Array(2 * 100 * 6).fill(0.1), shape: [2, 100, 6] };
 * using logits = classifier.apply(classifier.init(device), xs);
 * console.log(logits.shape); // [2, 5]
 * ```
 */
export function pool(options: PoolOptions): SequenceLayer {
  const context = "Cannot make pool()";
  checkKeys(context, "options", options, ["size", "over"]);
  const { size, over = "mean" } = options;
  checkCount(context, "size", size, 1);
  checkChoice("pool", "over", over, ["mean", "last"]);
  return makeStateless({
    name: "pool",
    input: size,
    hidden: size,
    pools: true,
    params: {},
    init: () => ({}),
    apply(_, xs, { lengths }) {
      if (over === "mean") return meanPool(xs, lengths === undefined ? {} : { lengths });
      if (lengths === undefined) return last(xs);
      throw new TypeError(
        'Cannot apply "pool": lengths must be absent, as the last step of a padded sequence is none; pool over "mean"',
      );
    },
  });
}
