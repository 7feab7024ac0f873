// Steps as the CPU engine runs them, over time, against the plain recurrence h[t] = f(h[t-1]) on numbers.

import { assertEquals } from "@std/assert";
import { type MethodName, openDevice, solve, toHost, type Tree } from "../../mod.ts";
import { programOf } from "../../src/step.ts";
import { assertClose } from "./helpers.ts";
import { pointOf, type StepCase, stepCases } from "./steps.ts";

/** Straight code and loops; with 2 units no state is longer than 4. */
const UNITS = [2, 3, 20];
const TIME = 6;
const METHODS: readonly MethodName[] = ["sequential", "deer", "quasi-deer", "jacobi"];

const f64 = (data: readonly number[], shape: readonly number[]) => ({ data: Float64Array.from(data), shape });

/** The problem of a case: its point, the same input at every time. */
function problemOf({ step }: StepCase) {
  const program = programOf(step);
  const point = pointOf(program);
  const entries = program.params.map(({ path, shape, leaf }) => [path, f64(point.get(leaf)!, shape)] as const);
  const params: Tree<ReturnType<typeof f64>> = Object.fromEntries(entries);
  const row = point.get(program.x)!;
  const inputs = row.length === 0
    ? { time: TIME }
    : { xs: f64(Array.from({ length: TIME }, () => row).flat(), [TIME, row.length]) };
  return { params, h0: f64(point.get(program.h)!, [step.state]), ...inputs };
}

function recurrence({ f, step }: StepCase): number[] {
  let h: readonly number[] = pointOf(programOf(step)).get(programOf(step).h)!;
  return Array.from({ length: TIME }, (_, t) => h = f(h, t)).flat();
}

for (const n of UNITS) {
  Deno.test(`steps: every step of ${n} units solves to its plain recurrence by every method`, async () => {
    await using device = await openDevice({ backend: "cpu", dtype: "f64" });
    for (const stepCase of stepCases(n)) {
      const expected = recurrence(stepCase);
      for (const method of METHODS) {
        using solution = await solve(stepCase.step, problemOf(stepCase), { device, method, maxSweeps: TIME + 1 });
        const { data } = await toHost(solution.ys);
        // Roundings of six steps for sequential; the stopping rule (rtol 1e-10) for the rest.
        const tolerance = method === "sequential" ? 1e-13 : 1e-9;
        const label = `${stepCase.name} by ${method}`;
        assertClose(Array.from(data as Float64Array), expected, { relative: tolerance, absolute: tolerance }, label);
        assertEquals(solution.result, "successful", label);
      }
    }
  });
}

Deno.test("steps: in f32 every step follows its plain recurrence to rounding", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f32" });
  for (const stepCase of stepCases(20)) {
    const expected = recurrence(stepCase);
    for (const method of ["sequential", "deer"] as const) {
      using solution = await solve(stepCase.step, problemOf(stepCase), { device, method });
      // Six steps that round inputs, parameters and states to 2⁻²⁴; sums of 20 terms and slopes of 2 magnify that.
      const tolerance = 2 ** -24 * TIME * 40;
      const label = `${stepCase.name} by ${method}`;
      assertClose((await toHost(solution.ys)).data, expected, { relative: tolerance, absolute: tolerance }, label);
    }
  }
});
