import { assert, assertEquals, assertRejects } from "@std/assert";
import { defineStep, lyapunovExponent, ops, solve, tensor } from "../../mod.ts";
import { assertClose, host, numbers, read } from "./arrays.ts";
import { MACHINES, PRECISE, testOn } from "./machines.ts";
import { LOOP_CASES, problemOf } from "./problems.ts";

const logistic = defineStep({
  name: "logistic",
  state: 1,
  input: 0,
  params: {},
  step: ({ h }) => ops.mul(4, ops.mul(h, ops.sub(1, h))),
});

const henon = defineStep({
  name: "Hénon",
  state: 2,
  input: 0,
  params: { a: [], b: [] },
  step: ({ h, p }) => {
    const [x, y] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
    return ops.concat(ops.add(ops.sub(1, ops.mul(p.a, ops.mul(x, x))), y), ops.mul(p.b, x));
  },
});

testOn(MACHINES, "lyapunovExponent: chaotic maps have the exponents of the literature", async (device, { dtype }) => {
  // Up to statistics of 1/√T, and the vectors' turning. In f32 every orbit of the logistic map ends in 0.
  if (dtype === "f64") {
    const problem = { params: {}, time: 20_000, h0: host([0.3], [1]) };
    const { exponents } = await lyapunovExponent(logistic, problem, { device });
    assertClose(exponents, [Math.log(2)], 0.02, "logistic map at r = 4");
  }
  const params = { a: host([1.4], []), b: host([0.3], []) };
  const h0 = host([0.1, 0.1, -0.2, 0.15], [2, 2]);
  const both = await lyapunovExponent(henon, { params, time: 20_000, h0 }, { device });
  assertClose(both.exponents, [0.419, 0.419], 0.02, "Hénon map");
});

testOn(
  MACHINES,
  "lyapunovExponent: of a linear step the logarithm of the spectral radius",
  async (device, { epsilon }) => {
    const turn = defineStep({
      name: "turn",
      state: 3,
      input: 1,
      params: { r: [] },
      step: ({ h, x, p }) => {
        const [a, b, c] = [0, 1, 2].map((i) => ops.slice(h, i, i + 1)) as [ops.Operand, ops.Operand, ops.Operand];
        const mixed = ops.concat(ops.mul(0.6, ops.sub(a, b)), ops.mul(0.6, ops.add(a, b)), ops.mul(0.1, c));
        return ops.add(ops.mul(p.r, mixed), ops.mul(x, 0.01));
      },
    });
    // A rotation by 45° times 0.6 √2 r, and a channel that dies out.
    const problem = { params: { r: host([0.9], []) }, xs: host(numbers(4000), [2, 2000, 1]) };
    const { exponents, spread } = await lyapunovExponent(turn, problem, { device });
    const wanted = Math.log(0.6 * Math.SQRT2 * 0.9);
    assertClose(exponents, [wanted, wanted], 200 * epsilon, "exponents");
    assertClose(spread, [0, 0], 400 * epsilon, "spread");
    const still = defineStep({ name: "still", state: 2, input: 1, params: {}, step: ({ x }) => ops.concat(x, x) });
    const none = await lyapunovExponent(still, { params: {}, xs: problem.xs }, { device });
    assertEquals(none, { exponents: [-Infinity, -Infinity], spread: [0, 0] });
  },
);

testOn(
  MACHINES,
  "lyapunovExponent: vectors that are lost, tiny and huge factors",
  async (device, { dtype, epsilon }) => {
    const scaled = defineStep({
      name: "scaled",
      state: 2,
      input: 0,
      params: { factor: [] },
      step: ({ h, p }) => ops.mul(p.factor, h),
    });
    const nilpotent = defineStep({
      name: "nilpotent",
      state: 2,
      input: 0,
      params: {},
      step: ({ h }) => ops.concat(ops.slice(h, 1, 2), ops.mul(0, ops.slice(h, 0, 1))),
    });
    const rest = { time: 40, h0: host([0, 0], [2]) };
    const exponentOf = async (factor: number): Promise<number> => {
      const problem = { params: { factor: host([factor], []) }, ...rest };
      return (await lyapunovExponent(scaled, problem, { device })).exponents[0]!;
    };
    assertEquals(await exponentOf(0), -Infinity);
    // Squares of these are 0 or infinite.
    const [tiny, huge] = dtype === "f64" ? [1e-200, 1e200] : [1e-25, 1e25];
    for (const factor of [tiny, huge]) {
      const wanted = Math.log(dtype === "f64" ? factor : Math.fround(factor));
      assertClose([await exponentOf(factor)], [wanted], 100 * epsilon * Math.abs(wanted), `factor ${factor}`);
    }
    const { exponents, spread } = await lyapunovExponent(nilpotent, { params: {}, ...rest }, { device });
    assertEquals([exponents, spread], [[-Infinity], [0]]);
    const halved = { params: { factor: host([0.5], []) }, ys: host(new Array(80).fill(0), [40, 2]) };
    const known = await lyapunovExponent(scaled, halved, { device });
    assertClose(known.exponents, [-Math.LN2], 100 * epsilon, "a trajectory that says how long it is");
  },
);

for (const given of LOOP_CASES.filter(({ rule }) => rule !== undefined)) {
  testOn(MACHINES, `lyapunovExponent: ${given.name}, against numeric Jacobians`, async (device, machine) => {
    const { rule, h0, xs, time, expected, step: { state, input } } = given;
    const [start, inputs] = [Array.from(h0.data.slice(0, state)), xs?.data ?? []];
    const row = (t: number): number[] => Array.from(expected.data.slice(t * state, (t + 1) * state));
    let [v, sum] = [new Array<number>(state).fill(0).map((_, i) => 1 / (i + 1)), 0];
    const skip = Math.min(64, Math.floor(time / 8));
    for (let t = 0; t < time; t++) {
      const h = t === 0 ? start : row(t - 1);
      const x = Array.from(inputs.slice(t * input, (t + 1) * input));
      const at = (s: number): number[] => rule!(h.map((value, i) => value + s * 1e-6 * v[i]!), x, t);
      const [up, down] = [at(1), at(-1)];
      const moved = up.map((value, i) => (value - down[i]!) / 2e-6);
      const norm = Math.hypot(...moved);
      if (t >= skip) sum += Math.log(norm);
      v = moved.map((value) => value / norm);
    }
    using solution = await solve(given.step, problemOf(given), { device });
    const problem = { ...problemOf(given), ys: solution.ys };
    const { exponents, spread } = await lyapunovExponent(given.step, problem, { device });
    assertEquals([exponents.length, spread.length], [h0.shape[0], h0.shape[0]]);
    // The plain vector starts elsewhere: as far apart as those that are carried along are.
    const tolerance = 3 * spread[0]! + 0.02;
    assertClose([exponents[0]!], [sum / (time - skip)], tolerance, "the exponent");
    if (machine.dtype === "f64") {
      const again = await lyapunovExponent(given.step, problemOf(given), { device });
      assertClose(again.exponents, exponents, 1e-9, "solved on the way");
    }
  });
}

testOn(PRECISE, "lyapunovExponent: wrong calls are refused", async (device) => {
  const h0 = host([0.3], [1]);
  const ys = tensor(device, host([1, 2, 3], [3, 1]));
  await assertRejects(
    () => lyapunovExponent(logistic, { params: {}, time: 4, h0, ys }, { device }),
    TypeError,
    "ys must have shape (4, 1), got (3, 1)",
  );
  await assertRejects(
    () => lyapunovExponent(logistic, { params: {}, time: 0, h0 }, { device }),
    RangeError,
    "got T = 0",
  );
  await assertRejects(
    () => lyapunovExponent(logistic, { params: {}, time: 4, h0 }, { device, vectors: 0 }),
    RangeError,
    "vectors must be a whole number of at least 1",
  );
  const one = await lyapunovExponent(logistic, { params: {}, time: 1, h0 }, { device });
  assertClose(one.exponents, [Math.log(4 * 0.4)], 1e-12, "one step");
  assert((await read(ys)).length === 3);
});
