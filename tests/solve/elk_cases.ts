import { defineStep, type HostTensor, type Problem, type Step } from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { createRandom } from "../../src/core/random.ts";
import { goldenTensors, host } from "./arrays.ts";
import { runLoop } from "./loops.ts";

// The unstable recurrences that ELK was published with (Gonzalez et al. 2024, arXiv 2407.19115).

const golden = goldenTensors("elk/argru") as Record<string, HostTensor>;

/**
 * A trained GRU that draws its own next input, of state [x, h]: h' = GRU(x, h), [μ, ℓ] = W (h' + x) + b,
 * x' = μ + softplus(ℓ) ε. PyTorch's gates.
 */
export const argru: Step = defineStep({
  name: "argru",
  state: 4,
  input: 1,
  params: { weight_ih: [9, 1], weight_hh: [9, 3], bias: [9], bias_n: [3], dec_w: [2, 3], dec_b: [2] },
  step: ({ h, x, p }) => {
    const [drawn, hidden] = [ops.slice(h, 0, 1), ops.slice(h, 1, 4)];
    const given = ops.add(ops.matvec(p.weight_ih, drawn), p.bias);
    const own = ops.matvec(p.weight_hh, hidden);
    const gate = (v: ReturnType<typeof ops.add>, k: number): ReturnType<typeof ops.add> =>
      ops.slice(v, 3 * k, 3 * k + 3);
    const r = ops.sigmoid(ops.add(gate(given, 0), gate(own, 0)));
    const z = ops.sigmoid(ops.add(gate(given, 1), gate(own, 1)));
    const n = ops.tanh(ops.add(gate(given, 2), ops.mul(r, ops.add(gate(own, 2), p.bias_n))));
    const next = ops.add(n, ops.mul(z, ops.sub(hidden, n)));
    const out = ops.add(ops.matvec(p.dec_w, ops.add(next, ops.sum(drawn))), p.dec_b);
    return ops.concat(ops.add(ops.slice(out, 0, 1), ops.mul(ops.softplus(ops.slice(out, 1, 2)), x)), next);
  },
});

/** `time` of the 9 999 steps of a seed from 0 to 3. */
export function argruProblem(seed: number, time = 9999): Problem {
  const { weight_ih, weight_hh, bias, bias_n, dec_w, dec_b } = golden;
  const params = {
    weight_ih: weight_ih!,
    weight_hh: weight_hh!,
    bias: bias!,
    bias_n: bias_n!,
    dec_w: dec_w!,
    dec_b: dec_b!,
  };
  const xs = { data: golden[`noise${seed}`]!.data.slice(1, time + 1), shape: [time, 1] };
  return { params, xs, h0: golden[`start${seed}`]! };
}

/** The states of seed 0 as JAX found them in f32, `(9999, 4)`. */
export const argruStates: Float64Array = Float64Array.from(golden.states0!.data.slice(4));

const DIMENSION = 5;
const FORCING = 8;
const STEP = 0.01;
/** Dormand and Prince's coefficients of the fifth order. */
const STAGES = [
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
];

/** Lorenz 96, x[i]' = (x[i+1] - x[i-2]) x[i-1] - x[i] + 8, five of them, by one step of 0.01 of a Runge-Kutta method. */
const lorenz = (name: string, stages: readonly (readonly number[])[]): Step =>
  defineStep({
    name,
    state: DIMENSION,
    input: 0,
    params: {},
    step: ({ h }) => {
      type Sym = typeof h;
      const turned = (v: Sym, by: number): Sym => ops.concat(ops.slice(v, by, DIMENSION), ops.slice(v, 0, by));
      const slope = (v: Sym): Sym =>
        ops.add(
          ops.sub(ops.mul(ops.sub(turned(v, 1), turned(v, DIMENSION - 2)), turned(v, DIMENSION - 1)), v),
          FORCING,
        );
      const slopes = [slope(h)];
      const combine = (weights: readonly number[]): Sym =>
        weights.reduce<Sym>(
          (sum, weight, k) => weight === 0 ? sum : ops.add(sum, ops.mul(STEP * weight, slopes[k]!)),
          h,
        );
      for (const weights of stages.slice(0, -1)) slopes.push(slope(combine(weights)));
      return combine(stages.at(-1)!);
    },
  });

/** By Dormand and Prince, as published. */
export const lorenz96: Step = lorenz("lorenz 96", STAGES);

/** By Euler: as chaotic, and a quarter of a minute less of compiling for software adapters. */
export const lorenz96Euler: Step = lorenz("lorenz 96 by Euler", [[1]]);

/** 1000 steps of Lorenz 96 on its attractor: from a random state, 500 steps later. */
export function lorenzProblem(seed: number, time = 1000): Problem {
  const random = createRandom(seed);
  const start = host(Float64Array.from({ length: DIMENSION }, () => FORCING + 2 * random.uniform() - 1), [
    1,
    DIMENSION,
  ]);
  return { params: {}, time, h0: host(lorenzLoop(start, 500).data.slice(-DIMENSION), [DIMENSION]) };
}

/** The trajectory from `(1, 5)` in plain loops. */
export function lorenzLoop(start: HostTensor, time: number): HostTensor {
  const slope = (v: readonly number[]): number[] =>
    v.map((value, i) => {
      const at = (k: number): number => v[(i + k + DIMENSION) % DIMENSION]!;
      return (at(1) - at(-2)) * at(-1) - value + FORCING;
    });
  return runLoop(
    (h) => {
      const slopes = [slope(h)];
      const combine = (weights: readonly number[]): number[] =>
        h.map((value, i) => value + STEP * weights.reduce((sum, weight, k) => sum + weight * slopes[k]![i]!, 0));
      for (const weights of STAGES.slice(0, -1)) slopes.push(slope(combine(weights)));
      return combine(STAGES.at(-1)!);
    },
    start,
    undefined,
    time,
  );
}
