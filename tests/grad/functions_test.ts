import { assertEquals } from "@std/assert";
import {
  concat,
  defineMap,
  type Device,
  type HostTensor,
  last,
  map,
  matmul,
  meanPool,
  ops,
  reshape,
  softmaxCrossEntropy,
  squaredError,
  sum,
  take,
  type Tensor,
  tensor,
  toDevice,
  toHost,
  valueAndGrad,
} from "../../mod.ts";
import { assertClose, assertSame, goldenTensors, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { finiteDifferences, weighted } from "./finite.ts";
import { arraysOf, FUNCTION_CASES, type FunctionCase } from "./functions.ts";

type Tensors = Record<string, Tensor>;

const onDevice = (device: Device, arrays: Record<string, HostTensor>): Tensors => toDevice(device, arrays) as Tensors;
const dataOf = (arrays: Readonly<Record<string, HostTensor>>): Record<string, ArrayLike<number>> =>
  Object.fromEntries(Object.entries(arrays).map(([name, { data }]) => [name, data]));

/** `Σ weights ∘ y`: the slopes of all elements at once. */
const weightsOf = ({ shape }: FunctionCase): Float64Array => numbers(shape.reduce((a, b) => a * b, 1), 1, 99);

for (const given of FUNCTION_CASES) {
  const arrays = arraysOf(given);
  testOn(MACHINES, `${given.name}: values against plain loops`, async (device, { epsilon }) => {
    const tensors = onDevice(device, arrays);
    const ledger = watchMemory(device);
    const value = given.apply(tensors, device);
    assertEquals(value.shape, given.shape);
    // Sums of up to 40 numbers up to 3, and e^x.
    assertClose(await read(value), given.plain(dataOf(arrays)), 100 * epsilon, given.name);
    // Index tensors are the caller's.
    const before = ledger.held().filter((label) => label !== "a tensor").length;
    value.dispose();
    const view = given.name.startsWith("reshape") ? 0 : 1;
    assertEquals([before, ledger.held().filter((label) => label !== "a tensor")], [view, []], given.name);
  });

  testOn(MACHINES, `${given.name}: gradients against finite differences`, async (device, { epsilon }) => {
    const weights = weightsOf(given);
    const differences = finiteDifferences(
      arrays,
      (moved) => given.plain(dataOf(moved)).reduce((total, value, i) => total + weights[i]! * value, 0),
    );
    const weight = tensor(device, host(weights, [weights.length]));
    const loss = valueAndGrad((all: Tensors) => weighted(reshape(given.apply(all, device), [-1]), weight, []));
    const tensors = onDevice(device, arrays);
    const { grads } = await loss(tensors);
    for (const [name, expected] of Object.entries(differences)) {
      const { data, shape } = await toHost(grads[name]!);
      assertEquals(shape, given.shapes[name]);
      assertClose(data, expected, 1e-9 + 100 * epsilon, `${given.name}, ${name}`);
    }
  });
}

const activate = defineMap({ name: "tanh", inputs: { x: [6] }, params: {}, map: ({ x }) => ops.tanh(x) });

testOn(MACHINES, "a model of them all has PyTorch's values and gradients", async (device, { epsilon }) => {
  const golden = goldenTensors("functions/functions");
  const { symbols, lengths, labels, step_labels, target } = golden as Record<string, HostTensor>;
  const names = ["table", "x", "w", "head", "steps"];
  const params = onDevice(device, Object.fromEntries(names.map((name) => [name, golden[name]!])));
  const hidden = ({ table, x, w }: Tensors): Tensor =>
    map(activate, { inputs: { x: matmul(concat([take(table!, symbols!), x!]), w!) } });
  const losses: Record<string, (all: Tensors) => Tensor> = {
    label_loss(all) {
      const states = hidden(all);
      const features = concat([meanPool(states, { lengths: lengths! }), last(states)]);
      return softmaxCrossEntropy(matmul(features, all.head!), labels!);
    },
    step_loss: (all) => softmaxCrossEntropy(matmul(hidden(all), all.steps!), step_labels!),
    squared_error: (all) => squaredError(hidden(all), target!),
  };
  for (const [name, loss] of Object.entries(losses)) {
    const { value, grads } = await valueAndGrad(loss)(params);
    // Logits of the steps are up to 600, and their gradients as large as the weights.
    const scale = name === "step_loss" ? 200 : 1;
    const tolerance = 30 * scale * epsilon;
    assertClose(await read(value), golden[name]!.data, tolerance, name);
    for (const leaf of names) {
      const expected = golden[`${name}.${leaf}`]?.data ?? new Float64Array(golden[leaf]!.data.length);
      assertClose(await read(grads[leaf]!), expected, tolerance, `${name}, ${leaf}`);
    }
  }
});

testOn(
  MACHINES,
  "softmaxCrossEntropy: logits of any size, certain answers to the last digit",
  async (device, { epsilon }) => {
    const table: [logits: number[], label: number, loss: number][] = [
      [[3e4, -3e4, 0], 0, 0],
      [[3e4, -3e4, 0], 1, 6e4],
      [[0, 0, 0], 2, Math.log(3)],
      // log(1 + 2 e⁻¹⁰)
      [[10, 0, 0], 0, Math.log1p(2 * Math.exp(-10))],
      [[-1e30, -1e30, -1e30], 0, Math.log(3)],
    ];
    for (const [logits, label, loss] of table) {
      const [value] = await read(softmaxCrossEntropy(tensor(device, host(logits, [1, 3])), [label]));
      assertClose([value!], [loss], 4 * epsilon * Math.max(1, loss), `${logits}, ${label}`);
    }
  },
);

testOn(
  MACHINES,
  "labels, indices and lengths on the device that are none give NaN where they are used, no more",
  async (device) => {
    const on = (values: number[]): Tensor => tensor(device, { data: Int32Array.from(values), shape: [values.length] });
    const x = tensor(device, host([1, 2, 3, 4, 5, 6], [3, 2]));
    assertSame(await read(take(x, on([1, 3, -1, 0]))), [3, 4, NaN, NaN, NaN, NaN, 1, 2], "take");
    for (const wrong of [2, -1, 2 ** 31 - 1]) {
      const loss = valueAndGrad(({ x }: { x: Tensor }) => softmaxCrossEntropy(x, on([1, wrong, 0])));
      const { value, grads } = await loss({ x });
      assertSame(await read(value), [NaN], `loss of the label ${wrong}`);
      const gradient = await read(grads.x);
      assertEquals(Array.from(gradient, Number.isNaN), [false, false, true, true, false, false], `label ${wrong}`);
    }
    const states = tensor(device, host(numbers(12), [3, 2, 2]));
    for (const wrong of [0, 3, -1]) {
      const pooled = await read(meanPool(states, { lengths: on([2, wrong, 1]) }));
      assertEquals(Array.from(pooled, Number.isNaN), [false, false, true, true, false, false], `length ${wrong}`);
    }
  },
);

testOn(MACHINES, "meanPool: padding counts for nothing, whatever is in it", async (device) => {
  const x = tensor(device, host([1, 2, 3, 4, NaN, Infinity, 5, 6, 7, 8, 9, 10], [2, 3, 2]));
  const loss = valueAndGrad(({ x }: { x: Tensor }) => squaredError(meanPool(x, { lengths: [2, 3] }), zeros));
  const zeros = host([0, 0, 0, 0], [2, 2]);
  const { value, grads } = await loss({ x });
  assertClose(await read(value), [(4 + 9 + 49 + 64) / 4], 1e-5, "loss");
  assertSame((await read(grads.x)).slice(4, 6), [0, 0], "the gradient of padding");
});

testOn(MACHINES, "matmul, take and concat of nothing", async (device) => {
  const on = (shape: number[]): Tensor =>
    tensor(device, host(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape));
  const loss = valueAndGrad(({ a, b }: Tensors) => squaredError(matmul(a!, b!), on([2, 3])));
  const { value, grads } = await loss({ a: on([2, 0]), b: on([0, 3]) });
  assertEquals([await read(value), grads.a!.shape, grads.b!.shape], [Float64Array.of(0), [2, 0], [0, 3]]);
  const empty = valueAndGrad(({ a, b }: Tensors) => sum(concat([matmul(a!, b!), b!], 0)));
  const { grads: none } = await empty({ a: on([0, 4]), b: on([4, 3]) });
  assertEquals([none.a!.shape, await read(none.b!)], [[0, 4], new Float64Array(12).fill(1)]);
  assertEquals(take(on([5, 2]), []).shape, [0, 2]);
  assertEquals(concat([on([0, 2]), on([3, 2])], 0).shape, [3, 2]);
});
