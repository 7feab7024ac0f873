import { mul, sigmoid, sub, tanh } from "../trace/ops.ts";
import { checkChoice, checkLayer, type LayerSize, stackedGates } from "./gates.ts";
import { defineLinearLayer, type LinearLayer } from "./linear_layer.ts";

/** Sizes and settings of {@linkcode stronglyTyped}. */
export interface StronglyTypedOptions extends LayerSize {
  /** `t-rnn` (default), `t-lstm` or `t-gru`. */
  kind?: "t-rnn" | "t-lstm" | "t-gru";
}

/**
 * Strongly typed networks: states are only ever scaled and averaged, never mixed by a matrix,
 *
 *     T-RNN:   z = W_z x[t] + b_z,  f = σ(W_f x[t] + b_f),  y[t] = h[t] = f ∘ h[t-1] + (1 - f) ∘ z
 *     T-LSTM:  z, f, o from [x[t-1], x[t]], o = tanh(...),  c[t] = f ∘ c[t-1] + (1 - f) ∘ z,  y = c[t] ∘ o
 *     T-GRU:   z, f, o as in the T-LSTM,  y[t] = h[t] = f ∘ h[t-1] + z ∘ o
 *
 * Parameters `weight_ih (2H, I)` and `bias (2H)`, gates in the order z f; of the T-LSTM and the T-GRU `weight_ih (3H, 2I)`,
 * whose columns meet `x[t-1]` first, and `bias (3H)`, gates z f o. The paper's T-RNN has no b_z (put 0 there). State D = H. Cost of a
 * step: 2 H I or 6 H I multiplications. Memory at once, beside xs but with the answer: 3 H words per (b, t), of the T-LSTM
 * 4 H; on WebGPU, where `weight_ih` has 4096 elements and more, 4 H, of the T-LSTM 6 H + 2 I, of the T-GRU 5 H + 2 I.
 *
 * Initial parameters are uniform in ±1/√I, of two inputs ±1/√(2I), as those of a linear layer in PyTorch. Throws a
 * `RangeError` for sizes below 1 or an unknown kind. Balduzzi & Ghifary 2016, arXiv 1602.02218.
 *
 * @example
 * ```ts
 * import { openDevice, stronglyTyped } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = stronglyTyped({ input: 2, hidden: 16, kind: "t-lstm" });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * using ys = layer.apply(layer.init(device), xs);
 * console.log(ys.shape); // [1000, 16]
 * ```
 */
export function stronglyTyped(options: StronglyTypedOptions): LinearLayer {
  checkLayer("stronglyTyped", options, ["kind"]);
  const { input, hidden, kind = "t-rnn", reverse = false } = options;
  checkChoice("stronglyTyped", "kind", kind, ["t-rnn", "t-lstm", "t-gru"]);
  const [gates, window] = kind === "t-rnn" ? [2, 1] : [3, 2];
  const uniform = 1 / Math.sqrt(window * input);
  return defineLinearLayer({
    name: kind,
    input,
    hidden,
    window,
    reverse,
    params: { weight_ih: [gates * hidden, window * input], bias: [gates * hidden] },
    init: { weight_ih: { uniform }, bias: { uniform } },
    recurrences: [{
      name: "c",
      state: hidden,
      gates: ({ x, p }) => {
        const gate = stackedGates(p.weight_ih, p.bias, x, hidden);
        const z = gate(0);
        const f = sigmoid(gate(1));
        if (kind === "t-rnn") return { a: f, b: mul(sub(1, f), z) };
        const o = tanh(gate(2));
        return kind === "t-gru" ? { a: f, b: mul(z, o) } : { a: f, b: mul(sub(1, f), z), o };
      },
    }],
    output: ({ states, kept }) => kind === "t-lstm" ? mul(kept.o!, states.c.now) : states.c.now,
  });
}
