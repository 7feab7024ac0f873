import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Device,
  elk,
  enqueueSolve,
  gru,
  type Method,
  openDevice,
  type Problem,
  quasiElk,
  solve,
  type SolveOptions,
  type Step,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { SweepJob } from "../../src/engine/engine.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { transitionOf } from "../../src/solve/methods.ts";
import { programOf } from "../../src/step.ts";
import { assertClose, assertSame, host, numbers, read } from "./arrays.ts";
import { argru, argruProblem, lorenz96Euler, lorenzProblem } from "./elk_cases.ts";
import { mixer, pairs, posed, rooted, runaway } from "./elk_steps.ts";
import { MACHINES, testOn } from "./machines.ts";
import { LOOP_CASES, problemOf } from "./problems.ts";

// What WebGPU does by chunks, in f32, with a rule on the device, beside the CPU engine's fold of the same sweep.

const GPU = MACHINES.filter(({ rounding }) => rounding > 0);

/** Roundings of f32 grow a hundredfold along an unstable recurrence: below that, updates are noise on any machine. */
const LOOSE = { rtol: 1e-3, atol: 1e-3 } as const;

/** The sweeps of a solve: what each of them measured, and what it left. */
async function follow(
  device: Device,
  step: Step,
  problem: Problem,
  method: Method,
  maxSweeps: number,
): Promise<{ residuals: readonly number[]; iterates: Float64Array }> {
  // Of zeros no row is exact by chance: the CPU goes on with f itself behind one that is.
  const options = { device, method, maxSweeps, guess: "zeros", keepIterates: true, onFailure: "return" } as const;
  using solution = await solve(step, problem, { ...options, ...LOOSE });
  return { residuals: solution.stats.residuals, iterates: await read(solution.iterates!) };
}

const FOLLOWED: readonly (readonly [step: Step, problem: Problem, method: Method, sweeps: number])[] = [
  [argru, argruProblem(0, 700), elk(), 7],
  [argru, argruProblem(0, 1501), quasiElk(), 9],
  [argru, argruProblem(0, 300), elk({ damping: 1 / 300 }), 6],
  [lorenz96Euler, lorenzProblem(1, 300), elk(), 6],
  // It refuses its eighth sweep.
  [lorenz96Euler, lorenzProblem(1, 300), quasiElk(), 11],
  [lorenz96Euler, lorenzProblem(1, 60), elk({ damping: 0.1 }), 6],
  ...[3, 8, 16].map((n) => [mixer(n), posed(mixer(n), 150), elk({ damping: 0.03 }), 3] as const),
  [mixer(6), posed(mixer(6), 70), elk(), 5],
  // Entries that the guess takes the place of say nothing about the damping.
  ...[3, 6].map((n) => [mixer(n), posed(mixer(n), 50, 30), elk(), 5] as const),
  [mixer(3), posed(mixer(3), 50, 30), quasiElk(), 5],
  ...[2, 5].map((n) => [rooted(n), posed(rooted(n), 50, 30, 1e9), elk(), 5] as const),
  // Of one chunk: the maps of chunks know nothing of entries that are replaced.
  ...[[3, 21], [5, 21]].map(([n, time]) =>
    [runaway(n!), posed(runaway(n!), time!), elk({ damping: 1e-20 }), 1] as const
  ),
  ...[1, 2, 5].map((n) => [rooted(n), posed(rooted(n), 90), elk({ damping: 1e-3 }), 2] as const),
  [pairs, posed(pairs, 100), elk({ damping: 0.1 }), 3],
];

testOn(GPU, "sweep by sweep it does what the CPU engine does", async (device) => {
  await using cpu = await openDevice({ backend: "cpu" });
  for (const [step, problem, method, sweeps] of FOLLOWED) {
    const what = `${step.name} by ${JSON.stringify(method)}`;
    const expected = await follow(cpu, step, problem, method, sweeps);
    const actual = await follow(device, step, problem, method, sweeps);
    assertEquals(actual.residuals.length, sweeps, what);
    assert(!step.name.startsWith("runaway") || expected.iterates.some((v) => Math.abs(v) > 1e6), what);
    // Roundings of 1e-7 that these recurrences amplify at most a thousandfold in so few sweeps.
    for (const [k, e] of expected.residuals.entries()) {
      const found = actual.residuals[k]!;
      assert(found === e || Math.abs(found - e) <= 1e-3 * e, `${what}, sweep ${k}: ${found}, on the CPU ${e}`);
    }
    const size = expected.iterates.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    assertClose(actual.iterates, expected.iterates, 1e-4 * size, what);
  }
});

testOn(GPU, "unstable recurrences: the sequential answer, in as many sweeps as the CPU takes", async (device) => {
  await using cpu = await openDevice({ backend: "cpu" });
  const cases = [
    [argru, argruProblem(0, 1000), elk()],
    [argru, argruProblem(1, 1000), elk({ damping: 1e-7 })],
    [lorenz96Euler, lorenzProblem(1, 300), elk()],
    [lorenz96Euler, lorenzProblem(2, 300), elk({ damping: 1 / 300 })],
    [lorenz96Euler, lorenzProblem(1, 300), quasiElk({ damping: 0.1 })],
  ] as const;
  for (const [step, problem, method] of cases) {
    const what = `${step.name} by ${JSON.stringify(method)}`;
    using exact = await solve(step, problem, { device, method: "sequential" });
    using found = await solve(step, problem, { device, method, maxSweeps: 200, ...LOOSE });
    using beside = await solve(step, problem, { device: cpu, method, maxSweeps: 200, ...LOOSE });
    // What a tolerance of 1e-3 leaves of states of size 10.
    assertClose(await read(found.ys), await read(exact.ys), 2e-2, what);
    const [sweeps, most] = [found.stats.sweeps, 1.25 * beside.stats.sweeps + 2];
    assert(sweeps <= most, `${what}: ${sweeps} sweeps, ${beside.stats.sweeps} on the CPU`);
  }
});

testOn(GPU, "a batch is as good as its sequences, though they end at different sweeps", async (device) => {
  const seeds = [1, 2, 5];
  const starts = seeds.flatMap((seed) => Array.from((lorenzProblem(seed).h0 as { data: Float64Array }).data));
  const batch = { params: {}, time: 150, h0: host(starts, [3, 5]) };
  for (const method of [elk(), quasiElk()]) {
    using together = await solve(lorenz96Euler, batch, { device, method, ...LOOSE });
    const ys = await read(together.ys);
    for (const [b, seed] of seeds.entries()) {
      using alone = await solve(lorenz96Euler, lorenzProblem(seed, 150), { device, method, ...LOOSE });
      assertSame(ys.slice(b * 750, (b + 1) * 750), await read(alone.ys), `${method.name}, sequence ${b}`);
      assertEquals(together.stats.sequenceSweeps[b], alone.stats.sweeps);
    }
    assert(new Set(together.stats.sequenceSweeps).size > 1, `${together.stats.sequenceSweeps}`);
  }
});

testOn(GPU, "windows are sweeps of their own", async (device) => {
  const problem = lorenzProblem(1, 150);
  using exact = await solve(lorenz96Euler, problem, { device, method: "sequential" });
  for (const method of [elk(), quasiElk(), elk({ damping: 0.01 })]) {
    for (const window of [100, 64, 7, 1]) {
      using solution = await solve(lorenz96Euler, problem, { device, method, window });
      // Roundings of 1e-6 grow thirtyfold in 150 steps.
      assertClose(await read(solution.ys), await read(exact.ys), 1e-4, `${method.name}, windows of ${window}`);
    }
    // The first window of a solve is a solve of it.
    using whole = await solve(lorenz96Euler, { ...problem, time: 64 }, { device, method });
    using first = await solve(lorenz96Euler, problem, { device, method, window: 64 });
    assertSame((await read(first.ys)).slice(0, 64 * 5), await read(whole.ys), method.name);
  }
});

testOn(GPU, "windows are as long as the memory for entries, predictions and iterates allows", (device) => {
  const engine = engineOf(device);
  assert(engine instanceof GpuEngine);
  const { bindingBytes } = engine.machine.limits;
  for (
    const [step, method, entries, kept] of [
      [mixer(3), elk(), 9, 9],
      [mixer(3), elk({ damping: 1 }), 9, 0],
      [mixer(3), quasiElk(), 3, 9],
      [mixer(16), elk(), 256, 48],
    ] as const
  ) {
    const program = programOf(step);
    const transition = transitionOf(program, { ...method, name: method.name as "elk" });
    const batch = 4096;
    const [time, state] = [10 ** 6, step.state];
    const rows = engine.affordableWindow({ program, transition, batch, time } as unknown as SweepJob);
    const held = rows * batch * 4 * (2 * state + 1 + state + entries + kept);
    assert(held <= 2 ** 30 && rows * batch * 4 * Math.max(state + entries, kept) <= bindingBytes, `${rows} rows`);
    // And not much shorter.
    const longer = (rows + 1) * batch * 4;
    const fits = longer * (2 * state + 1 + 2 * state + entries + kept) <= 2 ** 30;
    assert(!fits || longer * (state + entries + kept) > bindingBytes - 1024, `${rows} rows, ${rows + 1} would do`);
  }
  return Promise.resolve();
});

testOn(GPU, "nothing is waited for within a solve", async (device) => {
  const engine = engineOf(device);
  assert(engine instanceof GpuEngine);
  const { machine } = engine;
  for (const method of [elk(), quasiElk(), elk({ damping: 0.1 })]) {
    for (const extras of [{}, { window: 30 }, { errorBound: true, keepIterates: true }] as const) {
      const options: SolveOptions = { device, method, ...extras, maxSweeps: 32, onFailure: "return" };
      const before = machine.readBacks;
      (await solve(lorenz96Euler, lorenzProblem(1, 90), options)).dispose();
      assertEquals(machine.readBacks - before, 1);
      const { verdict } = enqueueSolve(lorenz96Euler, lorenzProblem(1, 90), options);
      assertEquals(machine.readBacks - before, 1);
      (await verdict()).dispose();
      assertEquals(machine.readBacks - before, 2);
    }
  }
});

testOn(MACHINES, "no steps, one step, and two", async (device, { rounding }) => {
  for (const given of LOOP_CASES.filter(({ name }) => ["lem", "leaky (diagonal)", "rotors (blocks)"].includes(name))) {
    for (const method of [elk(), quasiElk(), elk({ damping: 0.3 })]) {
      for (const time of [0, 1, 2]) {
        const { xs, ...rest } = problemOf(given);
        const cut = (data: Float64Array, [batch, length, width]: readonly number[]): Float64Array =>
          data.filter((_, i) => Math.floor(i / width!) % length! < time && i < batch! * length! * width!);
        const inputs = xs as { data: Float64Array; shape: readonly number[] } | undefined;
        const problem: Problem = inputs === undefined
          ? { ...rest, time }
          : { ...rest, xs: host(cut(inputs.data, inputs.shape), [inputs.shape[0]!, time, inputs.shape[2]!]) };
        using exact = await solve(given.step, problem, { device, method: "sequential" });
        using solution = await solve(given.step, problem, { device, method });
        const what = `${given.name} by ${method.name}, T = ${time}`;
        assertEquals([solution.result, solution.ys.shape], ["successful", exact.ys.shape], what);
        assertClose(await read(solution.ys), await read(exact.ys), rounding === 0 ? 0 : 1e-5, what);
        assert(solution.stats.sweeps <= time, what);
      }
    }
  }
});

testOn(GPU, "what no workgroup can hold is refused with the cure", async (device) => {
  const small = { state: 3, step: mixer(3) };
  await assertRejects(
    () => solve(small.step, posed(small.step, 5), { device, method: elk({ damping: 1, estimate: "smoother" }) }),
    RangeError,
    'Cannot solve "mixer 3" on WebGPU by ELK: estimate must be "filter", got "smoother"; use the filter, or a CPU device',
  );
  const large = gru({ input: 1, hidden: 17 });
  const params = large.init(device, { seed: 1 });
  const problem = { params, xs: host(numbers(20, 1, 2), [20, 1]) };
  await assertRejects(
    () => solve(large, problem, { device, method: elk() }),
    RangeError,
    'Cannot solve "gru" on WebGPU by ELK: blocks of at most 16 states are expected, got 17; use quasiElk()',
  );
  using solution = await solve(large, problem, { device, method: quasiElk() });
  using exact = await solve(large, problem, { device, method: "sequential" });
  assertClose(await read(solution.ys), await read(exact.ys), 1e-5, "quasi-elk of 17 states");
});
