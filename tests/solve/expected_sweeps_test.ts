import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  defineStep,
  type Device,
  elman,
  expectedSweeps,
  lyapunovExponent,
  ops,
  type Problem,
  solve,
  type Step,
} from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";
import { lorenz96, lorenzProblem } from "./elk_cases.ts";
import { host } from "./arrays.ts";
import { PRECISE, testOn } from "./machines.ts";

Deno.test("expectedSweeps: the values of its formula, its order, and its bounds", () => {
  // By hand: 4 + 0.35 / 0.7 = 4.5; 1000 / 8; 1000 / (1 + 7 / 5); 1000 / (1 + 7 / 137) at 0.68.
  assertEquals([-0.7, 0, 0.02, 0.68].map((exponent) => expectedSweeps(exponent, 1000)), [5, 125, 417, 952]);
  for (const time of [0, 1, 3, 100, 1_000_000]) {
    let before = 0;
    for (const exponent of [-Infinity, -10, -1, -0.1, -0.01, -1e-9, 0, 1e-9, 0.01, 0.1, 1, 10, Infinity]) {
      const sweeps = expectedSweeps(exponent, time);
      assert(Number.isInteger(sweeps) && sweeps >= before && sweeps <= time, `${sweeps} at ${exponent}, ${time}`);
      before = sweeps;
    }
  }
  assertEquals([-Infinity, Infinity].map((exponent) => expectedSweeps(exponent, 1000)), [4, 1000]);
});

Deno.test("expectedSweeps: wrong calls are refused", () => {
  assertThrows(() => expectedSweeps(NaN, 10), RangeError, "the exponent must be a number, got NaN");
  assertThrows(() => expectedSweeps("1" as unknown as number, 10), TypeError, 'the exponent must be a number, got "1"');
  assertThrows(() => expectedSweeps(0, -1), RangeError, "time must be a whole number of at least 0");
});

/** tanh networks of random weights by their gain, driven by noise. */
function network(gain: number, hidden: number, time: number): [Step, Problem] {
  const random = createRandom(7 + hidden);
  const normal = (length: number, scale: number): Float64Array =>
    Float64Array.from({ length }, () => scale * random.normal());
  const params = {
    weight_hh: host(normal(hidden * hidden, gain / Math.sqrt(hidden)), [hidden, hidden]),
    weight_ih: host(normal(hidden, 0.1), [hidden, 1]),
    bias: host(normal(hidden, 0), [hidden]),
  };
  return [elman({ input: 1, hidden }), { params, xs: host(normal(time, 1), [time, 1]) }];
}

const henon = defineStep({
  name: "Hénon",
  state: 2,
  input: 0,
  params: {},
  step: ({ h }) => {
    const [x, y] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
    return ops.concat(ops.add(ops.sub(1, ops.mul(1.4, ops.mul(x, x))), y), ops.mul(0.3, x));
  },
});

/** Expected sweeps over those that Newton's method took. */
async function ratio(device: Device, step: Step, problem: Problem, time: number): Promise<number> {
  const { exponents } = await lyapunovExponent(step, problem, { device });
  using solution = await solve(step, problem, { device, method: "deer", maxSweeps: time });
  return expectedSweeps(exponents[0]!, time) / solution.stats.sweeps;
}

testOn(
  PRECISE,
  "expectedSweeps: within a factor of 2 where a step forgets, and where it is chaotic",
  async (device) => {
    const cases: [name: string, step: Step, problem: Problem, time: number][] = [
      ...[0.5, 0.9, 1.2].map((gain) =>
        [`gain ${gain}`, ...network(gain, 32, 1000), 1000] as [string, Step, Problem, number]
      ),
      ["Hénon", henon, { params: {}, time: 1000, h0: host([0.1, 0.1], [2]) }, 1000],
      ["Lorenz 96", lorenz96, lorenzProblem(1, 1000), 1000],
    ];
    for (const [name, step, problem, time] of cases) {
      const found = await ratio(device, step, problem, time);
      assertLess(Math.abs(Math.log2(found)), 1, `${name}: ${found}`);
    }
  },
);
