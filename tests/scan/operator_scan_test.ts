// Scans with operators against folds with plain loops, on every engine.

import { assert, assertEquals } from "@std/assert";
import { associativeScan, defineOperator, openDevice, type Operator, ops, tensor, toHost } from "../../mod.ts";
import { assertClose } from "../solve/arrays.ts";
import { type Machine, MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { OPERATOR_CASES, type OperatorCase, operatorCase, type PlainElement } from "./operator_cases.ts";
import { drawElements, elementArrays, foldPlain, leavesOf, scanOn } from "./operator_support.ts";

const { broadcast, concat, reshape, slice } = ops;

/** Fewer than 128 rows are one chunk on WebGPU, 128 are four of 32; more than 4096 need two levels above them. */
const TIMES = [0, 1, 2, 3, 5, 10, 31, 32, 33, 127, 128, 129, 1000];

function assertRows(
  actual: Readonly<Record<string, Float64Array>>,
  expected: readonly PlainElement[],
  given: OperatorCase,
  { epsilon }: Machine,
  time: number,
  what: string,
): void {
  for (const [path] of leavesOf(given)) {
    const wanted = expected.flatMap((row) => row[path]!);
    const size = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
    assertClose(actual[path]!, wanted, given.tolerance * epsilon * time * size, `${what}, ${path}`);
  }
}

for (const [i, given] of OPERATOR_CASES.entries()) {
  const { name } = given.operator;
  testOn(MACHINES, `operator ${name}: the plain fold, forward and in reverse`, async (device, machine) => {
    // Software adapters take long for each: a part of the table there, other parts for other operators.
    const times = machine.rounding === 0 ? TIMES : TIMES.filter((time, k) => time >= 127 || (k + i) % 3 === 0);
    for (const time of times) {
      for (const [batch, reverse] of [[1, false], [3, true], [3, false]] as const) {
        if (machine.rounding > 0 && time === 1000 && batch === 3 && !reverse) continue;
        const elements = drawElements(given, batch * time, time + batch);
        const leading = batch === 1 ? [time] : [batch, time];
        const actual = await scanOn(device, given, elementArrays(given, elements, leading), leading, reverse);
        const expected = foldPlain(given, elements, batch, time, reverse);
        assertRows(actual, expected, given, machine, time, `T ${time}, B ${batch}${reverse ? ", reverse" : ""}`);
      }
    }
  });
}

testOn(MACHINES, "operators: T = 65537, levels upon levels", async (device, machine) => {
  for (const name of ["sum", "affine", "largest", "product of 2"]) {
    const given = operatorCase(name);
    for (const [batch, time, reverse] of [[1, 65537, false], [3, 21000, true]] as const) {
      const elements = drawElements(given, batch * time, 7);
      const arrays = elementArrays(given, elements, [batch, time]);
      const actual = await scanOn(device, given, arrays, [batch, time], reverse);
      assertRows(actual, foldPlain(given, elements, batch, time, reverse), given, machine, time, name);
    }
  }
});

testOn(MACHINES, "operators: no sequences, and many of them", async (device, machine) => {
  for (const name of ["affine", "moments"]) {
    const given = operatorCase(name);
    for (const [batch, time] of [[0, 5], [5, 0], [0, 0], [300, 1], [70, 9]] as const) {
      const elements = drawElements(given, batch * time, 3);
      const leading = [batch, time];
      const actual = await scanOn(device, given, elementArrays(given, elements, leading), leading, false);
      assertRows(actual, foldPlain(given, elements, batch, time, false), given, machine, time, `${name} ${leading}`);
    }
  }
});

testOn(
  MACHINES,
  "operators: a reverse scan is the scan of the reversed arrays, reversed, bit for bit",
  async (device) => {
    for (const given of OPERATOR_CASES) {
      const time = 200;
      const elements = drawElements(given, time, 5);
      const there = await scanOn(device, given, elementArrays(given, elements, [time]), [time], true);
      const turned = elementArrays(given, elements.toReversed(), [time]);
      const back = await scanOn(device, given, turned, [time], false);
      for (const [path, shape] of leavesOf(given)) {
        const size = shape.reduce((a, b) => a * b, 1);
        const rows = Array.from({ length: time }, (_, t) => back[path]!.slice(t * size, (t + 1) * size));
        assertEquals(Array.from(there[path]!), rows.reverse().flatMap((row) => Array.from(row)), given.operator.name);
      }
    }
  },
);

/** Operators that only move numbers about, and so overwrite what they read: no scans, but folds while there is one chunk. */
const MOVES: readonly OperatorCase[] = [
  {
    operator: defineOperator({
      name: "moves",
      element: { a: [5], c: [6], s: [] },
      combine: (earlier, later) => ({
        a: slice(earlier.c, 1, 6),
        c: concat(earlier.s, slice(later.c, 0, 2), slice(earlier.a, 2, 5)),
        s: reshape(slice(earlier.a, 4, 5), []),
      }),
    }) as unknown as Operator,
    params: {},
    combine: (earlier, later) => ({
      a: earlier.c!.slice(1),
      c: [...earlier.s!, ...later.c!.slice(0, 2), ...earlier.a!.slice(2)],
      s: earlier.a!.slice(4),
    }),
    draw: (random) => ({ a: random.numbers(5, 1), c: random.numbers(6, 1), s: random.numbers(1, 1) }),
    tolerance: 0,
  },
  {
    operator: defineOperator({
      name: "exchanges",
      element: { a: [5], b: [5], c: [7], d: [2], s: [], z: [6] },
      combine: (earlier, later) => ({
        a: earlier.b,
        b: earlier.a,
        c: broadcast(slice(earlier.a, 4, 5), 7),
        d: concat(slice(earlier.d, 1, 2), later.s),
        s: reshape(slice(earlier.d, 0, 1), []),
        z: broadcast(earlier.s, 6),
      }),
    }) as unknown as Operator,
    params: {},
    combine: (earlier, later) => ({
      a: earlier.b!,
      b: earlier.a!,
      c: new Array<number>(7).fill(earlier.a![4]!),
      d: [earlier.d![1]!, later.s![0]!],
      s: [earlier.d![0]!],
      z: new Array<number>(6).fill(earlier.s![0]!),
    }),
    draw: (random) => ({
      a: random.numbers(5, 1),
      b: random.numbers(5, 1),
      c: random.numbers(7, 1),
      d: random.numbers(2, 1),
      s: random.numbers(1, 1),
      z: random.numbers(6, 1),
    }),
    tolerance: 0,
  },
];

testOn(MACHINES, "operators: a prefix that is replaced by its own parts", async (device, machine) => {
  for (const given of MOVES) {
    const [batch, time] = [2, 40];
    const elements = drawElements(given, batch * time, 11);
    const arrays = elementArrays(given, elements, [batch, time]);
    for (const reverse of [false, true]) {
      const actual = await scanOn(device, given, arrays, [batch, time], reverse);
      const expected = foldPlain(given, elements, batch, time, reverse);
      assertRows(actual, expected, given, machine, time, given.operator.name);
    }
  }
});

Deno.test("operators: on the CPU in f32 a prefix is rounded where it is stored, and nowhere else", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f32" });
  for (const name of ["affine", "maps of 3"]) {
    const given = operatorCase(name);
    const combine: OperatorCase["combine"] = (earlier, later, p) => {
      const sum = given.combine(earlier, later, p);
      return Object.fromEntries(Object.entries(sum).map(([path, values]) => [path, values.map(Math.fround)]));
    };
    const elements = drawElements(given, 400, 9);
    const expected = foldPlain({ ...given, combine }, elements, 1, 400, false);
    const actual = await scanOn(device, given, elementArrays(given, elements, [400]), [400], false);
    // Sums of three products may be taken in another order in f64: hardly ever another float.
    for (const [path] of leavesOf(given)) {
      const wanted = expected.flatMap((row) => row[path]!);
      const same = wanted.filter((x, i) => x === actual[path]![i]).length;
      assert(same >= wanted.length * (name === "affine" ? 1 : 0.999), `${name}, ${path}: ${same} of ${wanted.length}`);
    }
  }
});

testOn(MACHINES, "operators: what is not finite goes where the arithmetic takes it, and no further", async (device) => {
  const given = operatorCase("sum");
  for (const [value, until] of [[NaN, 300], [Infinity, 300]] as const) {
    const data = new Float64Array(300).fill(1);
    data[150] = value;
    const { x } = await scanOn(device, given, { x: { data, shape: [300] } }, [300], false);
    const expected = Array.from({ length: 300 }, (_, t) => t < 150 ? t + 1 : t < until ? value : NaN);
    assertEquals(Array.from(x!), expected);
  }
  // Comparisons with NaN are false: it is never the largest.
  const largest = operatorCase("largest");
  const [value, at] = [new Float64Array(300).fill(2), Float64Array.from({ length: 300 }, (_, t) => t)];
  value.set([-Infinity, 1], 0);
  value[7] = NaN;
  const found = await scanOn(
    device,
    largest,
    { value: { data: value, shape: [300] }, at: { data: at, shape: [300] } },
    [
      300,
    ],
    false,
  );
  assertEquals(Array.from(found.at!), Array.from(at, (_, t) => Math.min(t, 2)));
});

testOn(MACHINES, "operators: device tensors stay, one tensor may serve twice, nothing else is kept", async (device) => {
  const given = operatorCase("largest");
  const values = tensor(device, { data: Float64Array.from({ length: 500 }, (_, t) => Math.sin(t)), shape: [500] });
  const ledger = watchMemory(device);
  const answer = associativeScan(given.operator, { value: values, at: values });
  assertEquals(ledger.held(), ['at of a scan with "largest"', 'value of a scan with "largest"']);
  const { value, at } = answer as Record<"value" | "at", typeof values>;
  assertEquals((await toHost(value)).data, (await toHost(at)).data);
  for (const made of [value, at]) made.dispose();
  assertEquals(ledger.held(), []);
  values.dispose();
});
