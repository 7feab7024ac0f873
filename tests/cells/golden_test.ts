import { assertEquals } from "@std/assert";
import { type MethodName, solve } from "../../mod.ts";
import { assertClose, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { columnsOf, LEM_CASE, problemOf, type SolveCase, TORCH_CASES } from "../solve/problems.ts";

const METHODS: readonly MethodName[] = ["auto", "sequential", "jacobi", "picard", "quasi-deer", "block-deer", "deer"];

/**
 * f64: 1e-9, ten times the default rtol of 1e-10 per unit of state. f32: c · eps · T with c = 1: these cells contract, so
 * each step adds at most the rounding of one state of size 1, eps / 2, and as much again for the rounded parameters.
 */
const allowed = ({ dtype, epsilon }: { dtype: string; epsilon: number }, time: number): number =>
  dtype === "f64" ? 1e-9 : epsilon * time;

for (const given of [...TORCH_CASES, LEM_CASE] as readonly SolveCase[]) {
  const { name, step, time, expected } = given;
  const width = expected.shape[2]!;

  testOn(MACHINES, `${name}: every method gives the golden trajectories of the batch`, async (device, machine) => {
    for (const method of METHODS) {
      // Picard assumes h' = h + something small, which no gated cell is: only its exact prefix helps it.
      using solution = await solve(step, problemOf(given), { device, method, maxSweeps: time });
      assertEquals(solution.ys.shape, [expected.shape[0]!, time, step.state]);
      assertEquals(solution.result, "successful");
      const ys = columnsOf(await read(solution.ys), step.state, width);
      assertClose(ys, expected.data, allowed(machine, time), `${name} by ${method}`);
    }
  });

  testOn(MACHINES, `${name}: each sequence alone, without the axis of the batch`, async (device, machine) => {
    for (const method of ["sequential", "quasi-deer", "deer"] as const) {
      for (let b = 0; b < expected.shape[0]!; b++) {
        using solution = await solve(step, problemOf(given, b), { device, method });
        assertEquals(solution.ys.shape, [time, step.state]);
        assertEquals(solution.yT.shape, [step.state]);
        const ys = await read(solution.ys);
        const wanted = rowOf(expected, b).data;
        assertClose(columnsOf(ys, step.state, width), wanted, allowed(machine, time), `${name} ${b} by ${method}`);
        assertEquals(await read(solution.yT), ys.slice(-step.state));
      }
    }
  });
}
