// log det: matrices that are not positive definite, and determinants that are no numbers of their own.

import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { evaluateOnGpu, FORMS } from "./gpu.ts";
import { assertClose, type Body, runNodes, traceBody } from "./helpers.ts";

const diagonal = (values: readonly number[]): number[] =>
  values.flatMap((value, i) => values.map((_, j) => i === j ? value : 0));
/** `1 + 0.5` on the diagonal and 0.5 beside it: the eigenvalues are 1, and 1 + n / 2 once. */
const mixed = (n: number, scale: number): number[] =>
  Array.from({ length: n * n }, (_, e) => scale * (e % (n + 1) === 0 ? 1.5 : 0.5));
const logMixed = (n: number, scale: number): number => n * Math.log(scale) + Math.log(1 + n / 2);

const CASES: readonly (readonly [name: string, n: number, a: readonly number[], expected: number])[] = [
  ["zero", 1, [0], NaN],
  ["negative", 1, [-2], NaN],
  ["positive", 1, [2], Math.LN2],
  ["not a number", 1, [NaN], NaN],
  ["two pivots below 0", 2, diagonal([-1, -1]), NaN],
  ["the first pivot 0", 2, [0, 1, 1, 0], NaN],
  ["the second pivot 0", 2, [1, 2, 2, 4], NaN],
  ["the second pivot below 0", 2, [1, 2, 2, 1], NaN],
  ["two by two", 2, [4, 2, 2, 3], 3 * Math.LN2],
  ["the last pivot 0", 3, [1, 1, 1, 1, 2, 2, 1, 2, 2], NaN],
  ["two pivots of three below 0", 3, diagonal([1, -2, -3]), NaN],
  ["zeros", 5, diagonal([0, 0, 0, 0, 0]), NaN],
  // The determinants themselves overflow, or vanish.
  ["large", 3, mixed(3, 2 ** 60), logMixed(3, 2 ** 60)],
  ["small", 5, mixed(5, 2 ** -60), logMixed(5, 2 ** -60)],
  ["nine", 9, mixed(9, 1), logMixed(9, 1)],
];
const body: Body = (o, a) => o.logDet(a!);

Deno.test("logDet: NaN where a matrix is not positive definite, else what the eigenvalues say", () => {
  for (const [name, n, a, expected] of CASES) {
    const { leaves, output } = traceBody(body, [[n, n]]);
    const [actual] = runNodes([output], new Map([[leaves[0]!, a]]));
    assertClose(actual!, [expected], { relative: 8 * n * 2 ** -52 }, name);
  }
});

for (const form of FORMS) {
  testOnGpu(
    `logDet: NaN where a matrix is not positive definite, else what the eigenvalues say (${form})`,
    async () => {
      const machine = await openTestMachine();
      for (let first = 0; first < CASES.length; first += 4) {
        const cases = CASES.slice(first, first + 4);
        const bodies = cases.map(([, n]) => ({ body, shapes: [[n, n]] }));
        const [results] = await evaluateOnGpu(machine, form, bodies, [cases.flatMap(([, , a]) => a)]);
        // log: 3 units in the last place for each pivot, of sums up to 200; pivots: divisions of 2.5 units.
        for (const [i, [name, n, , expected]] of cases.entries()) {
          assertClose(results![i]!, [expected], { relative: 16 * n * 2 ** -24, absolute: 16 * n * 2 ** -24 }, name);
        }
      }
      await machine.dispose();
    },
  );
}
