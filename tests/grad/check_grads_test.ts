import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  checkGrads,
  defineMap,
  map,
  matmul,
  mean,
  ops,
  softmaxCrossEntropy,
  type Tensor,
  tensor,
  toDevice,
  toHost,
  valueAndGrad,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { record } from "../../src/tape.ts";
import { memoryOf, wrapMemory } from "../../src/tensor.ts";
import { host, numbers } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";

const activate = defineMap({
  name: "activate",
  inputs: { x: [4] },
  params: { bias: [4] },
  map: ({ x, p }) => ops.tanh(ops.add(x, p.bias)),
});

type Params = { readonly layer: { readonly bias: Tensor; readonly w: Tensor }; readonly head: Tensor };

const arrays = {
  layer: { bias: host(numbers(4, 0.5, 3), [4]), w: host(numbers(12, 0.5, 1), [3, 4]) },
  head: host(numbers(8, 0.5, 2), [4, 2]),
};

function lossOf({ layer, head }: Params, xs: Tensor, labels: readonly number[]): Tensor {
  const hidden = map(activate, { inputs: { x: matmul(xs, layer.w) }, params: { bias: layer.bias } });
  return softmaxCrossEntropy(matmul(hidden, head), labels);
}

/** The same numbers, of which gradients are made larger by a factor: a pullback that is wrong. */
function spoil(x: Tensor, factor: number): Tensor {
  const { device, shape } = x;
  const engine = engineOf(device);
  const copy = (from: ReturnType<typeof memoryOf>, times: number): typeof from => {
    const out = engine.allocate(engine.dtype, from.length, "a copy");
    const one = engine.upload(Float64Array.of(times));
    engine.matmul({ a: from, b: one, out, rows: from.length, inner: 1, columns: 1, form: "ab" });
    engine.free(one);
    return out;
  };
  const out = wrapMemory(device, shape, copy(memoryOf(x), 1), "a copy");
  record({
    name: "spoil",
    inputs: [x],
    outputs: [out],
    holds: [],
    pullback: ([cotangent]) => [copy(cotangent!, factor)],
  });
  return out;
}

testOn(MACHINES, "checkGrads: right gradients pass, and nothing is left", async (device) => {
  const params = toDevice(device, arrays) as Params;
  const xs = tensor(device, host(numbers(15, 1, 7), [5, 3]));
  const ledger = watchMemory(device);
  const report = await checkGrads(lossOf, params, { args: [xs, [0, 1, 1, 0, 1]], directions: 3 });
  assert(report.passed && report.value > 0);
  assertEquals(report.leaves.map(({ path }) => path), ["head", "layer.bias", "layer.w"]);
  for (const { directions, passed } of report.leaves) {
    assert(passed);
    assertEquals(directions.length, 3);
    assert(
      directions.some(({ gradient, tolerance }) => Math.abs(gradient) > 2 * tolerance),
      "slopes too small to tell",
    );
  }
  assertEquals(ledger.held(), []);
});

testOn(MACHINES, "checkGrads: a gradient that is wrong is found, and named", async (device, { dtype }) => {
  const params = toDevice(device, arrays) as Params;
  const xs = tensor(device, host(numbers(15, 1, 7), [5, 3]));
  const factor = dtype === "f64" ? 1.0001 : 1.2;
  const wrong = ({ layer, head }: Params): Tensor =>
    lossOf({ layer: { ...layer, w: spoil(layer.w, factor) }, head }, xs, [0, 1, 1, 0, 1]);
  await assertRejects(
    () => checkGrads(wrong, params),
    RangeError,
    "Cannot confirm the gradient of params.layer.w: along",
  );
  const report = await checkGrads(wrong, params, { onFailure: "return" });
  assertEquals(report.leaves.map(({ path, passed }) => [path, passed]), [
    ["head", true],
    ["layer.bias", true],
    ["layer.w", false],
  ]);
  assert(!report.passed);
  const vanished = ({ layer, head }: Params): Tensor => lossOf({ layer, head: spoil(head, NaN) }, xs, [0, 1, 1, 0, 1]);
  await assertRejects(() => checkGrads(vanished, params), RangeError, "params.head");
});

testOn(
  PRECISE,
  "checkGrads: a tensor under two names is one parameter; seeds give other directions",
  async (device) => {
    const w = tensor(device, host(numbers(9, 1, 4), [3, 3]));
    const loss = ({ a, b }: { readonly a: Tensor; readonly b: Tensor }): Tensor => mean(matmul(a, b));
    const first = await checkGrads(loss, { a: w, b: w });
    assertEquals(first.leaves.map(({ path }) => path), ["a"]);
    assertEquals(await checkGrads(loss, { a: w, b: w }), first);
    const other = await checkGrads(loss, { a: w, b: w }, { seed: 1 });
    assert(other.leaves[0]!.directions[0]!.gradient !== first.leaves[0]!.directions[0]!.gradient);
  },
);

testOn(MACHINES, "valueAndGrad: a tensor under two names has one gradient, freed with the second", async (device) => {
  const w = tensor(device, host(numbers(9, 1, 4), [3, 3]));
  const ledger = watchMemory(device);
  const product = ({ a, b }: { readonly a: Tensor; readonly b: Tensor }): Tensor => mean(matmul(a, b));
  const { value, grads } = await valueAndGrad(product)({ a: w, b: w });
  value.dispose();
  const expected = await toHost(grads.a);
  grads.a.dispose();
  assertEquals([await toHost(grads.b), ledger.held().length], [expected, 1]);
  grads.b.dispose();
  assertEquals(ledger.held(), []);
});

testOn(PRECISE, "checkGrads: wrong calls", async (device) => {
  const w = tensor(device, host([1, 2], [2]));
  const loss = ({ w }: { readonly w: Tensor }): Tensor => mean(w);
  const table: [call: () => Promise<unknown>, message: string][] = [
    [() => checkGrads(loss, { w }, { steps: 1 } as never), "Cannot check gradients: options may have"],
    [() => checkGrads(loss, { w }, { directions: 0 }), "directions must be a whole number of at least 1, got 0"],
    [() => checkGrads(loss, { w }, { step: 0 }), "step must be a number above 0, got 0"],
    [() => checkGrads(loss, { w }, { args: 3 } as never), "args must be a list, got 3"],
    [() => checkGrads(loss, { w }, { onFailure: "ignore" } as never), 'onFailure must be "throw" or "return"'],
    [() => checkGrads(3 as never, { w }), "expected a function of parameters, got 3"],
    [() => checkGrads(({ w }: { readonly w: Tensor }) => w, { w }), "must return a tensor of shape (), got (2,)"],
  ];
  for (const [call, message] of table) await assertRejects(call, Error, message);
});
