// Gradients through scans with operators: finite differences of folds with plain loops, and adjoints by hand.

import { assertEquals } from "@std/assert";
import { linearRecurrence, type Tensor, tensor, type Tree, valueAndGrad } from "../../mod.ts";
import type { HostTensor } from "../../src/core/types.ts";
import { finiteDifferences, weighted } from "../grad/finite.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, someOf, testOn } from "../solve/machines.ts";
import { OPERATOR_CASES, operatorCase } from "./operator_cases.ts";
import { flat, gradientsOn, plainLoss, weightsOf } from "./operator_gradients.ts";
import { drawElements, elementArrays, leavesOf, paramArrays } from "./operator_support.ts";

/** Leaves along which a fold is not smooth: jumps, and ties of whole numbers. */
const ROUGH: Readonly<Record<string, readonly string[]>> = { largest: ["value"], latest: ["x"] };

for (const [i, given] of OPERATOR_CASES.entries()) {
  const { name } = given.operator;
  const rough = ROUGH[name] ?? [];
  if (leavesOf(given).every(([path]) => rough.includes(path))) continue;
  testOn(
    MACHINES,
    `operator ${name}: gradients, beside finite differences of the plain fold`,
    async (device, machine) => {
      const sizes = [[1, 7, false], [2, 5, true], [2, 5, false], [1, 1, false], [3, 2, true]] as const;
      for (const [batch, time, reverse] of someOf(machine, sizes, 3, i)) {
        const leading = batch === 1 ? [time] : [batch, time];
        const elements = elementArrays(given, drawElements(given, batch * time, 40 + time), leading);
        const weights = weightsOf(given, leading);
        const found = await gradientsOn(device, given, weights, elements, reverse);
        const smooth = Object.entries({
          ...flat({ elements, params: paramArrays(given) } as unknown as Tree<HostTensor>),
        }).filter(([path]) => !rough.includes(path.slice("elements.".length)));
        const loss = plainLoss(given, weights, batch, time, reverse);
        // Numbers that are not moved stay what they are: all arrays take part in each loss.
        const fixed = flat({ elements, params: paramArrays(given) } as unknown as Tree<HostTensor>);
        const expected = finiteDifferences(
          Object.fromEntries(smooth),
          (moved) => loss({ ...fixed, ...moved }),
          1e-4,
        );
        for (const [path, wanted] of Object.entries(expected)) {
          const size = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
          // Differences of a loss of size 10 over 1e-4 are good to 1e-10; products of a chain round once a step.
          const tolerance = 1e-9 + 8 * Math.max(1, given.tolerance) * machine.epsilon * time;
          assertClose(
            found[path]!,
            wanted,
            tolerance * size,
            `${path}, T ${time}, B ${batch}${reverse ? ", reverse" : ""}`,
          );
        }
      }
    },
  );
}

testOn(MACHINES, "operators: of a choice the gradient flows to what was chosen, bit for bit", async (device) => {
  const given = operatorCase("latest");
  const [batch, time, width] = [2, 40, 300];
  const rows = drawElements(given, batch * time, 3);
  const elements = elementArrays(given, rows, [batch, time]);
  const weights = weightsOf(given, [batch, time]);
  const bars = weights.x!.data.map(Math.fround);
  const found = await gradientsOn(device, given, { x: host(bars, [batch, time, width]) }, elements, false);
  const expected = new Float64Array(bars.length);
  const round = device.dtype === "f32" ? Math.fround : (x: number): number => x;
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < width; i++) {
      let flowing = 0;
      for (let t = time - 1; t >= 0; t--) {
        const at = (b * time + t) * width + i;
        flowing = round(flowing + bars[at]!);
        // The first element is taken as it is, whatever it says.
        if (t > 0 && rows[b * time + t]!.x![i] === 0) continue;
        expected[at] = flowing;
        flowing = 0;
      }
    }
  }
  assertEquals(found["elements.x"], expected);
});

testOn(
  MACHINES,
  "operators: gradients of affine maps are those of the recurrence, over many chunks",
  async (device, machine) => {
    const given = operatorCase("affine");
    const time = someOf(machine, [700, 3000], 2, 0)[0]!;
    for (const reverse of [false, true]) {
      const a = host(Float64Array.from(numbers(2 * time, 1, 5), (x) => Math.fround(0.9 * x)), [2, time]);
      const b = host(numbers(2 * time * 2, 1, 6).map(Math.fround), [2, time, 2]);
      const weights = {
        a: host(new Float64Array(2 * time), [2, time]),
        b: host(numbers(4 * time, 1, 7), [2, time, 2]),
      };
      const found = await gradientsOn(device, given, weights, { a, b } as unknown as Tree<HostTensor>, reverse);
      const loss = valueAndGrad((p: { a: Tensor; b: Tensor }) =>
        weighted(linearRecurrence(p, { reverse }), tensor(device, weights.b), [2])
      );
      const { grads } = await loss({ a: tensor(device, a), b: tensor(device, b) });
      // Products of numbers below 0.9 forget roundings within some ten steps.
      for (const path of ["a", "b"] as const) {
        assertClose(found[`elements.${path}`]!, await read(grads[path]), 100 * machine.epsilon, path);
      }
    }
  },
);
