import { checkKeys, describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import type { InitRule } from "../init.ts";
import { checkRules, initParams } from "../init_params.ts";
import { defineMap } from "../map/define_map.ts";
import type { Sym } from "../trace/graph.ts";
import { add, gelu, matvec, relu, sigmoid, softplus } from "../trace/ops.ts";
import { activate, type Activation, checkChoice } from "./gates.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { stack } from "./stack.ts";
import { makeStateless, mapRows } from "./stateless.ts";

/** A function that a dense layer applies elementwise. */
export type DenseActivation = Activation | "relu" | "gelu" | "sigmoid" | "softplus";

/** Sizes and settings of {@linkcode dense}. */
export interface DenseOptions {
  /** I: the length of the last axis. */
  input: number;
  /** H: the same of what it returns. */
  output: number;
  /** Default true. */
  bias?: boolean;
  /** φ. Default `identity`. `gelu` is the tanh form, PyTorch's `GELU(approximate="tanh")`, not that with erf. */
  activation?: DenseActivation;
  /** What parameters start from. Default uniform in ±1/√I, as in PyTorch. */
  init?: { readonly weight?: InitRule; readonly bias?: InitRule };
}

const ACTIVATIONS: Readonly<Record<Exclude<DenseActivation, Activation>, (a: Sym) => Sym>> = {
  relu,
  gelu,
  sigmoid,
  softplus,
};
const NAMES: readonly DenseActivation[] = ["identity", "tanh", "elu", "relu", "gelu", "sigmoid", "softplus"];

/**
 * A dense layer over the last axis, `y = φ(W x + b)`: `(..., I)` to `(..., H)`. The activation `gelu` is the tanh form, which is
 * within 5e-4 of that with erf, PyTorch's default.
 *
 * Parameters `weight (H, I)` and `bias (H)`, as in PyTorch's `Linear`, which also says where they start. No state. Cost: H I
 * multiplications a row, one pass over memory (on WebGPU one more where `weight` has 4096 elements and more).
 *
 * Throws a `RangeError` for sizes below 1 or an unknown activation, a `TypeError` for arrays that do not fit.
 *
 * @example The logits of ten classes
 * ```ts
 * import { dense, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const head = dense({ input: 16, output: 10 });
 * const pooled = { data: new Float32Array(4 * 16).fill(0.1), shape: [4, 16] };
 * using logits = head.apply(head.init(device, { seed: 0 }), pooled);
 * console.log(logits.shape); // [4, 10]
 * ```
 */
export function dense(options: DenseOptions): SequenceLayer {
  const context = "Cannot make dense()";
  checkKeys(context, "options", options, ["input", "output", "bias", "activation", "init"]);
  const { input, output, bias = true, activation = "identity", init = {} } = options;
  checkCount(context, "input", input, 1);
  checkCount(context, "output", output, 1);
  if (typeof bias !== "boolean") throw new TypeError(`${context}: bias must be true or false, got ${describe(bias)}`);
  checkChoice("dense", "activation", activation, NAMES);
  const params: Record<string, Shape> = { weight: [output, input], ...(bias && { bias: [output] }) };
  checkRules(context, init, Object.entries(params).map(([path, shape]) => ({ path, shape })));
  const bound = { uniform: 1 / Math.sqrt(input) };
  const rules = { weight: bound, ...(bias && { bias: bound }), ...init };
  const fn = defineMap({
    name: "dense",
    inputs: { x: [input] },
    params,
    map: ({ x, p }) => {
      const product = matvec(p.weight, x);
      const sum = bias ? add(product, p.bias) : product;
      return activation in ACTIVATIONS
        ? ACTIVATIONS[activation as keyof typeof ACTIVATIONS](sum)
        : activate(activation as Activation, sum);
    },
  });
  return makeStateless({
    name: "dense",
    input,
    hidden: output,
    params,
    init(device, options) {
      // PyTorch goes by the inputs of a dense layer; the others want to know how many rows a matrix has.
      const units = options?.scheme === "torch" ? input : output;
      return initParams(device, "dense", params, { rules, units }, options);
    },
    apply: (tree, xs) => mapRows(fn, tree, xs),
  });
}

/** Sizes and settings of {@linkcode mlp}. */
export interface MlpOptions extends Omit<DenseOptions, "input" | "output"> {
  /** `[I, ..., H]`: the input, the hidden layers and the output; at least two. */
  sizes: readonly number[];
}

/**
 * Dense layers one after the other, with an activation between them and none at the end, `y = W₂ φ(W₁ x + b₁) + b₂`: `(..., I)`
 * to `(..., H)`. Parameters `{ layer0: { weight, bias }, ... }`; settings as of {@linkcode dense}, but `relu` by default.
 *
 * Cost: those of its layers, and what lies between two of them. Throws a `RangeError` for fewer than two sizes.
 *
 * @example
 * ```ts
 * import { mlp, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const encoder = mlp({ sizes: [6, 32, 32], init: { weight: "he-uniform", bias: 0 } });
 * using ys = encoder.apply(encoder.init(device), { data: new Float32Array(600), shape: [100, 6] });
 * console.log(ys.shape); // [100, 32]
 * ```
 */
export function mlp(options: MlpOptions): SequenceLayer {
  const context = "Cannot make mlp()";
  checkKeys(context, "options", options, ["sizes", "bias", "activation", "init"]);
  const { sizes, activation = "relu", ...rest } = options;
  if (!Array.isArray(sizes)) {
    throw new TypeError(`${context}: sizes must be a list of numbers, got ${describe(sizes)}`);
  }
  if (sizes.length < 2) {
    throw new RangeError(`${context}: sizes must be those of input and output at least, got ${sizes.length}`);
  }
  const last = sizes.length - 2;
  return stack(
    sizes.slice(1).map((output: number, k) =>
      dense({ ...rest, input: sizes[k]!, output, activation: k === last ? "identity" : activation })
    ),
  );
}
