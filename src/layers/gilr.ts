import type { Sym } from "../trace/graph.ts";
import { mul, sigmoid, sub } from "../trace/ops.ts";
import {
  activate,
  type Activation,
  checkChoice,
  checkLayer,
  checkNumber,
  type LayerSize,
  stackedGates,
} from "./gates.ts";
import { defineLinearLayer, type LinearLayer } from "./linear_layer.ts";

/** Sizes and settings of {@linkcode gilr}. */
export interface GilrOptions extends LayerSize {
  /** τ, of the impulse: `tanh` (default), `elu` or `identity`. */
  activation?: Activation;
  /** What b_g starts from; default 0. */
  forgetBias?: number;
}

/** The gates of GILR, also those of the surrogate of GILR-LSTM. */
export function gilrGates(
  weight: Sym,
  bias: Sym,
  x: Sym,
  hidden: number,
  activation: Activation,
): { readonly a: Sym; readonly b: Sym } {
  const gate = stackedGates(weight, bias, x, hidden);
  const g = sigmoid(gate(0));
  return { a: g, b: mul(sub(1, g), activate(activation, gate(1))) };
}

/**
 * A gated impulse linear recurrent layer,
 *
 *     g = σ(W_g x + b_g),  i = τ(W_i x + b_i),  y[t] = h[t] = g ∘ h[t-1] + (1 - g) ∘ i
 *
 * Parameters `weight_ih (2H, I)` and `bias (2H)`, gates in the order g i. State `[h]`, D = H. Cost of a step: 2 H I
 * multiplications. Memory at once, beside xs but with the answer: 3 H words per (b, t), on WebGPU 4 H where `weight_ih` has
 * 4096 elements and more.
 *
 * Initial weights are uniform in ±0.05, biases 0 but for `forgetBias`, as in the authors' code; give a `forgetBias` of 5 for
 * memories of a hundred steps and more. Throws a `RangeError` for sizes below 1 or an unknown activation. Martin & Cundy
 * 2018, arXiv 1709.04057.
 *
 * @example
 * ```ts
 * import { gilr, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = gilr({ input: 2, hidden: 16, activation: "elu" });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using ys = layer.apply(layer.init(device), xs);
 * console.log(ys.shape); // [1000, 16]
 * ```
 */
export function gilr(options: GilrOptions): LinearLayer {
  checkLayer("gilr", options, ["activation", "forgetBias"]);
  const { input, hidden, activation = "tanh", forgetBias = 0, reverse = false } = options;
  checkChoice("gilr", "activation", activation, ["identity", "tanh", "elu"]);
  checkNumber("gilr", "forgetBias", forgetBias);
  return defineLinearLayer({
    name: "gilr",
    input,
    hidden,
    reverse,
    params: { weight_ih: [2 * hidden, input], bias: [2 * hidden] },
    init: { weight_ih: { uniform: 0.05 }, bias: [forgetBias, 0] },
    recurrences: [{
      name: "h",
      state: hidden,
      gates: ({ x, p }) => gilrGates(p.weight_ih, p.bias, x, hidden, activation),
    }],
    output: ({ states }) => states.h.now,
  });
}
