import { add, matvec, mul, sigmoid, sub } from "../trace/ops.ts";
import { activate, checkChoice, checkLayer, checkNumber, type LayerSize, stackedGates } from "./gates.ts";
import { defineLinearLayer, type LinearLayer } from "./linear_layer.ts";

/** Sizes and settings of {@linkcode sru}. */
export interface SruOptions extends LayerSize {
  /** g, of the output: `identity` (default) or `tanh`. */
  activation?: "identity" | "tanh";
  /** What b_f starts from; default 0. About log T remembers for T steps. */
  forgetBias?: number;
}

/**
 * A simple recurrent unit: a gated average of projected inputs, and a gated skip around it,
 *
 *     x̃ = W x + b,  f = σ(W_f x + b_f),  r = σ(W_r x + b_r)
 *     c[t] = f ∘ c[t-1] + (1 - f) ∘ x̃,  y = r ∘ g(c[t]) + (1 - r) ∘ x
 *
 * Parameters `weight_ih (3H, I)` and `bias (3H)`, gates in the order x̃ f r; where I is not H also `weight_skip (H, I)`, and
 * W_skip x stands for x in the output. The paper's x̃ has no bias: 0, where it starts. State `[c]`, D = H. Cost of a step:
 * 3 H I multiplications (4 with `weight_skip`). Memory at once, beside xs but with the answer: 4 H words per (b, t), on
 * WebGPU 6 H where `weight_ih` has 4096 elements and more.
 *
 * Initial weights are uniform in ±√(3 / I), biases 0 but for `forgetBias`, as in the paper's code. Throws a `RangeError` for sizes below 1 or an
 * unknown activation. Lei, Zhang, Wang, Dai & Artzi 2017, arXiv 1709.02755.
 *
 * @example
 * ```ts
 * import { openDevice, sru } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = sru({ input: 8, hidden: 8 });
 * const xs = { data: new Float32Array(1000 * 8).fill(0.1), shape: [1000, 8] };
 * using ys = layer.apply(layer.init(device, { seed: 0 }), xs);
 * console.log(ys.shape); // [1000, 8]
 * ```
 */
export function sru(options: SruOptions): LinearLayer {
  checkLayer("sru", options, ["activation", "forgetBias"]);
  const { input, hidden, activation = "identity", forgetBias = 0, reverse = false } = options;
  checkChoice("sru", "activation", activation, ["identity", "tanh"]);
  checkNumber("sru", "forgetBias", forgetBias);
  const bound = Math.sqrt(3 / input);
  const skips = input !== hidden;
  return defineLinearLayer({
    name: "sru",
    input,
    hidden,
    reverse,
    params: {
      weight_ih: [3 * hidden, input],
      bias: [3 * hidden],
      ...(skips && { weight_skip: [hidden, input] }),
    },
    init: {
      weight_ih: { uniform: bound },
      bias: [0, forgetBias, 0],
      ...(skips && { weight_skip: { uniform: bound } }),
    },
    recurrences: [{
      name: "c",
      state: hidden,
      gates: ({ x, p }) => {
        const gate = stackedGates(p.weight_ih, p.bias, x, hidden);
        const f = sigmoid(gate(1));
        return { a: f, b: mul(sub(1, f), gate(0)), r: sigmoid(gate(2)) };
      },
    }],
    output: ({ x, p, states, kept }) => {
      const skip = skips ? matvec(p.weight_skip!, x) : x;
      return add(skip, mul(kept.r!, sub(activate(activation, states.c.now), skip)));
    },
  });
}
