import { defineStep, type Problem, type Step } from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { host, numbers } from "./arrays.ts";

// Steps of every number of states on which sweeps of two engines are compared.

/** Steps that mix n states, chaotic for large gains: a workgroup has a unit from n = 5 on, an invocation has it below. */
export const mixer = (n: number): Step =>
  defineStep({
    name: `mixer ${n}`,
    state: n,
    input: 1,
    params: { w: [n, n] },
    step: ({ h, x, p }) => ops.mul(2, ops.sin(ops.add(ops.matvec(p.w, h), ops.sum(x)))),
  });

/** Its iterates run away threefold a step, to where the guess takes their place. */
export const runaway = (n: number): Step =>
  defineStep({
    name: `runaway ${n}`,
    state: n,
    input: 1,
    params: { w: [n, n] },
    step: ({ h, x, p }) => ops.add(ops.mul(3, h), ops.add(ops.tanh(ops.matvec(p.w, h)), ops.sum(x))),
  });

/** At 0 it has no derivative: G has entries that are no numbers, which count as 0. */
export const rooted = (n: number): Step =>
  defineStep({
    name: `rooted ${n}`,
    state: n,
    input: 1,
    params: { w: [n, n] },
    step: ({ h, x, p }) => ops.add(ops.sqrt(ops.abs(ops.matvec(p.w, h))), ops.sum(x)),
  });

/** Blocks of two in every layout are rotors; these are of five, strided over 10 states: two units for workgroups. */
export const pairs: Step = defineStep({
  name: "pairs of five",
  state: 10,
  input: 1,
  params: {},
  step: ({ h, x }) => {
    const part = (k: number): typeof h => ops.slice(h, 2 * k, 2 * k + 2);
    const whole = [0, 1, 2, 3, 4].map(part).reduce((sum, v) => ops.add(sum, v));
    return ops.concat(...[0, 1, 2, 3, 4].map((k) => ops.sin(ops.add(ops.sub(whole, ops.mul(2, part(k))), ops.sum(x)))));
  },
});

/** `time` steps of three sequences; one input of the second may be something else. */
export function posed(step: Step, time: number, wrong?: number, value: number = NaN): Problem {
  const w = step === pairs
    ? {}
    : { w: host(numbers(step.state ** 2, 1.6 / Math.sqrt(step.state), 3), [step.state, step.state]) };
  const h0 = host(numbers(3 * step.state, 1, 4), [3, step.state]);
  const xs = numbers(3 * time, 0.5, 5);
  if (wrong !== undefined) xs[time + wrong] = value;
  return { params: w, xs: host(xs, [3, time, 1]), h0 };
}
