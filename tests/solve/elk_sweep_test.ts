import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  deer,
  defineStep,
  type Device,
  elk,
  type HostTensor,
  type Method,
  quasiDeer,
  quasiElk,
  solve,
} from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, assertSame, goldenTensors, host, numbers, read } from "./arrays.ts";
import { filterUpdates, leastSquares, type Linearised, type Matrix, sweepOnce } from "./elk_reference.ts";
import { MACHINES, PRECISE, someOf, testOn } from "./machines.ts";
import { LOOP_CASES, problemOf, type SolveCase } from "./problems.ts";

/** Tolerances that no update satisfies. */
const NEVER = { atol: 0, rtol: 1e-300 } as const;
const ON_CPU = MACHINES.filter(({ rounding }) => rounding === 0);

const whole = (jacobian: Matrix): Matrix => jacobian;
const diagonal = (jacobian: Matrix): Matrix => jacobian.map((row, i) => row.map((value, j) => (i === j ? value : 0)));

function cut(given: SolveCase, time: number): SolveCase {
  if (given.xs === undefined) return { ...given, time };
  const [batch, length, input] = given.xs.shape as [number, number, number];
  const data = Float64Array.from(
    { length: batch * time * input },
    (_, i) => given.xs!.data[Math.floor(i / (time * input)) * length * input + i % (time * input)]!,
  );
  return { ...given, time, xs: { data, shape: [batch, time, input] } };
}

async function oneSweep(device: Device, given: SolveCase, method: Method, guess: HostTensor): Promise<Float64Array> {
  const options = { device, method, guess, maxSweeps: 1, onFailure: "return", ...NEVER } as const;
  using solution = await solve(given.step, problemOf(given), options);
  return await read(solution.ys);
}

for (const [i, given] of LOOP_CASES.entries()) {
  testOn(MACHINES, `${given.name}: a sweep of ELK is a Kalman filter's`, async (device, machine) => {
    const short = cut(given, 12);
    const guess = host(numbers(short.h0.shape[0]! * 12 * given.step.state, 0.7, 5), [
      short.h0.shape[0]!,
      12,
      given.step.state,
    ]);
    for (const damping of someOf(machine, [1e-3, 0.3, 20], 3, i)) {
      for (const [method, mask] of [[elk({ damping }), whole], [quasiElk({ damping }), diagonal]] as const) {
        const expected = sweepOnce(short, guess.data, mask, (rows) => filterUpdates(rows, damping));
        const actual = await oneSweep(device, short, method, guess);
        // f64: the error of central differences, about 1e-10 a step. f32: a rounding a step.
        assertClose(actual, expected, machine.dtype === "f64" ? 1e-8 : 2e-5, `${method.name}, λ = ${damping}`);
      }
    }
  });

  testOn(ON_CPU, `${given.name}: the smoother solves the normal equations`, async (device, { dtype }) => {
    const short = cut(given, 9);
    const guess = host(numbers(short.h0.shape[0]! * 9 * given.step.state, 0.7, 6), [
      short.h0.shape[0]!,
      9,
      given.step.state,
    ]);
    for (const damping of [1e-3, 0.3, 20]) {
      const options = { damping, estimate: "smoother" } as const;
      for (const [method, mask] of [[elk(options), whole], [quasiElk(options), diagonal]] as const) {
        const expected = sweepOnce(short, guess.data, mask, (rows) => leastSquares(rows, damping));
        const actual = await oneSweep(device, short, method, guess);
        assertClose(actual, expected, dtype === "f64" ? 1e-8 : 2e-5, `${method.name}, λ = ${damping}`);
      }
    }
  });
}

/** h' = A h + b, both of them inputs: a linear model of dimension n, whose Jacobian is dense. */
const model = (n: number, make = (a: ReturnType<typeof ops.reshape>): ReturnType<typeof ops.reshape> => a) =>
  defineStep({
    name: `model ${n}`,
    state: n,
    input: n * n + n,
    params: {},
    step: ({ h, x }) =>
      ops.add(ops.matvec(make(ops.reshape(ops.slice(x, 0, n * n), [n, n])), h), ops.slice(x, n * n, n * n + n)),
  });

/**
 * The recurrence whose only sweep is the filter of dynamics F, b, start N(m0, I) and observations y. Its row 0 is a row that
 * the solver makes exact, its row 1 forgets it: mean m0, variance 1.
 */
function filterProblem(F: ArrayLike<number>, b: ArrayLike<number>, m0: readonly number[], y: ArrayLike<number>): {
  xs: HostTensor;
  guess: HostTensor;
  h0: HostTensor;
} {
  const n = m0.length;
  const time = y.length / n;
  const xs = new Float64Array((time + 1) * (n * n + n));
  xs.set(m0, n * n + n + n * n);
  for (let t = 1; t < time; t++) {
    const row = (t + 1) * (n * n + n);
    for (let e = 0; e < n * n; e++) xs[row + e] = F[(t - 1) * n * n + e]!;
    for (let e = 0; e < n; e++) xs[row + n * n + e] = b[(t - 1) * n + e]!;
  }
  const guess = host([...m0.map(() => 1), ...Array.from(y)], [time + 1, n]);
  return { xs: host(xs, [time + 1, n * n + n]), guess, h0: host(m0.map(() => 0), [n]) };
}

testOn(PRECISE, "one sweep is the filter, and the smoother, that dynamax ran", async (device) => {
  const { F, b, y, m0, sigmasq, filt_mean, smooth_mean, lm_solution, scalar_F, scalar_mean } = goldenTensors(
    "elk/kalman",
  ) as Record<string, HostTensor>;
  const damping = 1 / sigmasq!.data[0]!;
  const run = async (
    n: number,
    problem: ReturnType<typeof filterProblem>,
    method: Method,
  ): Promise<Float64Array> => {
    const { guess, ...posed } = problem;
    const options = { device, method, guess, maxSweeps: 1, onFailure: "return", ...NEVER } as const;
    using solution = await solve(model(n), { params: {}, ...posed }, options);
    return (await read(solution.ys)).slice(n);
  };
  const dense = filterProblem(F!.data, b!.data, Array.from(m0!.data), y!.data);
  assertClose(await run(3, dense, elk({ damping })), filt_mean!.data, 1e-12, "filter");
  const smoothed = await run(3, dense, elk({ damping, estimate: "smoother" }));
  assertClose(smoothed, smooth_mean!.data, 1e-12, "smoother");
  assertClose(smoothed, lm_solution!.data, 1e-12, "normal equations");
  const first = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).filter((_, i) => i % 3 === 0);
  const scalar = filterProblem(scalar_F!.data, first(b!.data), [m0!.data[0]!], first(y!.data));
  for (const method of [elk({ damping }), quasiElk({ damping })]) {
    assertClose(await run(1, scalar, method), scalar_mean!.data, 1e-12, `scalar, ${method.name}`);
  }
});

testOn(
  PRECISE,
  "dense, in blocks and diagonal agree to rounding where all of them hold the Jacobian",
  async (device) => {
    // Rotors have blocks of two, which elk finds; as one block of all they are a dense step of the same sizes.
    for (const name of ["rotors (blocks)", "nine units (diagonal)"]) {
      const given = cut(LOOP_CASES.find((other) => other.name === name)!, 20);
      const { state } = given.step;
      const guess = host(numbers(given.h0.shape[0]! * 20 * state, 0.7, 9), [given.h0.shape[0]!, 20, state]);
      const reference = (rows: readonly Linearised[]): number[][] => filterUpdates(rows, 0.05);
      const expected = sweepOnce(given, guess.data, whole, reference);
      assertClose(await oneSweep(device, given, elk({ damping: 0.05 }), guess), expected, 1e-8, name);
    }
  },
);

testOn(MACHINES, "without damping it is deer, and quasi-deer, bit for bit", async (device) => {
  for (const given of LOOP_CASES) {
    for (const [damped, plain] of [[elk({ damping: 0 }), deer()], [quasiElk({ damping: 0 }), quasiDeer()]] as const) {
      using a = await solve(given.step, problemOf(given), { device, method: damped });
      using b = await solve(given.step, problemOf(given), { device, method: plain });
      assertSame(await read(a.ys), await read(b.ys), given.name);
      assertEquals(a.stats.residuals, b.stats.residuals);
      assertEquals([a.stats.method, b.stats.method], [damped.name, plain.name]);
    }
  }
});

testOn(MACHINES, "a tiny damping is none, to rounding", async (device, machine) => {
  for (const given of someOf(machine, LOOP_CASES, 3, 0)) {
    const short = cut(given, 10);
    const guess = host(numbers(short.h0.shape[0]! * 10 * given.step.state, 0.7, 5), [
      short.h0.shape[0]!,
      10,
      given.step.state,
    ]);
    for (
      const [damped, plain] of [[elk({ damping: 1e-18 }), deer()], [quasiElk({ damping: 1e-18 }), quasiDeer()]] as const
    ) {
      const [a, b] = [await oneSweep(device, short, damped, guess), await oneSweep(device, short, plain, guess)];
      // A few roundings a row of numbers below 100.
      assertClose(a, b, 10 * 100 * 16 * machine.epsilon, `${given.name} by ${damped.name}`);
    }
  }
});

testOn(MACHINES, "a large damping keeps the iterate, and is not taken for convergence", async (device, machine) => {
  for (const given of someOf(machine, LOOP_CASES, 3, 1)) {
    const { state } = given.step;
    const batch = given.h0.shape[0]!;
    for (const method of [elk({ damping: 1e30 }), quasiElk({ damping: 1e30 })]) {
      const options = { device, method, maxSweeps: 3, keepIterates: true, onFailure: "return" } as const;
      using solution = await solve(given.step, problemOf(given), options);
      assertEquals(solution.result, "max-sweeps-reached");
      const iterates = await read(solution.iterates!);
      const size = batch * given.time * state;
      for (let k = 1; k <= 3; k++) {
        for (let b = 0; b < batch; b++) {
          // Rows that follow an exact one are f itself: one more in every sweep, and row 0 is in the guess f0.
          const [from, to] = [(b * given.time + k + 1) * state, (b + 1) * given.time * state];
          assertSame(
            iterates.slice(k * size + from, k * size + to),
            iterates.slice(from, to),
            `${given.name}, sweep ${k}`,
          );
        }
      }
      assert(solution.stats.residuals.every((e) => e > 1), `${solution.stats.residuals}`);
      const message = `by ${method.name}`;
      await assertRejects(() => solve(given.step, problemOf(given), { device, method, maxSweeps: 3 }), Error, message);
    }
  }
});

testOn(ON_CPU, "the smoother's first solve of a step may have one row", async (device, { epsilon }) => {
  for (const window of [undefined, 1]) {
    const time = window === undefined ? 1 : 6;
    const henon = defineStep({
      name: "henon",
      state: 2,
      input: 0,
      params: {},
      step: ({ h }) => {
        const [x, y] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
        return ops.concat(ops.add(ops.sub(1, ops.mul(1.4, ops.mul(x, x))), y), ops.mul(0.3, x));
      },
    });
    const options = { device, method: elk({ damping: 0.1, estimate: "smoother" }), ...(window && { window }) } as const;
    using solution = await solve(henon, { params: {}, time, h0: host([0.1, 0.1], [2]) }, options);
    let [x, y] = [0.1, 0.1];
    const expected: number[] = [];
    for (let t = 0; t < time; t++) expected.push(...[x, y] = [1 - 1.4 * x * x + y, 0.3 * x]);
    assertClose(await read(solution.ys), expected, 64 * epsilon, "ys");
  }
});
