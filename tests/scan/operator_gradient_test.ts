// Gradients through scans with operators: finite differences of folds with plain loops, and adjoints by hand.

import { assert, assertEquals } from "@std/assert";
import {
  associativeScan,
  concat,
  defineOperator,
  type Device,
  linearRecurrence,
  openDevice,
  type Operator,
  ops,
  reshape,
  sum,
  type Tensor,
  tensor,
  type TensorLike,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { flattenTree, mapTree } from "../../src/core/tree.ts";
import type { HostTensor } from "../../src/core/types.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { isTensor, isTensorLike } from "../../src/tensor.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { finiteDifferences, weighted } from "../grad/finite.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, someOf, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { OPERATOR_CASES, type OperatorCase, operatorCase, type PlainElement } from "./operator_cases.ts";
import { drawElements, elementArrays, foldPlain, leavesOf, paramArrays } from "./operator_support.ts";

type Arrays = Readonly<Record<string, HostTensor>>;

/** Arrays by their paths. */
function flat(tree: Tree<HostTensor>): Arrays {
  return Object.fromEntries(flattenTree<HostTensor>(tree, (value): value is HostTensor => isTensorLike(value)));
}

/** What a loss weighs the outputs with, by their paths. */
function weightsOf(given: OperatorCase, leading: readonly number[]): Arrays {
  const rows = leading.reduce((a, b) => a * b, 1);
  return Object.fromEntries(
    leavesOf(given).map(([path, shape], k) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [path, host(numbers(rows * size, 1, 20 + k), [...leading, ...shape])];
    }),
  );
}

/** The weighted sum of all prefixes, by a plain fold. */
function plainLoss(
  given: OperatorCase,
  weights: Arrays,
  batch: number,
  time: number,
  reverse: boolean,
): (arrays: Arrays) => number {
  return (arrays) => {
    const rows = Array.from(
      { length: batch * time },
      (_, r): PlainElement =>
        Object.fromEntries(
          leavesOf(given).map(([path, shape]) => {
            const size = shape.reduce((a, b) => a * b, 1);
            return [path, Array.from(arrays[`elements.${path}`]!.data.slice(r * size, (r + 1) * size))];
          }),
        ),
    );
    const params = Object.fromEntries(
      Object.keys(given.params).map((path) => [path, Array.from(arrays[`params.${path}`]!.data)]),
    );
    const out = foldPlain({ ...given, params }, rows, batch, time, reverse);
    let total = 0;
    for (const [path] of leavesOf(given)) {
      const values = out.flatMap((row) => row[path]!);
      for (const [i, value] of values.entries()) total += weights[path]!.data[i]! * value;
    }
    return total;
  };
}

type Problem = { readonly elements: Tree<Tensor>; readonly params: Tree<Tensor> };

/** The gradient of the same loss on a device, by paths. */
async function gradientsOn(
  device: Device,
  given: OperatorCase,
  weights: Arrays,
  elements: Tree<HostTensor>,
  reverse: boolean,
): Promise<Record<string, Float64Array>> {
  const put = (tree: Tree<HostTensor>): Tree<Tensor> =>
    mapTree<TensorLike, Tensor>(tree as Tree<TensorLike>, isTensorLike, (leaf) => tensor(device, leaf as HostTensor));
  const all: Problem = { elements: put(elements), params: put(paramArrays(given)) };
  const loss = valueAndGrad(({ elements, params }: Problem) => {
    const out = associativeScan(given.operator, elements, { params, reverse });
    const parts = flattenTree<Tensor>(out, isTensor).map(([path, value]) => {
      const shape = leavesOf(given).find(([name]) => name === path)![1];
      return reshape(weighted(value, tensor(device, weights[path]!), shape), [1]);
    });
    return sum(concat(parts));
  });
  const { value, grads } = await loss(all as never);
  const found: Record<string, Float64Array> = {};
  for (const [path, leaf] of flattenTree<Tensor>(grads as Tree<Tensor>, isTensor)) {
    found[path] = await read(leaf);
    leaf.dispose();
  }
  value.dispose();
  for (const [, leaf] of flattenTree<Tensor>(all as Tree<Tensor>, isTensor)) leaf.dispose();
  return found;
}

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
