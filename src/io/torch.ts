import type { HostTensor, Tree } from "../core/types.ts";
import { type Floats, readWeights, type TorchOptions, type Weights } from "./state_dict.ts";

/**
 * The params of `gru()` from the state dict of a `torch.nn.GRU`, with gates r, z, n in PyTorch's order:
 * `weight_ih (3H, I)`, `weight_hh (3H, H)`, `bias (3H)` and `bias_n (H)`.
 *
 * PyTorch's two biases are added where both are added anyway, for r and z; that of the hidden state in n, which r
 * gates, stays alone as `bias_n`. A module without biases gives zeros. The dtype, f32 or f64, stays, the state dict is
 * left as it is, and the answer shares no memory with it. Costs one copy.
 *
 * Throws a TypeError if names are missing or several modules fit, if a shape or dtype does not fit; a RangeError if
 * `layer` is no whole number of at least 0.
 *
 * Equations: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
 *
 * @example
 * ```ts
 * import { fromTorchGru } from "@cervid/cervid/io";
 *
 * const ones = (...shape: number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)).fill(1), shape });
 * const stateDict = {
 *   "rnn.weight_ih_l0": ones(6, 4),
 *   "rnn.weight_hh_l0": ones(6, 2),
 *   "rnn.bias_ih_l0": ones(6),
 *   "rnn.bias_hh_l0": ones(6),
 * };
 * const { bias, bias_n } = fromTorchGru(stateDict);
 * console.log(bias, bias_n); // [2, 2, 2, 2, 1, 1] and [1, 1]
 * ```
 */
export function fromTorchGru(stateDict: Record<string, HostTensor>, options: TorchOptions = {}): Tree<HostTensor> {
  const { hidden, weight_ih, weight_hh, bias_ih, bias_hh } = readWeights("GRU", 3, stateDict, options);
  const bias = bias_ih.map((value, i) => i < 2 * hidden ? value + bias_hh[i]! : value);
  return { weight_ih, weight_hh, bias: vector(bias), bias_n: vector(bias_hh.slice(2 * hidden)) };
}

/**
 * The params of `lstm()` from the state dict of a `torch.nn.LSTM`, with gates i, f, g, o in PyTorch's order:
 * `weight_ih (4H, I)`, `weight_hh (4H, H)` and `bias (4H)`, the sum of PyTorch's two.
 *
 * A module without biases gives zeros. The dtype, f32 or f64, stays, the state dict is left as it is, and the answer
 * shares no memory with it. Costs one copy.
 *
 * Throws a TypeError if names are missing or several modules fit, if a shape or dtype does not fit, or if the module
 * has projections (`proj_size`); a RangeError if `layer` is no whole number of at least 0.
 *
 * Equations: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
 *
 * @example
 * ```ts
 * import { fromTorchLstm } from "@cervid/cervid/io";
 *
 * const zeros = (...shape: number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape });
 * const stateDict = { weight_ih_l0: zeros(8, 3), weight_hh_l0: zeros(8, 2) }; // bias=False
 * console.log(fromTorchLstm(stateDict).bias); // 8 zeros
 * ```
 */
export function fromTorchLstm(stateDict: Record<string, HostTensor>, options: TorchOptions = {}): Tree<HostTensor> {
  return withSummedBias(readWeights("LSTM", 4, stateDict, options));
}

/**
 * The params of `elman()` from the state dict of a `torch.nn.RNN`, tanh or relu: `weight_ih (H, I)`,
 * `weight_hh (H, H)` and `bias (H)`, the sum of PyTorch's two.
 *
 * A module without biases gives zeros. The dtype, f32 or f64, stays, the state dict is left as it is, and the answer
 * shares no memory with it. Costs one copy.
 *
 * Throws a TypeError if names are missing or several modules fit, if a shape or dtype does not fit; a RangeError if
 * `layer` is no whole number of at least 0.
 *
 * Equations: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
 *
 * @example
 * ```ts
 * import { fromTorchElman } from "@cervid/cervid/io";
 *
 * const zeros = (...shape: number[]) => ({ data: new Float64Array(shape.reduce((a, b) => a * b)), shape });
 * const stateDict = { weight_ih_l1_reverse: zeros(2, 4), weight_hh_l1_reverse: zeros(2, 2) };
 * console.log(fromTorchElman(stateDict, { layer: 1, reverse: true }).bias); // 2 zeros
 * ```
 */
export function fromTorchElman(stateDict: Record<string, HostTensor>, options: TorchOptions = {}): Tree<HostTensor> {
  return withSummedBias(readWeights("RNN", 1, stateDict, options));
}

function withSummedBias({ weight_ih, weight_hh, bias_ih, bias_hh }: Weights): Tree<HostTensor> {
  return { weight_ih, weight_hh, bias: vector(bias_ih.map((value, i) => value + bias_hh[i]!)) };
}

function vector(data: Floats): HostTensor {
  return { data, shape: [data.length] };
}
