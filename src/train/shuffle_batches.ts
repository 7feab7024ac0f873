import { checkKeys } from "../core/describe.ts";
import { createRandom } from "../core/random.ts";
import { checkCount } from "../core/shape.ts";

/** Settings of {@linkcode shuffleBatches}. */
export interface ShuffleOptions {
  /** N: how many sequences there are. */
  count: number;
  /** How many make a batch. */
  size: number;
  /** Below 2³². Default 0. */
  seed?: number;
}

/**
 * Indices of batches from a set that is shuffled anew for every epoch: `batchAt(step)` is batch `step mod ⌊N / size⌋` of epoch
 * `⌊step / ⌊N / size⌋⌋`. In an epoch no sequence comes twice; the N mod size that are left over are others in every epoch. A
 * function of the step and the seed alone, so that training goes on from a checkpoint as if it had not been interrupted.
 *
 * Throws a `RangeError` for counts that are no whole numbers of at least 1, or a batch larger than the set. Cost: N random
 * numbers an epoch.
 *
 * @example
 * ```ts
 * import { shuffleBatches } from "@cervid/cervid";
 *
 * const batchAt = shuffleBatches({ count: 10, size: 4, seed: 1 });
 * console.log(batchAt(0), batchAt(1), batchAt(2)); // two batches of the first epoch, and one of the second
 * ```
 */
export function shuffleBatches(options: ShuffleOptions): (step: number) => Uint32Array<ArrayBuffer> {
  const context = "Cannot shuffle";
  checkKeys(context, "options", options, ["count", "size", "seed"]);
  const { count, size, seed = 0 } = options;
  checkCount(context, "count", count, 1);
  checkCount(context, "size", size, 1);
  checkCount(context, "seed", seed, 0);
  if (size > count || seed >= 2 ** 32) {
    const wrong = size > count
      ? `size must be at most count, ${count}, got ${size}`
      : `seed must be below 2^32, got ${seed}`;
    throw new RangeError(`${context}: ${wrong}`);
  }
  const perEpoch = Math.floor(count / size);
  const order = new Uint32Array(count);
  let shuffled = -1;
  return (step) => {
    checkCount(context, "step", step, 0);
    const epoch = Math.floor(step / perEpoch);
    if (epoch !== shuffled) {
      shuffleInto(order, seed + epoch * 2 ** 32);
      shuffled = epoch;
    }
    const first = (step - epoch * perEpoch) * size;
    return order.slice(first, first + size);
  };
}

/** A permutation of 0, 1, ..., by Fisher and Yates. */
function shuffleInto(order: Uint32Array, seed: number): void {
  const random = createRandom(seed);
  for (let k = 0; k < order.length; k++) order[k] = k;
  for (let k = order.length - 1; k > 0; k--) {
    const other = Math.floor((k + 1) * random.uniform());
    [order[k], order[other]] = [order[other]!, order[k]!];
  }
}
