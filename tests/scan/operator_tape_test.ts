// Scans with operators on the tape: what is wanted, what is held, and what waits.

import { assert, assertEquals } from "@std/assert";
import {
  associativeScan,
  concat,
  defineOperator,
  openDevice,
  type Operator,
  ops,
  sum,
  type Tensor,
  tensor,
  type TensorLike,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { weighted } from "../grad/finite.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { operatorCase } from "./operator_cases.ts";
import { flat, gradientsOn } from "./operator_gradients.ts";
import { drawElements, elementArrays } from "./operator_support.ts";

testOn(
  MACHINES,
  "operators: gradients of one parameter alone, and nothing is left",
  async (device) => {
    const given = operatorCase("decay");
    const operator = given.operator as Operator;
    const elements = elementArrays(given, drawElements(given, 6, 9), [6]);
    const rate = tensor(device, host(given.params.rate!, [9]));
    const length = tensor(device, host(given.params["unit.length"]!, []));
    const x = tensor(device, host(flat(elements).x!.data, [6, 9]));
    const weights = tensor(device, host(numbers(54, 1, 2), [6, 9]));
    const ledger = watchMemory(device);
    const run = valueAndGrad(({ rate }: { rate: Tensor }) => {
      const params = { rate, unit: { length } };
      const { x: out } = associativeScan(operator, { ...elements, x } as Tree<TensorLike>, { params }) as { x: Tensor };
      return weighted(out, weights, [9]);
    });
    const { value, grads } = await run({ rate });
    const found = await read(grads.rate);
    value.dispose();
    grads.rate.dispose();
    assertEquals(ledger.held(), []);
    const weightsByPath = { x: host(await read(weights), [6, 9]), steps: host(new Float64Array(6), [6]) };
    const all = await gradientsOn(device, given, weightsByPath, elements, false);
    assertEquals(found, all["params.rate"]);
  },
);

testOn(PRECISE, "operators: an array in two places of an element gets both its parts", async (device) => {
  const operator = defineOperator({
    name: "two sums",
    element: { x: [], y: [] },
    combine: (earlier, later) => ({ x: ops.add(earlier.x, later.x), y: ops.add(earlier.y, ops.mul(2, later.y)) }),
  });
  const loss = valueAndGrad(({ x }: { x: Tensor }) => {
    const out = associativeScan(operator, { x, y: x });
    return sum(concat([out.x, out.y]));
  });
  const { grads } = await loss({ x: tensor(device, host([1, 2, 3], [3])) });
  // x[0] stands in three prefixes, once in y as it is; x[1] in two, and twice as much in y.
  assertEquals(await read(grads.x), Float64Array.of(3 + 3, 2 + 4, 1 + 2));
});

testOn(MACHINES, "operators: gradients where a combination looks at one side alone", async (device) => {
  const [batch, time] = [2, 4];
  const weights = numbers(batch * time, 1, 8).map(Math.fround);
  const x = host(numbers(batch * time, 1, 9), [batch, time]);
  const sums = [0, 1].map((b) => weights.slice(b * time, (b + 1) * time).reduce((a, w) => a + w, 0));
  const table: [name: string, combine: (earlier: ops.Sym, later: ops.Sym) => ops.Operand, expected: number[]][] = [
    ["first", (earlier) => earlier, [sums[0]!, 0, 0, 0, sums[1]!, 0, 0, 0]],
    ["last", (_, later) => later, Array.from(weights)],
    ["nothing", () => 1, [weights[0]!, 0, 0, 0, weights[4]!, 0, 0, 0]],
  ];
  for (const [name, combine, expected] of table) {
    const operator = defineOperator({
      name,
      element: { x: [] },
      combine: (earlier, later) => ({ x: combine(earlier.x, later.x) }),
    });
    const loss = valueAndGrad(({ x }: { x: Tensor }) =>
      weighted(associativeScan(operator, { x }).x, tensor(device, host(weights, [batch, time])), [])
    );
    const { grads } = await loss({ x: tensor(device, x) });
    assertClose(await read(grads.x), expected, device.dtype === "f32" ? 2 ** -21 : 2 ** -50, name);
  }
});

testOnGpu("operators: the way back through a scan waits for nothing, also of many arrays", async () => {
  const device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device);
  assert(engine instanceof GpuEngine);
  const names = Array.from({ length: 11 }, (_, k) => `x${k}`);
  const operator = defineOperator({
    name: "eleven sums",
    element: Object.fromEntries(names.map((name) => [name, []])),
    combine: (earlier, later) => Object.fromEntries(names.map((name) => [name, ops.add(earlier[name]!, later[name]!)])),
  }) as Operator;
  const data = Object.fromEntries(names.map((name, k) => [name, tensor(device, host(numbers(50, 1, k), [50]))]));
  const loss = valueAndGrad((elements: Tree<Tensor>) => {
    const out = associativeScan(operator, elements as Tree<TensorLike>) as Record<string, Tensor>;
    return sum(concat(names.slice(3).map((name) => out[name]!)));
  });
  const reads = engine.machine.readBacks;
  const { grads } = await loss(data);
  assertEquals(engine.machine.readBacks, reads);
  const later = Float64Array.from({ length: 50 }, (_, t) => 50 - t);
  for (const [k, name] of names.entries()) {
    assertEquals(await read((grads as Record<string, Tensor>)[name]!), k < 3 ? new Float64Array(50) : later, name);
  }
  await device.dispose();
});
