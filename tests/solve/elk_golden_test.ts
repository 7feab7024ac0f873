import { assert, assertEquals } from "@std/assert";
import { elk, type Method, quasiElk, solve } from "../../mod.ts";
import { assertClose, read } from "./arrays.ts";
import { MACHINES, someOf, testOn } from "./machines.ts";
import { CASES, columnsOf, problemOf } from "./problems.ts";

const METHODS: readonly Method[] = [
  elk(),
  quasiElk(),
  elk({ damping: 0.01 }),
  quasiElk({ damping: 0.01 }),
  elk({ damping: 1 }),
  quasiElk({ damping: 1 }),
];
const SMOOTHERS: readonly Method[] = [
  elk({ damping: 0.01, estimate: "smoother" }),
  quasiElk({ damping: 0.01, estimate: "smoother" }),
];

for (const [i, given] of CASES.entries()) {
  const { name, step, time, expected } = given;
  testOn(MACHINES, `${name}: ELK gives the answer of others`, async (device, machine) => {
    const { dtype, epsilon, rounding } = machine;
    const methods = rounding === 0 ? [...METHODS, ...SMOOTHERS] : someOf(machine, METHODS, 3, i);
    for (const method of methods) {
      using solution = await solve(step, problemOf(given), { device, method, errorBound: true });
      const what = `${name} by ${JSON.stringify(method)}`;
      assertEquals(solution.result, "successful", what);
      const ys = columnsOf(await read(solution.ys), step.state, expected.shape[2]!);
      // f64: goldens of PyTorch are f32's, plain loops' f64's. f32: c · eps · T, half of it for the rounding of each state,
      // half for that of inputs; steps here pass errors on but do not amplify them.
      const tolerance = name.startsWith("torch") ? 4e-6 : dtype === "f64" ? 1e-9 : epsilon * time;
      assertClose(ys, expected.data, tolerance, what);
      const { sweeps, residuals, converged } = solution.stats;
      assert(sweeps <= time && residuals.length === sweeps && converged.every((value) => value), what);
    }
  });
}

testOn(
  MACHINES,
  "ELK needs hardly more sweeps than what it stabilises, where that is not needed",
  async (device, machine) => {
    for (const [i, given] of CASES.entries()) {
      if (someOf(machine, [0, 1, 2], 3, i)[0] === 1) continue;
      for (const [method, plain] of [[elk(), "deer"], [quasiElk(), "quasi-deer"]] as const) {
        using damped = await solve(given.step, problemOf(given), { device, method });
        using undamped = await solve(given.step, problemOf(given), { device, method: plain });
        const [most, sweeps] = [undamped.stats.sweeps, damped.stats.sweeps];
        // λ falls tenfold a sweep at most, from 0.1 to what the answer's digits ask for.
        assert(sweeps <= 1.2 * most + 7, `${given.name} by ${method.name}: ${sweeps} sweeps, ${most} undamped`);
      }
    }
  },
);
