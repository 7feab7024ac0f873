import { mul, neg, sigmoid, softplus, sub } from "../trace/ops.ts";
import { checkLayer, type LayerSize, stackedGates } from "./gates.ts";
import { defineLinearLayer, type LinearLayer } from "./linear_layer.ts";

/**
 * An LSTM without all that keeps it from being a scan, its two gates normalised to a sum of 1,
 *
 *     f = σ(W_f x + b_f),  i = σ(W_i x + b_i),  h̃ = W_h x + b_h
 *     y[t] = h[t] = f / (f + i) ∘ h[t-1] + i / (f + i) ∘ h̃
 *
 * Parameters `weight_ih (3H, I)` and `bias (3H)`, gates in the order f i h̃. State `[h]`, D = H. The quotient is computed as
 * σ(log f - log i), which no gate can take to 0 / 0. Cost of a step: 3 H I multiplications. Memory at once, beside
 * xs but with the answer: 3 H words per (b, t), on WebGPU 5 H where `weight_ih` has 4096 elements and more.
 *
 * Initial parameters are uniform in ±1/√I, as those of PyTorch's linear layers, of which the paper makes it. Throws a
 * `RangeError` for sizes below 1. Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, arXiv 2410.01201.
 *
 * @example
 * ```ts
 * import { minLstm, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = minLstm({ input: 2, hidden: 16 });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using ys = layer.apply(layer.init(device), xs);
 * console.log(ys.shape); // [1000, 16]
 * ```
 */
export function minLstm(options: LayerSize): LinearLayer {
  checkLayer("minLstm", options);
  const { input, hidden, reverse = false } = options;
  const uniform = 1 / Math.sqrt(input);
  return defineLinearLayer({
    name: "minLstm",
    input,
    hidden,
    reverse,
    params: { weight_ih: [3 * hidden, input], bias: [3 * hidden] },
    init: { weight_ih: { uniform }, bias: { uniform } },
    recurrences: [{
      name: "h",
      state: hidden,
      gates: ({ x, p }) => {
        const gate = stackedGates(p.weight_ih, p.bias, x, hidden);
        // log σ(v) = -softplus(-v)
        const a = sigmoid(sub(softplus(neg(gate(1))), softplus(neg(gate(0)))));
        return { a, b: mul(sub(1, a), gate(2)) };
      },
    }],
    output: ({ states }) => states.h.now,
  });
}
