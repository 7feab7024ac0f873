import { describe } from "../core/describe.ts";
import type { Tree } from "../core/types.ts";
import type { Tensor } from "../tensor.ts";
import { add, div, mul, slice, sqrt, square } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { type Leaves, leavesOf, matchLeaves, treeLike, updateLeaf, withNumbers, zerosLike } from "./leaves.ts";
import type { Optimizer } from "./optimizer.ts";
import { checkSchedule, type Schedule, scheduledAt } from "./schedule.ts";
import { checkState, settle } from "./settings.ts";

/** Settings of {@linkcode adam}. */
export interface AdamOptions {
  /** Of the mean of gradients. Default 0.9. */
  b1?: number;
  /** Of the mean of their squares. Default 0.999. */
  b2?: number;
  /** Added to the root. Default 1e-8. */
  eps?: number;
}

/** Settings of {@linkcode adamw}. */
export interface AdamwOptions extends AdamOptions {
  /** The part of a parameter that is taken off at a learning rate of 1. Default 1e-4, optax's; PyTorch's is 1e-2. */
  weightDecay?: number;
  /** Whether a parameter decays, by its path ("layer.bias"). Default all do. */
  mask?: (path: string) => boolean;
}

/** The state of {@linkcode adam} and {@linkcode adamw}. */
export type AdamState = {
  /** Updates so far. */
  readonly count: number;
  /** The mean of gradients, in the tree of the parameters. */
  readonly mu: Tree<Tensor>;
  /** The mean of their squares. */
  readonly nu: Tree<Tensor>;
};

/** The numbers are `-rate / (1 - b1^k)`, `1 / √(1 - b2^k)` and `-rate · weightDecay`. */
function adamProgram({ b1, b2, eps }: Required<AdamOptions>, decays: boolean): RowProgram {
  return traceRows({
    name: decays ? "adamw" : "adam",
    inputs: { grad: [], mu: [], nu: [], ...(decays ? { param: [] } : {}) },
    params: { numbers: [3] },
    fn(inputs, { numbers }) {
      const [mean, root] = [slice(numbers, 0, 1), slice(numbers, 1, 2)];
      const mu = add(mul(b1, inputs.mu), mul(1 - b1, inputs.grad));
      const nu = add(mul(b2, inputs.nu), mul(1 - b2, square(inputs.grad)));
      const update = div(mul(mean, mu), add(mul(root, sqrt(nu)), eps));
      return { mu, nu, update: decays ? add(update, mul(slice(numbers, 2, 3), inputs.param)) : update };
    },
  });
}

function makeAdam(
  name: string,
  learningRate: Schedule,
  settings: Required<AdamOptions>,
  decay: { readonly weightDecay: number; readonly mask: (path: string) => boolean } | null,
): Optimizer<AdamState> {
  const context = `Cannot update by ${name}()`;
  checkSchedule(`Cannot make ${name}()`, "the learning rate", learningRate);
  const plain = adamProgram(settings, false);
  const decaying = decay === null ? plain : adamProgram(settings, true);
  const numbersAt = (count: number): number[] => {
    const rate = scheduledAt(context, "the learning rate", learningRate, count);
    const { b1, b2 } = settings;
    return [-rate / (1 - b1 ** (count + 1)), 1 / Math.sqrt(1 - b2 ** (count + 1)), -rate * (decay?.weightDecay ?? 0)];
  };
  return {
    init(params) {
      const leaves = leavesOf(`Cannot begin with ${name}()`, params);
      return { count: 0, mu: zerosLike(leaves, "mu"), nu: zerosLike(leaves, "nu") };
    },
    update(grads, state, params) {
      const leaves: Leaves = leavesOf(context, params);
      const given = matchLeaves(leaves, "grads", grads);
      const { count } = checkState(context, state, ["count", "mu", "nu"]);
      const [mu, nu] = [matchLeaves(leaves, "state.mu", state.mu), matchLeaves(leaves, "state.nu", state.nu)];
      const outputs = withNumbers(leaves, numbersAt(count), (numbers) =>
        leaves.tensors.map((param, k) => {
          const inputs = [given[k]!, mu[k]!, nu[k]!];
          return decay?.mask(leaves.paths[k]!)
            ? updateLeaf(leaves, k, decaying, [...inputs, param], numbers)
            : updateLeaf(leaves, k, plain, inputs, numbers);
        }));
      const tree = (output: number): Tree<Tensor> => treeLike(leaves, outputs.map((tensors) => tensors[output]!));
      return { updates: tree(2), state: { count: count + 1, mu: tree(0), nu: tree(1) } };
    },
  };
}

const ADAM = { b1: 0.9, b2: 0.999, eps: 1e-8 };
const BOUNDS = { b1: { least: 0, below: 1 }, b2: { least: 0, below: 1 }, eps: { least: 0 } };

/**
 * Adam (Kingma & Ba 2015, arXiv 1412.6980): with means `m = b1 m + (1 - b1) g` and `v = b2 v + (1 - b2) g²` of gradients and
 * their squares, at update k = 1, 2, ... the update is
 * `-rate · m / (1 - b1^k) / (√(v / (1 - b2^k)) + eps)`, as in optax and PyTorch. State: two numbers a parameter.
 *
 * Cost: one pass over gradient, state and update, 24 bytes a parameter in f32. Throws a `TypeError` where trees do not fit.
 *
 * @example
 * ```ts
 * import { adam, applyUpdates, openDevice, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = { w: tensor(device, { data: new Float32Array([1, 1]), shape: [2] }) };
 * const grads = { w: tensor(device, { data: new Float32Array([5, -0.1]), shape: [2] }) };
 * const optimizer = adam(0.1);
 * const { updates } = optimizer.update(grads, optimizer.init(params), params);
 * console.log((await toHost(applyUpdates(params, updates).w)).data); // [0.9, 1.1]
 * ```
 */
export function adam(learningRate: Schedule, options: AdamOptions = {}): Optimizer<AdamState> {
  return makeAdam("adam", learningRate, settle("Cannot make adam()", options, ADAM, BOUNDS), null);
}

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101): the update of {@linkcode adam}, and
 * `-rate · weightDecay · parameter`. Usually matrices decay and biases do not: `mask` says which.
 *
 * Cost: as adam, 28 bytes a parameter in f32.
 *
 * @example Biases do not decay
 * ```ts
 * import { adamw } from "@cervid/cervid";
 *
 * const optimizer = adamw(1e-3, { weightDecay: 1e-2, mask: (path) => !path.includes("bias") });
 * console.log(optimizer);
 * ```
 */
export function adamw(learningRate: Schedule, options: AdamwOptions = {}): Optimizer<AdamState> {
  const context = "Cannot make adamw()";
  const defaults = { ...ADAM, weightDecay: 1e-4, mask: (): boolean => true };
  const { weightDecay, mask, ...settings } = settle<AdamwOptions>(context, options, defaults, {
    ...BOUNDS,
    weightDecay: { least: 0 },
  });
  if (typeof mask !== "function") {
    throw new TypeError(`${context}: mask must be a function of the path of a parameter, got ${describe(mask)}`);
  }
  return makeAdam("adamw", learningRate, settings, { weightDecay, mask });
}
