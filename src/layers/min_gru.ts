import { mul, sigmoid, sub } from "../trace/ops.ts";
import { checkLayer, type LayerSize, stackedGates } from "./gates.ts";
import { defineLinearLayer, type LinearLayer } from "./linear_layer.ts";

/**
 * A GRU without all that keeps it from being a scan,
 *
 *     z = σ(W_z x + b_z),  h̃ = W_h x + b_h,  y[t] = h[t] = (1 - z) ∘ h[t-1] + z ∘ h̃
 *
 * Parameters `weight_ih (2H, I)` and `bias (2H)`, gates in the order z h̃. State `[h]`, D = H. Cost of a step: 2 H I
 * multiplications. Memory at once, beside xs but with the answer: 3 H words per (b, t), on WebGPU 4 H where `weight_ih` has
 * 4096 elements and more. The
 * paper's form in logarithms, which keeps states positive, is not needed: no cumulative product is formed.
 *
 * Initial parameters are uniform in ±1/√I, as those of PyTorch's linear layers, of which the paper makes it. Throws a
 * `RangeError` for sizes below 1. Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, arXiv 2410.01201.
 *
 * @example
 * ```ts
 * import { minGru, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = minGru({ input: 2, hidden: 16 });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using ys = layer.apply(layer.init(device), xs);
 * console.log(ys.shape); // [1000, 16]
 * ```
 */
export function minGru(options: LayerSize): LinearLayer {
  checkLayer("minGru", options);
  const { input, hidden, reverse = false } = options;
  const uniform = 1 / Math.sqrt(input);
  return defineLinearLayer({
    name: "minGru",
    input,
    hidden,
    reverse,
    params: { weight_ih: [2 * hidden, input], bias: [2 * hidden] },
    init: { weight_ih: { uniform }, bias: { uniform } },
    recurrences: [{
      name: "h",
      state: hidden,
      gates: ({ x, p }) => {
        const gate = stackedGates(p.weight_ih, p.bias, x, hidden);
        const z = sigmoid(gate(0));
        return { a: sub(1, z), b: mul(z, gate(1)) };
      },
    }],
    output: ({ states }) => states.h.now,
  });
}
