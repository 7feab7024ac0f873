import { assert, assertEquals } from "@std/assert";
import { deer, type Device, elk, gru, type HostTensor, type Method, quasiElk, solve, type Step } from "../../mod.ts";
import type { Problem } from "../../mod.ts";
import { assertClose, assertSame, goldenTensors, largestError, read, rowOf } from "./arrays.ts";
import { argru, argruProblem, argruStates, lorenz96, lorenzLoop, lorenzProblem } from "./elk_cases.ts";
import { MACHINES, PRECISE, testOn } from "./machines.ts";

const ON_CPU = MACHINES.filter(({ rounding }) => rounding === 0);

/** Sweeps to the sequential answer, within 1e-9 (f64) or 1e-4 (f32) of states of size 10. */
async function sweepsTo(
  device: Device,
  step: Step,
  problem: Problem,
  method: Method,
  maxSweeps = 1000,
): Promise<number> {
  using exact = await solve(step, problem, { device, method: "sequential" });
  using solution = await solve(step, problem, { device, method, maxSweeps });
  assertClose(
    await read(solution.ys),
    await read(exact.ys),
    device.dtype === "f64" ? 1e-9 : 3e-4,
    JSON.stringify(method),
  );
  return solution.stats.sweeps;
}

testOn(PRECISE, "the cases are those that were published", async (device) => {
  using states = await solve(argru, argruProblem(0), { device, method: "sequential" });
  // Theirs are f32, and a spectral radius of 1.03 amplifies a rounding of 1e-7 a few hundred times.
  assertClose(await read(states.ys), argruStates, 5e-4, "argru");
  const problem = lorenzProblem(3, 100);
  using lorenz = await solve(lorenz96, problem, { device, method: "sequential" });
  const { data } = problem.h0 as HostTensor;
  assertClose(await read(lorenz.ys), lorenzLoop({ data, shape: [1, 5] }, 100).data, 1e-11, "lorenz 96");
});

testOn(ON_CPU, "AR-GRU: sweeps by damping", async (device) => {
  const problem = argruProblem(0);
  // Published, to a mean deviation of 0.1: 141 to 153 at 1e-6, 50 at 1e-7, 38 at 1/3e7; convergence takes some more.
  for (const [damping, least, most] of [[1e-7, 50, 110], [1 / 3e7, 38, 85], ["adaptive", 30, 80]] as const) {
    const sweeps = await sweepsTo(device, argru, problem, elk({ damping }));
    assert(sweeps >= least && sweeps <= most, `${sweeps} sweeps at ${damping}`);
  }
});

testOn(ON_CPU, "Lorenz 96: sweeps by damping", async (device) => {
  // Published, to a mean deviation of 0.1: 188 to 204 at 0.01, 136 to 187 at 1/300.
  for (const seed of [1, 2]) {
    for (const [damping, most] of [[0.01, 320], [1 / 300, 260], ["adaptive", 150]] as const) {
      const sweeps = await sweepsTo(device, lorenz96, lorenzProblem(seed), elk({ damping }));
      assert(sweeps <= most, `${sweeps} sweeps at ${damping}`);
    }
  }
});

testOn(ON_CPU, "Lorenz 96: the diagonal, damped", async (device) => {
  for (const damping of [0.1, "adaptive"] as const) {
    const sweeps = await sweepsTo(device, lorenz96, lorenzProblem(1), quasiElk({ damping }));
    assert(sweeps <= 800, `${sweeps} sweeps at ${damping}`);
  }
});

testOn(PRECISE, "a damping that is far too small recovers, and ends with the answer", async (device) => {
  // Published: σ² of 1e8 (AR-GRU) and 1e3 (Lorenz 96) are NaN for ever. Here the exact prefix goes on: T sweeps suffice.
  const problem = argruProblem(0, 300);
  for (const method of [elk({ damping: 1e-12 }), quasiElk({ damping: 1e-12 })]) {
    assert(await sweepsTo(device, argru, problem, method) <= 300);
  }
  for (const method of [elk({ damping: 1e-9 }), quasiElk({ damping: 1e-9 })]) {
    assert(await sweepsTo(device, lorenz96, lorenzProblem(1, 250), method) <= 250);
  }
});

testOn(ON_CPU, "a hopeless damping fails with the cure, and what it says of convergence is true", async (device) => {
  using exact = await solve(lorenz96, lorenzProblem(1), { device, method: "sequential" });
  for (const damping of [1e3, 1e-9]) {
    const options = { device, method: elk({ damping }), maxSweeps: 60, onFailure: "return" } as const;
    using solution = await solve(lorenz96, lorenzProblem(1), options);
    assertEquals(solution.result, "max-sweeps-reached");
    assert(largestError(await read(solution.ys), await read(exact.ys)) > 1e-3);
    assert(solution.stats.residuals.at(-1)! > 1);
  }
});

testOn(MACHINES, "the network that broke DEER: ELK solves it", async (device, { rounding, dtype }) => {
  const { xs, xs_sample0: _, h_sample0: __, ...params } = goldenTensors("whale_gru_layer4") as Record<
    string,
    HostTensor
  >;
  const cell = gru({ input: 32, hidden: 32 });
  // A dense G of 32 states is more than WebGPU's workgroups hold, and takes a CPU a second a sequence.
  const one = rowOf(xs!, 1);
  const cases: readonly (readonly [Method, HostTensor])[] = rounding > 0 ? [[quasiElk(), one]] : [
    [elk(), dtype === "f64" ? xs! : one],
    [elk({ damping: 1e-4 }), one],
    [quasiElk(), xs!],
  ];
  for (const [method, given] of cases) {
    const problem = { params, xs: given };
    using exact = await solve(cell, problem, { device, method: "sequential" });
    using solution = await solve(cell, problem, { device, method });
    const tolerance = device.dtype === "f64" ? 1e-9 : 1e-4;
    assertClose(await read(solution.ys), await read(exact.ys), tolerance, JSON.stringify(method));
  }
});

testOn(
  ON_CPU,
  "adaptive damping: a batch is as good as its sequences, and windows are sweeps of their own",
  async (device) => {
    const problems = [1, 2, 5].map((seed) => lorenzProblem(seed, 300));
    const starts = problems.flatMap(({ h0 }) => Array.from((h0 as HostTensor).data));
    const batch = { params: {}, time: 300, h0: { data: Float64Array.from(starts), shape: [3, 5] } };
    using together = await solve(lorenz96, batch, { device, method: elk() });
    const ys = await read(together.ys);
    for (const [b, problem] of problems.entries()) {
      using alone = await solve(lorenz96, problem, { device, method: elk() });
      assertSame(ys.slice(b * 1500, (b + 1) * 1500), await read(alone.ys), `sequence ${b}`);
      assertEquals(together.stats.sequenceSweeps[b], alone.stats.sweeps);
    }
    using exact = await solve(lorenz96, batch, { device, method: "sequential" });
    for (const window of [300, 100, 7, 1]) {
      using solution = await solve(lorenz96, batch, { device, method: elk(), window });
      assertClose(
        await read(solution.ys),
        await read(exact.ys),
        device.dtype === "f64" ? 1e-8 : 1e-3,
        `windows of ${window}`,
      );
    }
  },
);

testOn(PRECISE, "adaptive damping ends as Newton's method does", async (device) => {
  using solution = await solve(argru, argruProblem(0), { device, method: elk() });
  const last = solution.stats.residuals.slice(-4);
  // Fixed damping gains a constant factor a sweep there, about 2.
  assert(last[3]! < 1e-2 * last[2]! && last[2]! < 0.1 * last[1]!, `${last}`);
  using newton = await solve(argru, argruProblem(0, 100), { device, method: deer() });
  using damped = await solve(argru, argruProblem(0, 100), { device, method: elk() });
  assert(damped.stats.sweeps < newton.stats.sweeps + 10);
});
