import type { Tree } from "../core/types.ts";
import type { Tensor } from "../tensor.ts";
import { checkOptimizer, type Optimizer, type OptimizerState, tensorsIn } from "./optimizer.ts";
import { checkState } from "./settings.ts";

/**
 * Optimizers one after the other: the updates of each are the gradients of the next. Its state has those of the parts by
 * their numbers, `{ 0: ..., 1: ... }`. As in optax.
 *
 * What lies between two parts is disposed. Throws a `TypeError` where a part is no optimizer, a `RangeError` without parts.
 *
 * @example Clipped gradients, a learning rate that rises and falls
 * ```ts
 * import { adamw, chain, clipByGlobalNorm, warmupCosineDecaySchedule } from "@cervid/cervid";
 *
 * const rate = warmupCosineDecaySchedule({ initValue: 0, peakValue: 1e-3, warmupSteps: 100, decaySteps: 10_000 });
 * const optimizer = chain(clipByGlobalNorm(1), adamw(rate, { weightDecay: 1e-2 }));
 * console.log(optimizer);
 * ```
 */
export function chain(...parts: readonly Optimizer[]): Optimizer {
  if (parts.length === 0) throw new RangeError("Cannot make chain(): expected at least one optimizer, got none");
  for (const [k, part] of parts.entries()) checkOptimizer(`Cannot make chain(), part ${k}`, part);
  const names = parts.map((_, k) => String(k));
  return {
    init: (params) => Object.fromEntries(parts.map((part, k) => [names[k]!, part.init(params)])),
    update(grads, state, params) {
      checkState("Cannot update by chain()", state, names);
      const next: Record<string, OptimizerState> = {};
      const between: Tree<Tensor>[] = [];
      let updates = grads;
      for (const [k, part] of parts.entries()) {
        const answer = part.update(updates, state[names[k]!] as OptimizerState, params);
        ({ updates } = answer);
        next[names[k]!] = answer.state;
        between.push(updates);
      }
      // A part may have passed on what it was given.
      const kept = tensorsIn({ grads, state, next, params, updates });
      for (const tree of between) for (const tensor of tensorsIn(tree)) if (!kept.has(tensor)) tensor.dispose();
      return { updates, state: next };
    },
  };
}
