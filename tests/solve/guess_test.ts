import { assert, assertEquals, assertRejects } from "@std/assert";
import { defineStep, type GuessChoice, type HostTensor, solve, tensor } from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, assertSame, host, numbers, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { assertSequential, MACHINES, testOn } from "./machines.ts";
import { CASES, LOOP_CASES, problemOf, type SolveCase } from "./problems.ts";

const METHODS = ["jacobi", "picard", "quasi-deer", "block-deer", "deer", "quasi-elk", "elk"] as const;

/** `f(h0, x[t])` for all t, by the plain rule. */
function firstEvaluation({ rule, h0, xs, time, step }: SolveCase): number[] {
  const [batch, state] = h0.shape as [number, number];
  return Array.from({ length: batch * time }, (_, row) => {
    const b = Math.floor(row / time);
    const x = Array.from(xs?.data.slice(row * step.input, (row + 1) * step.input) ?? []);
    return rule!(Array.from(h0.data.slice(b * state, (b + 1) * state)), x, row % time);
  }).flat();
}

testOn(MACHINES, "iterates: the guess first, the answer last, one after each sweep", async (device, { epsilon }) => {
  for (const given of LOOP_CASES) {
    const { name, step, time, h0 } = given;
    const [batch, state] = h0.shape as [number, number];
    const length = batch * time * state;
    const own = host(numbers(length, 1, 77), [batch, time, state]);
    const broadcast = Array.from({ length }, (_, i) => h0.data[Math.floor(i / (time * state)) * state + i % state]!);
    const guesses: readonly [GuessChoice, ArrayLike<number>][] = [
      ["f0", firstEvaluation(given)],
      ["h0", broadcast],
      ["zeros", new Array<number>(length).fill(0)],
      [own, own.data],
    ];
    for (const [guess, expected] of guesses) {
      for (const method of METHODS) {
        const options = { device, method, guess, keepIterates: true, maxSweeps: time } as const;
        using solution = await solve(step, problemOf(given), options);
        const { iterates, stats, ys } = solution;
        assertEquals(iterates!.shape, [stats.sweeps + 1, batch, time, state]);
        const all = await read(iterates!);
        // One evaluation: a few roundings; the phase 0.3 t of "network" reaches 24 and is rounded at that size.
        assertClose(all.slice(0, length), expected, 32 * epsilon, `${name} from ${String(guess)}`);
        assertSame(all.slice(-length), await read(ys), `${name} by ${method}`);
        // The residuals are those of the iterates.
        const [before, after] = [all.slice(-2 * length, -length), all.slice(-length)];
        const [atol, rtol] = device.dtype === "f64" ? [1e-12, 1e-10] : [1e-6, 1e-5];
        const last = after.reduce(
          (worst, value, i) => Math.max(worst, Math.abs(value - before[i]!) / (atol + rtol * Math.abs(value))),
          0,
        );
        const told = stats.residuals.at(-1)!;
        // Where updates are held back, it is by what is not that they are judged.
        const near = method.endsWith("elk") ? Math.max(last, told) <= 1 : Math.abs(last - told) <= 1e-6 * told + 1e-9;
        assert(near, `${name} by ${method}: ${told}, found ${last}`);
      }
    }
  }
});

testOn(MACHINES, "iterates of a single sequence have no axis of the batch", async (device) => {
  const given = LOOP_CASES[0]!;
  using solution = await solve(given.step, problemOf(given, 1), { device, method: "deer", keepIterates: true });
  assertEquals(solution.iterates!.shape, [solution.stats.sweeps + 1, given.time, given.step.state]);
});

testOn(MACHINES, "a guess equal to the answer takes one sweep", async (device, machine) => {
  for (const given of CASES) {
    using serial = await solve(given.step, problemOf(given), { device, method: "sequential" });
    for (const method of METHODS) {
      // Its products round in another order than the fold's; what that leaves, Picard's method makes larger, sweep by sweep.
      if (machine.rounding > 0 && method === "picard" && given.name === "turning (affine)") continue;
      using once = await solve(given.step, problemOf(given), { device, method, guess: serial.ys });
      using warm = await solve(given.step, problemOf(given), { device, method, guess: serial });
      for (const solution of [once, warm]) {
        assertEquals(solution.stats.sweeps, 1, `${given.name} by ${method}`);
        if (machine.rounding === 0) assertEquals(solution.stats.residuals, [0]);
        const what = `${given.name} by ${method}`;
        assertSequential(await read(solution.ys), await read(serial.ys), machine, given.time, what);
      }
    }
  }
});

testOn(
  MACHINES,
  "a warm start from a solution of the same method takes one sweep, from a near one fewer",
  async (device, machine) => {
    for (const given of LOOP_CASES) {
      using cold = await solve(given.step, problemOf(given), { device, method: "deer" });
      using again = await solve(given.step, problemOf(given), { device, method: "deer", guess: cold });
      // Where f itself is rounded, updates of this size go on until the exact prefix has passed.
      if (machine.rounding === 0) assertEquals(again.stats.sweeps, 1, given.name);
      else assert(again.stats.residuals[0]! <= 1, `${given.name}: ${again.stats.residuals}`);
      const near = (await read(cold.ys)).map((value, i) => value + 1e-4 * Math.sin(i));
      const guess = tensor(device, host(near, cold.ys.shape));
      using nearby = await solve(given.step, problemOf(given), { device, method: "deer", guess });
      const { stats } = cold;
      assert(nearby.stats.sweeps <= stats.sweeps, `${given.name}: ${nearby.stats.sweeps}, cold ${stats.sweeps}`);
      guess.dispose();
    }
  },
);

testOn(MACHINES, "whatever the guess holds, the answer is the same", async (device, { dtype, epsilon }) => {
  const poisons = [NaN, Infinity, -Infinity, 1e30, -1e9, 1e7];
  for (const given of LOOP_CASES) {
    const { name, step, time, expected } = given;
    const wild = numbers(expected.data.length, 3, 5).map((v, i) => i % 5 === 0 ? poisons[i % poisons.length]! : v);
    for (const method of METHODS) {
      const options = { device, method, guess: host(wild, expected.shape), maxSweeps: time };
      using solution = await solve(step, problemOf(given), options);
      assertEquals(solution.result, "successful", `${name} by ${method}`);
      const tolerance = dtype === "f64" ? 1e-9 : epsilon * time;
      assertClose(await read(solution.ys), expected.data, tolerance, `${name} by ${method}`);
    }
  }
});

testOn(
  MACHINES,
  "entries beyond 1e8 times the guess, and non-finite ones, are replaced by the guess before anything is measured",
  async (device) => {
    const step = defineStep({ name: "square", state: 1, input: 0, params: {}, step: ({ h }) => ops.mul(h, h) });
    // f of the guess before: 0.25, 1, 4e18 (too large beside a guess that counts up to 1e8), Infinity, 0.25, 1.
    const values = [-1, 2e9, 1e200, 0.5, -1, 3];
    const guess = host(device.dtype === "f64" ? values : values.map((v) => Math.min(v, 1e30)), [6, 1]);
    const problem = { params: {}, time: 6, h0: host([0.5], [1]) };
    const options = { device, method: "jacobi", guess, maxSweeps: 1, keepIterates: true, onFailure: "return" } as const;
    using solution = await solve(step, problem, options);
    const [before, after] = [guess.data, (await read(solution.iterates!)).slice(6)];
    const expected = [0.25, 1, before[2]!, before[3]!, 0.25, 1];
    assertSame(after, expected.map(device.dtype === "f64" ? Number : Math.fround), "the iterate after one sweep");
    assertEquals(solution.result, "max-sweeps-reached");
  },
);

testOn(MACHINES, "what is not finite in a guess counts as 0", async (device) => {
  const given = LOOP_CASES.find(({ name }) => name === "leaky (diagonal)")!;
  const values = numbers(given.expected.data.length, 1, 6).map((v, i) => [NaN, Infinity, -Infinity, v, v][i % 5]!);
  const options = { device, method: "deer", keepIterates: true, guess: host(values, given.expected.shape) } as const;
  using solution = await solve(given.step, problemOf(given), options);
  const first = (await read(solution.iterates!)).slice(0, values.length);
  assertSame(first, values.map((value) => Number.isFinite(value) ? value : 0), "the guess");
});

testOn(MACHINES, "each window judges anew", async (device) => {
  // An answer that is off by a twentieth of the tolerance: Newton's second update is tiny beside its first, and settles
  // every window. Beside the last update of the window before, the first would be a huge one.
  for (const given of LOOP_CASES) {
    using serial = await solve(given.step, problemOf(given), { device, method: "sequential" });
    const near = (await read(serial.ys)).map((value, t) => value + (t % 2 === 0 ? 5e-5 : -4e-5));
    const most: number[] = [];
    using solution = await solve(given.step, problemOf(given), {
      device,
      method: "deer",
      atol: 1e-3,
      rtol: 0,
      window: 10,
      guess: host(near, serial.ys.shape),
      onProgress: ({ window, sweep }) => most[window] = sweep,
    });
    assertEquals(most.length, Math.ceil(given.time / 10), given.name);
    // WebGPU records, and tells, more sweeps than run.
    if (device.backend === "cpu") assert(most.every((sweeps) => sweeps <= 2), `${given.name}: ${most}`);
    const { sweeps } = solution.stats;
    assert(sweeps <= 2 * most.length, `${given.name}: ${sweeps} sweeps`);
  }
});

testOn(
  MACHINES,
  "an affine step takes Newton one sweep and is right, however far off the guess",
  async (device, machine) => {
    const step = defineStep({
      name: "affine",
      state: 2,
      input: 2,
      params: { weight: [2, 2] },
      step: ({ h, x, p }) => ops.add(ops.matvec(p.weight, h), x),
    });
    const weight = host([0.5, -0.25, 0.25, 0.625], [2, 2]);
    const xs = host(numbers(400, 1, 9), [1, 200, 2]);
    const [w00, w01, w10, w11] = weight.data as unknown as [number, number, number, number];
    const expected = (h0: number[]): ArrayLike<number> =>
      runLoop(([a, b], [u, v]) => [w00 * a! + w01 * b! + u!, w10 * a! + w11 * b! + v!], host(h0, [1, 2]), xs, 200).data;
    for (const size of [0, 1, 1e3, 1e7]) {
      const h0 = [size, -size];
      for (const guess of ["f0", "h0", "zeros"] as const) {
        const problem = { params: { weight }, xs, h0: host(h0, [2]) };
        using solution = await solve(step, problem, { device, method: "deer", guess });
        const { sweeps } = solution.stats;
        // Far off, the linear part cancels a large guess: what that loses must be made good.
        if (size <= 1) assertEquals(sweeps, 1, `h0 ${size}, guess ${guess}`);
        assert(sweeps <= 3, `h0 ${size}, guess ${guess}: ${sweeps} sweeps`);
        const [atol, rtol] = device.dtype === "f64" ? [1e-12, 1e-10] : [1e-6, 1e-5];
        const ys = await read(solution.ys);
        const wanted = expected(h0);
        for (const [i, value] of ys.entries()) {
          // Where products are rounded too, they are so at the size of the row: of a spiral one element may pass through 0.
          const row = [wanted[i]!, ...(machine.rounding === 0 ? [] : [wanted[i ^ 1]!])].map(Math.abs);
          const error = Math.abs(value - wanted[i]!) / (atol + rtol * Math.max(...row));
          assert(
            error <= 1,
            `h0 ${size}, guess ${guess}, ${sweeps} sweeps: element ${i} is off by ${error} tolerances`,
          );
        }
      }
    }
  },
);

testOn(MACHINES, "a list of guesses: each sequence starts from its own, or from f0", async (device, machine) => {
  for (const given of LOOP_CASES.filter(({ h0 }) => h0.shape[0]! > 1)) {
    const { name, step, time, h0: { shape: [batch = 0, state = 0] } } = given;
    const length = time * state;
    for (const window of [time, Math.max(1, Math.ceil(time / 3))]) {
      const keepIterates = window === time;
      const options = { device, method: "deer", window, keepIterates } as const;
      const guess = Array.from(
        { length: batch },
        (_, b) => b % 2 === 1 ? undefined : host(numbers(length, 1, b + 20), [time, state]),
      );
      using solution = await solve(step, problemOf(given), { ...options, guess });
      using cold = await solve(step, problemOf(given), options);
      // Convergence is to the tolerance, whatever the guess.
      const tolerance = device.dtype === "f64" ? 1e-9 : 2 ** -23 * time;
      assertClose(await read(solution.ys), await read(cold.ys), tolerance, name);
      const ys = await read(solution.ys);
      const answers = guess.map((_, b) => tensor(device, host(ys.slice(b * length, (b + 1) * length), [time, state])));
      using again = await solve(step, problemOf(given), { ...options, guess: answers });
      // Where f itself is rounded, updates of this size go on until the exact prefix has passed.
      if (machine.rounding === 0) assertEquals(again.stats.sweeps, Math.ceil(time / window), name);
      assert(Math.max(...again.stats.residuals) <= Math.max(1, machine.rounding), `${name}: ${again.stats.residuals}`);
      if (!keepIterates) continue;
      const [first, f0] = [await read(solution.iterates!), await read(cold.iterates!)];
      for (const [b, own] of guess.entries()) {
        const rows = [b * length, (b + 1) * length] as const;
        assertSame(first.slice(...rows), own === undefined ? f0.slice(...rows) : await wrap(own), `${name}, ${b}`);
      }
    }
  }

  /** Values as the device stores them. */
  async function wrap(value: HostTensor): Promise<ArrayLike<number>> {
    using copy = tensor(device, value);
    return await read(copy);
  }
});

testOn(MACHINES, "a list of guesses that does not fit", async (device) => {
  const given = LOOP_CASES.find(({ h0 }) => h0.shape[0]! > 1)!;
  const { step, time, h0: { shape: [batch = 0, state = 0] } } = given;
  const own = host(numbers(time * state, 1, 3), [time, state]);
  const cases: [unknown[], string][] = [
    [[own], `guess must be one trajectory for each of ${batch} sequences, got a list of 1`],
    [Array(batch).fill("f0"), 'guess[0] must be a tensor, { data, shape } or undefined, got "f0"'],
    [Array(batch).fill(host([1], [1, 1])), `guess[0] must have shape (${time}, ${state}), got (1, 1)`],
  ];
  for (const [guess, message] of cases) {
    const options = { device, method: "deer", guess: guess as GuessChoice } as const;
    await assertRejects(() => solve(step, problemOf(given), options), TypeError, message);
  }
});
