import { assert, assertEquals } from "@std/assert";
import { type MethodName, solve } from "../../mod.ts";
import { assertClose, largestError, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, someOf, testOn } from "../solve/machines.ts";
import { LAYER_CASES, someInputs, someParams, treeOf } from "./cases.ts";
import { runPlain, windowsOf } from "./reference.ts";

Deno.test("cells: the Jacobian of each is proved diagonal, but that of GILR-LSTM", () => {
  for (const { name, make, triangular = false } of LAYER_CASES) {
    const { cell, state, window, input } = make();
    assertEquals(cell.jacobian, triangular ? "dense" : "diagonal", name);
    assertEquals([cell.state, cell.input], [state, window * input], name);
  }
});

const METHODS: readonly MethodName[] = ["sequential", "deer", "quasi-deer", "auto", "block-deer"];

for (const [k, { name, make, plain }] of LAYER_CASES.entries()) {
  testOn(MACHINES, `cells: ${name}, solved by every method, against plain numbers`, async (device, machine) => {
    const { cell, window, ...layer } = make();
    const params = someParams(layer);
    for (const [batch, time] of someOf(machine, [[3, 50], [1, 2], [3, 1], [2, 0], [1, 1000]] as const, 5, k)) {
      const { xs, h0 } = someInputs(layer, batch, time);
      const expected = runPlain(plain, params, xs, h0, { window, reverse: false });
      for (const method of someOf(machine, METHODS, 2, k)) {
        using solution = await solve(cell, { params: treeOf(params), xs: windowsOf(xs, window), h0 }, {
          device,
          method,
        });
        assertEquals(solution.result, "successful");
        // As the layers', and for f64 ten times the default rtol where sweeps end by it.
        const tolerance = machine.dtype === "f64" ? 1e-9 : 32 * machine.epsilon;
        assertClose(await read(solution.ys), expected.states, tolerance, `${name} by ${method}, ${batch} × ${time}`);
      }
    }
  });
}

for (const { name, make, plain, triangular = false } of LAYER_CASES) {
  testOn(
    PRECISE,
    `cells: ${name}, after ${triangular ? "two sweeps" : "one sweep"} of Newton's method`,
    async (device) => {
      const { cell, window, ...layer } = make();
      const params = someParams(layer);
      const { xs, h0 } = someInputs(layer, 2, 200);
      const expected = runPlain(plain, params, xs, h0, { window, reverse: false });
      const problem = { params: treeOf(params), xs: windowsOf(xs, window), h0 };
      const errorAfter = async (maxSweeps: number): Promise<number> => {
        const options = { device, method: "deer", maxSweeps, onFailure: "return", guess: "zeros" } as const;
        using solution = await solve(cell, problem, options);
        return largestError(await read(solution.ys), expected.states);
      };
      // Affine in its own state: exact at once. The surrogate's states are after one sweep, and then those that read them.
      const errors = [await errorAfter(1), await errorAfter(2)];
      assert(errors[triangular ? 1 : 0]! < 1e-13, `${name}: off by ${errors}`);
      assert(!triangular || errors[0]! > 1e-3, `${name}: solved before its time, off by ${errors[0]}`);
    },
  );
}
