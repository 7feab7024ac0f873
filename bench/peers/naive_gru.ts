/**
 * The plainest sequential GRU: one pass over time, typed arrays, no blocking, no precomputed projection.
 *
 * It is the baseline a reader would write first, so it stays naive on purpose: the input projection is done inside
 * the loop, one dot product at a time.
 */

/** The weights of one GRU layer in PyTorch's layout: row-major, gate rows in the order reset, update, new. */
export interface GruWeights {
  /** `(3 * hidden, input)` */
  weight_ih: Float32Array;
  /** `(3 * hidden, hidden)` */
  weight_hh: Float32Array;
  /** `(3 * hidden)` */
  bias_ih: Float32Array;
  /** `(3 * hidden)` */
  bias_hh: Float32Array;
  /** Features of one input. */
  input: number;
  /** Features of one state. */
  hidden: number;
}

/** Throws where the arrays do not have the sizes that `input` and `hidden` ask for, or `xs` is not `(time, input)`. */
export function checkGruArguments(weights: GruWeights, xs?: Float32Array, time?: number): void {
  const { input, hidden } = weights;
  const expected = {
    weight_ih: 3 * hidden * input,
    weight_hh: 3 * hidden * hidden,
    bias_ih: 3 * hidden,
    bias_hh: 3 * hidden,
  };
  for (const name of ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] as const) {
    if (weights[name].length !== expected[name]) {
      throw new TypeError(
        `Cannot run the GRU: ${name} must hold ${expected[name]} numbers, got ${weights[name].length}`,
      );
    }
  }
  if (xs !== undefined && time !== undefined && xs.length !== time * input) {
    throw new TypeError(`Cannot run the GRU: xs must have shape (${time}, ${input}), got ${xs.length} numbers`);
  }
}

/**
 * The states `(time, hidden)` of a GRU over `xs`, `(time, input)`, from the zero state, with PyTorch's equations:
 *
 *     r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
 *     z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
 *     n = tanh(W_in x + b_in + r (W_hn h + b_hn))
 *     h = (1 - z) n + z h
 */
export function naiveGru(weights: GruWeights, xs: Float32Array, time: number): Float32Array {
  checkGruArguments(weights, xs, time);
  const { weight_ih, weight_hh, bias_ih, bias_hh, input, hidden } = weights;
  const rows = 3 * hidden;
  const states = new Float32Array(time * hidden);
  const fromInput = new Float32Array(rows);
  const fromState = new Float32Array(rows);
  const h = new Float32Array(hidden);
  for (let t = 0; t < time; t++) {
    for (let row = 0; row < rows; row++) {
      let sum = bias_ih[row]!;
      for (let k = 0; k < input; k++) sum += weight_ih[row * input + k]! * xs[t * input + k]!;
      fromInput[row] = sum;
      sum = bias_hh[row]!;
      for (let k = 0; k < hidden; k++) sum += weight_hh[row * hidden + k]! * h[k]!;
      fromState[row] = sum;
    }
    for (let i = 0; i < hidden; i++) {
      const r = 1 / (1 + Math.exp(-(fromInput[i]! + fromState[i]!)));
      const z = 1 / (1 + Math.exp(-(fromInput[hidden + i]! + fromState[hidden + i]!)));
      const n = Math.tanh(fromInput[2 * hidden + i]! + r * fromState[2 * hidden + i]!);
      h[i] = (1 - z) * n + z * h[i]!;
    }
    states.set(h, t * hidden);
  }
  return states;
}
