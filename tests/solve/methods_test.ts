import { assert, assertEquals, assertLess } from "@std/assert";
import { auto, blockDeer, deer, jacobi, type Method, picard, quasiDeer, sequential, solve } from "../../mod.ts";
import { assertClose, assertSame, read } from "./arrays.ts";
import { MACHINES, PRECISE, someOf, testOn } from "./machines.ts";
import { LOOP_CASES, problemOf } from "./problems.ts";

const METHODS: readonly Method[] = [
  auto(),
  sequential(),
  jacobi(),
  picard(),
  quasiDeer(),
  quasiDeer({ scale: 0.3 }),
  quasiDeer({ clip: 0.5 }),
  quasiDeer({ diagonal: { probes: 2, seed: 3 } }),
  blockDeer(),
  blockDeer({ block: 1 }),
  deer(),
  deer({ scale: 0.2 }),
  deer({ clip: 0.5 }),
  deer({ clip: 0.9, scale: 0.1 }),
];

for (const [i, given] of LOOP_CASES.entries()) {
  const { name, step, time, expected } = given;
  testOn(MACHINES, `${name}: every method gives the plain loop's answer`, async (device, machine) => {
    const { dtype, epsilon } = machine;
    for (const method of someOf(machine, METHODS, 3, i)) {
      using solution = await solve(step, problemOf(given), { device, method, maxSweeps: time });
      assertEquals(solution.result, "successful");
      assertEquals(solution.ys.shape, expected.shape);
      // f64: ten times the default rtol. f32: c · eps · T with c = 1, half of it for the rounding of each state, half for
      // that of inputs; steps here pass errors on but do not amplify them.
      const tolerance = dtype === "f64" ? 1e-9 : epsilon * time;
      assertClose(await read(solution.ys), expected.data, tolerance, `${name} by ${JSON.stringify(method)}`);
    }
  });
}

testOn(MACHINES, "the statistics say what was done", async (device, { dtype }) => {
  for (const given of LOOP_CASES) {
    using chosen = await solve(given.step, problemOf(given), { device });
    const machine = device.backend === "cpu" ? "CPU" : "WebGPU";
    assert(chosen.stats.reason?.includes(machine), chosen.stats.reason);
    if (device.backend === "cpu") assertEquals(chosen.stats.method, "sequential");
    using serial = await solve(given.step, problemOf(given), { device, method: "sequential" });
    assertEquals([serial.stats.method, serial.stats.sweeps, serial.stats.residuals], ["sequential", 0, []]);
    assertEquals(serial.stats.reason, undefined);
    using solution = await solve(given.step, problemOf(given), { device, method: "quasi-deer" });
    const { method, reason, sweeps, residuals, sequenceSweeps, converged, errorBound } = solution.stats;
    assertEquals([method, reason, errorBound], ["quasi-deer", undefined, undefined]);
    assertEquals([residuals.length, Math.max(...sequenceSweeps)], [sweeps, sweeps]);
    assert(converged.length === given.h0.shape[0] && converged.every((value) => value));
    assert(residuals.at(-1)! <= 1, `the last update was ${residuals.at(-1)}`);
  }
  assertEquals(device.dtype, dtype);
});

testOn(MACHINES, "a full scale, and a clip at 0, make Jacobi's method of every other, bit for bit", async (device) => {
  for (const given of LOOP_CASES) {
    // Four sweeps only, so that nobody has converged: the iterates themselves are compared.
    const options = { device, maxSweeps: 4, onFailure: "return" } as const;
    using plain = await solve(given.step, problemOf(given), { ...options, method: "jacobi" });
    const expected = await read(plain.ys);
    for (const method of [deer({ scale: 1 }), deer({ clip: 0 }), quasiDeer({ scale: 1 }), blockDeer({ clip: 0 })]) {
      using solution = await solve(given.step, problemOf(given), { ...options, method });
      assertSame(await read(solution.ys), expected, `${given.name} by ${JSON.stringify(method)}`);
      assertEquals(solution.stats.residuals, plain.stats.residuals);
    }
  }
});

testOn(MACHINES, "an infinite clip is none, bit for bit", async (device) => {
  for (const given of LOOP_CASES) {
    for (const make of [deer, quasiDeer, blockDeer]) {
      using clipped = await solve(given.step, problemOf(given), { device, method: make({ clip: Infinity }) });
      using plain = await solve(given.step, problemOf(given), { device, method: make() });
      assertSame(await read(clipped.ys), await read(plain.ys), `${given.name} by ${make.name}`);
      assertEquals(clipped.stats, plain.stats);
    }
  }
});

testOn(MACHINES, "random probes are the same in every solve of a seed, and others for another seed", async (device) => {
  const given = LOOP_CASES.find(({ name }) => name === "lem")!;
  const run = async (seed: number): Promise<Float64Array> => {
    const method = quasiDeer({ diagonal: { probes: 1, seed } });
    const options = { device, method, maxSweeps: 3, onFailure: "return" } as const;
    using solution = await solve(given.step, problemOf(given), options);
    return await read(solution.ys);
  };
  const first = await run(5);
  assertEquals(await run(5), first);
  assert((await run(6)).some((value, i) => value !== first[i]));
});

testOn(
  PRECISE,
  "a Jacobian that is proven diagonal or in blocks is Newton's with the sparser methods too",
  async (device) => {
    for (const [name, sparse] of [["leaky (diagonal)", quasiDeer()], ["rotors (blocks)", blockDeer()]] as const) {
      const given = LOOP_CASES.find((other) => other.name === name)!;
      using full = await solve(given.step, problemOf(given), { device, method: "deer" });
      using solution = await solve(given.step, problemOf(given), { device, method: sparse });
      assertEquals(solution.stats.residuals, full.stats.residuals, name);
      assertLess(full.stats.sweeps, 8);
    }
  },
);

testOn(PRECISE, "Newton converges quadratically, the diagonal linearly", async (device) => {
  const given = LOOP_CASES.find(({ name }) => name === "pendulum (no input)")!;
  const residuals = async (method: "deer" | "quasi-deer"): Promise<readonly number[]> => {
    using solution = await solve(given.step, problemOf(given), { device, method, atol: 1e-8, rtol: 1e-8 });
    return solution.stats.residuals.map((e) => e * 1e-8);
  };
  // e[k+1] ≤ C e[k]²: the exponent log(e[k+2] / e[k+1]) / log(e[k+1] / e[k]) tends to 2.
  const newton = (await residuals("deer")).filter((e) => e > 1e-14 && e < 1);
  const [a, b, c] = newton.slice(-3) as [number, number, number];
  const order = Math.log(c / b) / Math.log(b / a);
  assert(order > 1.7, `order ${order} of ${newton}`);
  // e[k+1] ≈ ρ e[k], give or take the non-normality of G: no sweep gains more than a factor of 20.
  const linear = await residuals("quasi-deer");
  const ratios = linear.slice(1).map((e, i) => e / linear[i]!);
  assert(ratios.every((ratio) => ratio > 0.05) && c / b < 1e-3, `ratios ${ratios}, Newton's ${c / b}`);
  assertLess(newton.length, linear.length / 2);
});
