/** The weather in a circle: Lorenz 96, a step of which is one of Dormand and Prince's method. */

import { defineStep, type Device, type HostTensor, type Problem, solve, type Step, toHost } from "@cervid/cervid";
import { add, concat, mul, type Operand, slice, sub } from "@cervid/cervid/ops";
import { createRandom } from "../../src/core/random.ts";

const SIZE = 5;
const FORCING = 8;
const STEP = 0.01;
/** Steps in which a random state comes to the attractor. */
const SETTLING = 500;
/** Dormand and Prince's coefficients of the fifth order. */
const STAGES = [
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
] as const;

/** dx[i]/dt = (x[i+1] - x[i-2]) x[i-1] - x[i] + 8 for five places in a circle, 0.01 further: chaotic. */
export const LORENZ_96: Step = defineStep({
  name: "Lorenz 96",
  state: SIZE,
  input: 0,
  params: {},
  step: ({ h }) => {
    const turned = (v: Operand, by: number) => concat(slice(v, by, SIZE), slice(v, 0, by));
    const slope = (v: Operand) =>
      add(sub(mul(sub(turned(v, 1), turned(v, SIZE - 2)), turned(v, SIZE - 1)), v), FORCING);
    const slopes = [slope(h)];
    const advance = (weights: readonly number[]) =>
      weights.reduce((sum, weight, k) => weight === 0 ? sum : add(sum, mul(STEP * weight, slopes[k]!)), h);
    for (const weights of STAGES.slice(0, -1)) slopes.push(slope(advance(weights)));
    return advance(STAGES.at(-1)!);
  },
});

/** So many steps from a state on the attractor, which `seed` chooses. */
export async function lorenzProblem(
  device: Device,
  { time, seed }: { readonly time: number; readonly seed: number },
): Promise<Omit<Problem, "xs"> & { readonly time: number; readonly h0: HostTensor }> {
  const random = createRandom(seed);
  const far = { data: Float64Array.from({ length: SIZE }, () => FORCING + 2 * random.uniform() - 1), shape: [SIZE] };
  const problem = { params: {}, time: SETTLING, h0: far };
  using settled = await solve(LORENZ_96, problem, { device, method: "sequential" });
  return { params: {}, time, h0: await toHost(settled.yT) };
}
