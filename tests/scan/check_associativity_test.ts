import { assert, assertEquals, assertLess } from "@std/assert";
import { checkAssociativity, defineOperator, openDevice, type Operator, ops, tensor } from "../../mod.ts";
import { host } from "../solve/arrays.ts";
import { OPERATOR_CASES } from "./operator_cases.ts";
import { drawElements, elementArrays, paramArrays } from "./operator_support.ts";

const { add, less, matmul, max, mul, sub, transpose, where } = ops;

Deno.test("checkAssociativity: the operators of the tables obey the law", async () => {
  for (const given of OPERATOR_CASES) {
    const samples = elementArrays(given, drawElements(given, 30, 1), [30]);
    const { associative, worst, where } = await checkAssociativity(given.operator, samples, {
      params: paramArrays(given),
    });
    assert(associative && where === null, `${given.operator.name}: ${JSON.stringify(where)}`);
    assertLess(worst, 1e-12, given.operator.name);
    if (given.tolerance === 0) assertEquals(worst, 0, given.operator.name);
  }
});

const BREACHES: readonly Operator[] = [
  defineOperator({ name: "minus", element: { x: [] }, combine: (e, l) => ({ x: sub(e.x, l.x) }) }),
  defineOperator({ name: "mean", element: { x: [3] }, combine: (e, l) => ({ x: mul(0.5, add(e.x, l.x)) }) }),
  // The maps the wrong way round.
  defineOperator({
    name: "affine, turned",
    element: { a: [], b: [] },
    combine: (e, l) => ({ a: mul(l.a, e.a), b: add(mul(e.a, l.b), mul(l.a, e.b)) }),
  }),
  defineOperator({
    name: "transposed product",
    element: { m: [2, 2] },
    combine: (e, l) => ({ m: matmul(transpose(l.m), e.m) }),
  }),
  // Wrong in its second array, and there for negative numbers only.
  defineOperator({
    name: "rarely",
    element: { x: [], y: [] },
    combine: (e, l) => ({ x: max(e.x, l.x), y: where(less(e.y, -2), e.y, add(e.y, l.y)) }),
  }),
].map((operator) => operator as Operator);

Deno.test("checkAssociativity: operators that break the law are found by random elements", async () => {
  for (const operator of BREACHES) {
    const { associative, worst, where } = await checkAssociativity(operator, { count: 200, seed: 3 });
    assertEquals(associative, operator.name === "affine, turned", operator.name);
    if (associative) continue;
    assert(worst > 1e-3 && where !== null, operator.name);
  }
});

Deno.test("checkAssociativity: the first breach, with its elements and both answers", async () => {
  const rarely = BREACHES.at(-1)!;
  const samples = { x: host([1, 2, 3, 4, 5], [5]), y: host([1, 1, -1, -2.5, 4], [5]) };
  const { associative, where, worst } = await checkAssociativity(rarely, samples);
  // (1 ∘ -1) ∘ -2.5 = -2.5 both ways; (-1 ∘ -2.5) ∘ 4 = -3.5, and -1 ∘ (-2.5 ∘ 4) = -3.5; 1, -1, -2.5 the same.
  assertEquals(associative, true, JSON.stringify(where));
  const minus = BREACHES[0]!;
  const report = await checkAssociativity(minus, { x: host([5, 3, 0, 0, 7], [5]) });
  // (5 - 3) - 0 = 5 - (3 - 0); the same for 3, 0, 0; (0 - 0) - 7 = -7, but 0 - (0 - 7) = 7.
  assertEquals(report.associative, false);
  assertEquals(report.worst, 2);
  const scalar = (x: number) => ({ data: Float64Array.of(x), shape: [] });
  assertEquals(report.where, {
    index: 2,
    a: { x: scalar(0) },
    b: { x: scalar(0) },
    c: { x: scalar(7) },
    path: "x",
    left: scalar(-7),
    right: scalar(7),
  });
  assertEquals(worst, 0);
});

Deno.test("checkAssociativity: the same seed draws the same elements, and rtol decides", async () => {
  const nearly = defineOperator({
    name: "nearly",
    element: { x: [] },
    combine: (e, l) => ({ x: add(e.x, mul(1 + 1e-6, l.x)) }),
  });
  const first = await checkAssociativity(nearly, { seed: 5 });
  assertEquals(await checkAssociativity(nearly, { seed: 5 }), first);
  assert((await checkAssociativity(nearly, { seed: 6 })).worst !== first.worst);
  assertEquals(first.associative, false);
  assertEquals((await checkAssociativity(nearly, { seed: 5 }, { rtol: 1e-3 })).associative, true);
  assert((await checkAssociativity(nearly)).where !== null);
});

Deno.test("checkAssociativity: tensors and infinities among the samples", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const largest = defineOperator({ name: "max", element: { x: [] }, combine: (e, l) => ({ x: max(e.x, l.x) }) });
  const x = tensor(device, host([1, -Infinity, 3, Infinity, NaN, 5], [6]));
  assertEquals(await checkAssociativity(largest, { x }), { associative: true, worst: 0, where: null });
  const minus = BREACHES[0]!;
  const { worst } = await checkAssociativity(minus, { x: host([Infinity, 1, Infinity], [3]) });
  // (∞ - 1) - ∞ is NaN, ∞ - (1 - ∞) is infinite.
  assertEquals(worst, Infinity);
});
