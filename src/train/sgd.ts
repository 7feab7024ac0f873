import { describe } from "../core/describe.ts";
import type { Tree } from "../core/types.ts";
import type { Tensor } from "../tensor.ts";
import { add, mul } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { leavesOf, matchLeaves, treeLike, updateLeaf, withNumbers, zerosLike } from "./leaves.ts";
import type { Optimizer } from "./optimizer.ts";
import { checkSchedule, type Schedule, scheduledAt } from "./schedule.ts";
import { checkState, settle } from "./settings.ts";

/** Settings of {@linkcode sgd}. */
export interface SgdOptions {
  /** The part of the trace that is kept. Default 0: there is no trace. */
  momentum?: number;
  /** Whether the gradient is looked at as if momentum had been applied once more. Default false. */
  nesterov?: boolean;
}

/** The state of {@linkcode sgd}. */
export type SgdState = {
  /** Updates so far. */
  readonly count: number;
  /** With momentum: the trace of gradients, in the tree of the parameters. */
  readonly trace?: Tree<Tensor>;
};

function sgdProgram(momentum: number, nesterov: boolean): RowProgram {
  return traceRows({
    name: "sgd",
    inputs: { grad: [], ...(momentum > 0 ? { trace: [] } : {}) },
    params: { rate: [] },
    fn({ grad, ...inputs }, { rate }) {
      if (momentum === 0) return { update: mul(rate, grad) };
      const trace = add(grad, mul(momentum, inputs.trace));
      return { update: mul(rate, nesterov ? add(grad, mul(momentum, trace)) : trace), trace };
    },
  });
}

/**
 * Gradient descent, with momentum (Polyak 1964) or Nesterov's (1983; in this form Sutskever et al. 2013): with the trace
 * `m = g + momentum · m` the update is `-rate · m`, with `nesterov` `-rate (g + momentum · m)`, as in optax and PyTorch.
 *
 * Cost: one pass over gradient, trace and update. Throws a `TypeError` where trees do not fit.
 *
 * @example
 * ```ts
 * import { applyUpdates, openDevice, sgd, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = { w: tensor(device, { data: new Float32Array([1, 1]), shape: [2] }) };
 * const grads = { w: tensor(device, { data: new Float32Array([5, -1]), shape: [2] }) };
 * const optimizer = sgd(0.1, { momentum: 0.9 });
 * const { updates } = optimizer.update(grads, optimizer.init(params), params);
 * console.log((await toHost(applyUpdates(params, updates).w)).data); // [0.5, 1.1]
 * ```
 */
export function sgd(learningRate: Schedule, options: SgdOptions = {}): Optimizer<SgdState> {
  const making = "Cannot make sgd()";
  const context = "Cannot update by sgd()";
  checkSchedule(making, "the learning rate", learningRate);
  const bounds = { momentum: { least: 0, below: 1 } };
  const { momentum, nesterov } = settle<SgdOptions>(making, options, { momentum: 0, nesterov: false }, bounds);
  if (typeof nesterov !== "boolean") {
    throw new TypeError(`${making}: nesterov must be true or false, got ${describe(nesterov)}`);
  }
  if (nesterov && momentum === 0) {
    throw new RangeError(`${making}: nesterov needs momentum above 0, got 0; leave nesterov out`);
  }
  const program = sgdProgram(momentum, nesterov);
  return {
    init(params) {
      const leaves = leavesOf("Cannot begin with sgd()", params);
      return momentum === 0 ? { count: 0 } : { count: 0, trace: zerosLike(leaves, "trace") };
    },
    update(grads, state, params) {
      const leaves = leavesOf(context, params);
      const given = matchLeaves(leaves, "grads", grads);
      const { count, trace } = checkState(context, state, momentum === 0 ? ["count"] : ["count", "trace"]);
      const traces = trace && matchLeaves(leaves, "state.trace", trace);
      const rate = -scheduledAt(context, "the learning rate", learningRate, count);
      const outputs = withNumbers(leaves, [rate], (numbers) =>
        leaves.tensors.map((_, k) => {
          const inputs = traces === undefined ? [given[k]!] : [given[k]!, traces[k]!];
          return updateLeaf(leaves, k, program, inputs, numbers);
        }));
      const updates = treeLike(leaves, outputs.map(([update]) => update!));
      if (traces === undefined) return { updates, state: { count: count + 1 } };
      return { updates, state: { count: count + 1, trace: treeLike(leaves, outputs.map(([, next]) => next!)) } };
    },
  };
}
