/** A trained GRU that draws its own next input, as one step of a recurrence. */

import { defineStep, type HostTensor, type Problem, readSafetensors, type Step } from "@cervid/cervid";
import { add, concat, matvec, mul, type Operand, sigmoid, slice, softplus, sub, sum, tanh } from "@cervid/cervid/ops";
import { createRandom } from "../../src/core/random.ts";

const WEIGHTS = new URL("../data/ar_gru3.safetensors", import.meta.url);
/** The state [x, h] in which its training sequences began. */
const START = [0, 0.00515, 0.00512, -0.28719];

/**
 * State [x, h in R³], input ε: h' = GRU(x, h), [μ, ℓ] = W (h' + x) + b, x' = μ + softplus(ℓ) ε (Gonzalez et al. 2024, arXiv
 * 2407.19115, section 6.2).
 */
export const AR_GRU: Step = defineStep({
  name: "autoregressive GRU",
  state: 4,
  input: 1,
  params: { weight_ih: [9, 1], weight_hh: [9, 3], bias: [9], bias_n: [3], dec_w: [2, 3], dec_b: [2] },
  step: ({ h: state, x: noise, p }) => {
    const [x, h] = [slice(state, 0, 1), slice(state, 1, 4)];
    const [given, own] = [add(matvec(p.weight_ih, x), p.bias), matvec(p.weight_hh, h)];
    const part = (v: Operand, k: number) => slice(v, 3 * k, 3 * k + 3);
    const r = sigmoid(add(part(given, 0), part(own, 0)));
    const z = sigmoid(add(part(given, 1), part(own, 1)));
    const n = tanh(add(part(given, 2), mul(r, add(part(own, 2), p.bias_n))));
    const next = add(n, mul(z, sub(h, n)));
    const drawn = add(matvec(p.dec_w, add(next, sum(x))), p.dec_b);
    return concat(add(slice(drawn, 0, 1), mul(softplus(slice(drawn, 1, 2)), noise)), next);
  },
});

/** Its weights, as they were published. */
export async function readArGru(): Promise<Record<string, HostTensor>> {
  return readSafetensors(await Deno.readFile(WEIGHTS)).tensors;
}

/** What drives it. */
export interface Drive {
  /** T */
  readonly time: number;
  /** Standard deviation of ε; it was trained with 1. */
  readonly noise: number;
  /** x before the first step; its training sequences, waves of amplitude 10, began near 0. */
  readonly start: number;
  readonly seed: number;
}

/** One sequence of it. */
export async function arGruProblem(
  { time, noise, start, seed }: Drive,
): Promise<Problem & { readonly xs: HostTensor; readonly h0: HostTensor }> {
  const random = createRandom(seed);
  return {
    params: await readArGru(),
    xs: { data: Float64Array.from({ length: time }, () => noise * random.normal()), shape: [time, 1] },
    h0: { data: Float64Array.of(start, ...START.slice(1)), shape: [4] },
  };
}
