import { checkCount } from "../core/shape.ts";
import { mul, sigmoid, sub, tanh } from "../trace/ops.ts";
import { checkChoice, checkLayer, type LayerSize, stackedGates } from "./gates.ts";
import { defineLinearLayer, type LinearLayer } from "./linear_layer.ts";

/** Sizes and settings of {@linkcode qrnn}. */
export interface QrnnOptions extends LayerSize {
  /** k, default 1: the width of the convolution; a step sees its own input and the k - 1 before it. */
  window?: number;
  /** Which gates there are: `f`, `fo` (default) or `ifo`. */
  pooling?: "f" | "fo" | "ifo";
}

/**
 * A quasi-recurrent network: gates from a causal convolution of width k over the inputs, and pooling in place of a
 * recurrence of their own,
 *
 *     z = tanh(W_z * x + b_z),  f = σ(W_f * x + b_f),  o = σ(W_o * x + b_o),  i = σ(W_i * x + b_i)
 *     f:   y[t] = c[t] = f ∘ c[t-1] + (1 - f) ∘ z
 *     fo:  c[t] as above,  y = o ∘ c[t]
 *     ifo: c[t] = f ∘ c[t-1] + i ∘ z,  y = o ∘ c[t]
 *
 * Parameters `weight_ih (G H, k I)`, whose columns meet `x[t-k+1]` first and `x[t]` last, and `bias (G H)`; gates in the
 * order z f o i, of which G = 2, 3 or 4 are there. State `[c]`, D = H. Cost of a step: G H k I multiplications. Memory
 * at once, beside xs but with the answer: 4 H words per (b, t); on WebGPU, where `weight_ih` has 4096 elements and more, (G +
 * 3) H, and for windows k I more. With `f` it is H less.
 *
 * Initial parameters are uniform in ±1/√(k I), as those of a convolution in PyTorch. Throws a `RangeError` for sizes below 1
 * or an unknown pooling. Bradbury, Merity, Xiong & Socher 2017, arXiv 1611.01576.
 *
 * @example A sequence in two pieces: the second one needs the states, and the last inputs, of the first
 * ```ts
 * import { openDevice, qrnn } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = qrnn({ input: 4, hidden: 8, window: 2 });
 * const params = layer.init(device);
 * const piece = { data: new Float32Array(500 * 4).fill(0.1), shape: [500, 4] };
 * using first = layer.run(params, piece);
 * using second = layer.run(params, piece, { h0: first.hT, carry: first.carry });
 * console.log(first.ys.shape, second.ys.shape); // [500, 8] [500, 8]
 * ```
 */
export function qrnn(options: QrnnOptions): LinearLayer {
  checkLayer("qrnn", options, ["window", "pooling"]);
  const { input, hidden, window = 1, pooling = "fo", reverse = false } = options;
  checkCount("Cannot make qrnn()", "window", window, 1);
  checkChoice("qrnn", "pooling", pooling, ["f", "fo", "ifo"]);
  const rows = (pooling.length + 1) * hidden;
  const uniform = 1 / Math.sqrt(window * input);
  return defineLinearLayer({
    name: "qrnn",
    input,
    hidden,
    window,
    reverse,
    params: { weight_ih: [rows, window * input], bias: [rows] },
    init: { weight_ih: { uniform }, bias: { uniform } },
    recurrences: [{
      name: "c",
      state: hidden,
      gates: ({ x, p }) => {
        const gate = stackedGates(p.weight_ih, p.bias, x, hidden);
        const f = sigmoid(gate(1));
        const b = mul(pooling === "ifo" ? sigmoid(gate(3)) : sub(1, f), tanh(gate(0)));
        return pooling === "f" ? { a: f, b } : { a: f, b, o: sigmoid(gate(2)) };
      },
    }],
    output: ({ states, kept }) => pooling === "f" ? states.c.now : mul(kept.o!, states.c.now),
  });
}
