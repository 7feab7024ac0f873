import { assertEquals, assertThrows } from "@std/assert";
import {
  bidirectional,
  defineMap,
  dense,
  type Device,
  gilr,
  gru,
  type HostTensor,
  map,
  openDevice,
  ops,
  pool,
  qrnn,
  recurrent,
  reversed,
  type SequenceLayer,
  stack,
  sum,
  type Tensor,
  tensor,
  toDevice,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { isTensor, type TensorLike } from "../../src/tensor.ts";
import { weighted } from "../grad/finite.ts";
import { assertClose, assertSame, goldenTensors, host, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { someInputs, someParams, treeOf } from "./cases.ts";
import { goldenTree } from "./models.ts";

const GOLDEN = goldenTensors("models/bidirectional");
const golden = (name: string): HostTensor => GOLDEN[name]!;
const lengths = Array.from(golden("lengths").data);
const cell = gru({ input: 3, hidden: 4 });

const LAYERS: Readonly<Record<string, SequenceLayer>> = {
  "one layer for both": bidirectional(recurrent(cell, { method: "deer" })),
  "two layers": bidirectional(recurrent(cell, { method: "sequential" }), recurrent(cell, { reverse: true })),
};

type Given = { readonly p: Tree<Tensor>; readonly x: Tensor; readonly h0: Tensor };
const givenOn = (device: Device): Given => ({
  p: toDevice(device, goldenTree(GOLDEN, "p.")),
  x: tensor(device, golden("x")),
  h0: tensor(device, golden("h0")),
});

/** `Σ y weights` of each step, and at the first step `Σ hT end`. */
const weigh = defineMap({
  name: "weigh",
  inputs: { y: [8], weights: [8], hT: { shape: [8], per: "sequence" }, end: { shape: [8], per: "sequence" } },
  params: {},
  map: ({ y, weights, hT, end, t }) =>
    ops.add(ops.sum(ops.mul(y, weights)), ops.where(ops.equal(t, 0), ops.sum(ops.mul(hT, end)), 0)),
});

async function assertGradients(
  grads: Tree<Tensor>,
  expected: (path: string) => HostTensor,
  tolerance: number,
): Promise<void> {
  const found = flattenTree<Tensor>(grads, isTensor);
  assertEquals(found.length, 10);
  for (const [path, gradient] of found) {
    assertEquals(gradient.shape, expected(path).shape);
    assertClose(await read(gradient), expected(path).data, tolerance, path);
  }
}

for (const [name, layer] of Object.entries(LAYERS)) {
  testOn(MACHINES, `bidirectional: ${name}, outputs, states and gradients of PyTorch`, async (device, machine) => {
    assertEquals([layer.input, layer.hidden, layer.state], [3, 8, 8]);
    // Sums of up to 21 terms of numbers of up to 3.
    const tolerance = machine.dtype === "f64" ? 1e-9 : 32 * machine.epsilon;
    const wrt = givenOn(device);
    const { ys, hT } = layer.run(wrt.p, wrt.x, { h0: wrt.h0 });
    assertClose(await read(ys), golden("ys").data, tolerance, "ys");
    assertClose(await read(hT), golden("hT").data, tolerance, "hT");
    const [weights, end] = [tensor(device, golden("weights")), tensor(device, golden("weights_end"))];
    const loss = valueAndGrad(({ p, x, h0 }: Given) => {
      const { ys, hT } = layer.run(p, x, { h0 });
      return sum(map(weigh, { inputs: { y: ys, weights, hT, end } }));
    });
    const { grads } = await loss(wrt as Given & Tree<Tensor>);
    await assertGradients(grads as Tree<Tensor>, (path) => golden(`d.${path}`), tolerance);
    using one = layer.apply(wrt.p, rowOf(golden("x"), 2), { h0: rowOf(golden("h0"), 2) });
    assertClose(await read(one), rowOf(golden("ys"), 2).data, tolerance, "one sequence");
  });

  testOn(
    MACHINES,
    `bidirectional: ${name}, sequences of unequal lengths, as PyTorch packs them`,
    async (device, machine) => {
      const tolerance = machine.dtype === "f64" ? 1e-9 : 32 * machine.epsilon;
      const wrt = givenOn(device);
      const weights = golden("weights");
      // What lies in the padding must not matter.
      const mask = weights.data.map((_, i) => Math.floor(i / 8) % 7 < lengths[Math.floor(i / 56)]! ? 1 : 0);
      const padded = golden("x").data.map((value, i) =>
        Math.floor(i / 3) % 7 < lengths[Math.floor(i / 21)]! ? value : 99
      );
      const x = tensor(device, host(padded, golden("x").shape));
      const masked = tensor(device, host(weights.data.map((value, i) => value * mask[i]!), weights.shape));
      using ys = layer.apply(wrt.p, x, { h0: wrt.h0, lengths });
      const seen = (await read(ys)).map((value, i) => value * mask[i]!);
      assertClose(seen, golden("padded.ys").data, tolerance, "ys");
      const loss = valueAndGrad(({ p, x, h0 }: Given) => weighted(layer.apply(p, x, { h0, lengths }), masked, [8]));
      const { grads } = await loss({ ...wrt, x } as Given & Tree<Tensor>);
      await assertGradients(grads as Tree<Tensor>, (path) => golden(`padded.d.${path}`), tolerance);
    },
  );
}

testOn(MACHINES, "reversed: what a layer that runs backward by itself gives", async (device, { epsilon }) => {
  for (const [make, window] of [[gilr, 1], [qrnn, 3]] as const) {
    const options = { input: 3, hidden: 4, ...(window > 1 && { window }) };
    const [forward, own] = [make(options), make({ ...options, reverse: true })];
    const other = reversed(forward);
    const params = treeOf(someParams(forward));
    for (const [batch, time] of [[3, 9], [1, 5], [2, 1], [2, 0]] as const) {
      const { xs, h0 } = someInputs(forward, batch, time);
      const [expected, found] = [own.run(params, xs, { device, h0 }), other.run(params, xs, { device, h0 })];
      assertEquals([found.ys.shape, found.hT.shape], [expected.ys.shape, expected.hT.shape]);
      assertClose(await read(found.ys), await read(expected.ys), 8 * epsilon, `${batch} × ${time}`);
      assertClose(await read(found.hT), await read(expected.hT), 8 * epsilon, `hT, ${batch} × ${time}`);
    }
  }
});

testOn(PRECISE, "bidirectional: in a stack; twice reversed; told with the names of the directions", async (device) => {
  const both = bidirectional(recurrent(gru({ input: 2, hidden: 2 }), { method: "deer" }));
  const model = stack([both, dense({ input: 4, output: 2 }), both]);
  assertEquals([model.state, model.hidden], [8, 4]);
  const params = model.init(device, { seed: 3 });
  const paths: string[] = [];
  const { xs } = someInputs({ input: 2, state: 0 }, 2, 5);
  model.apply(params, xs, { onSolve: (verdict, path) => void (paths.push(path), verdict()) }).dispose();
  assertEquals(paths, ["layer0.forward", "layer0.backward", "layer2.forward", "layer2.backward"]);
  const layer = recurrent(gru({ input: 2, hidden: 2 }));
  const p = layer.init(device);
  using twice = reversed(reversed(layer)).apply(p, xs);
  using once = layer.apply(p, xs);
  assertSame(await read(twice), await read(once), "twice reversed");
});

Deno.test("bidirectional: no two parts start alike, however a model is nested", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const layer = recurrent(gru({ input: 4, hidden: 4 }));
  const wide = stack([bidirectional(layer), dense({ input: 8, output: 4 })]);
  const model = stack([stack([layer, layer]), wide, layer, wide]);
  const flat = stack([layer, layer, wide, layer, wide]);
  const all = async (tree: Tree<Tensor>): Promise<string[]> =>
    await Promise.all(
      flattenTree<Tensor>(tree, isTensor).filter(([path]) => path.endsWith("weight_hh"))
        .map(async ([, leaf]) => (await read(leaf)).join()),
    );
  const found = await all(model.init(device, { seed: 5 }));
  assertEquals(found.length, 7);
  assertEquals(new Set(found).size, 7);
  assertEquals(await all(flat.init(device, { seed: 5 })), found);
});

testOn(PRECISE, "bidirectional, reversed: wrong calls say what was expected, and what came", (device) => {
  const layer = recurrent(cell);
  const both = LAYERS["two layers"]!;
  const p = goldenTree(GOLDEN, "p.");
  const wrong = <T>(value: unknown): T => value as T;
  const name = 'Cannot apply "bidirectional gru"';
  const xs = golden("x");
  const pooled = stack([layer, pool({ size: 4 })]);
  // A layer by hand, which does not say what it does.
  const silent = reversed({ ...pooled, pools: false });
  const on = (lengths: unknown): { device: Device; lengths: never } => ({ device, lengths: lengths as never });
  const table: readonly [call: () => unknown, message: string][] = [
    [() => bidirectional(wrong(cell)), "Cannot make bidirectional(): the forward layer must be made by"],
    [() => bidirectional(layer, wrong(3)), "Cannot make bidirectional(): the backward layer must be made by"],
    [() => bidirectional(layer, dense({ input: 2, output: 4 })), "both layers must have input 3, got 2 for the second"],
    [() => both.apply({ ...p, both: {} }, xs, { device }), `${name}: params may have forward, backward, got both`],
    [() => both.apply({ forward: p["forward"]! }, xs, { device }), `${name}: params.backward must be a record`],
    [() => both.apply(p, host([1], [1]), { device }), `${name}: xs must have shape (B, T, 3) or (T, 3), got (1,)`],
    [() => both.apply(p, xs, { device, h0: host([1], [1]) }), `${name}: h0 must have shape (3, 8) or (8,), got (1,)`],
    [() => both.apply(p, xs, wrong({ device, steps: 3 })), `${name}: options may have h0, carry`],
    [() => both.apply(p, wrong<TensorLike>(3), { device }), `${name}: xs must be a tensor or { data, shape }, got 3`],
    [
      () => reversed(pooled),
      'Cannot reverse: the layer must keep the steps, got "stack of gru, pool", which makes one row of them',
    ],
    [
      () => bidirectional(layer, recurrent(cell)),
      'Cannot make bidirectional(): one layer must run forward in time, the other backward, got "gru" and "gru", both forward; ' +
      "give reversed(layer) as the second",
    ],
    [
      () => bidirectional(reversed(layer), gilr({ input: 3, hidden: 1, reverse: true })),
      "both backward; give reversed",
    ],
    [() => bidirectional(stack([layer, dense({ input: 4, output: 4 })]), layer), "both forward; give"],
    [
      () => bidirectional(pooled, reversed(layer)),
      'both layers must keep the steps, or none, got "stack of gru, pool", which does not',
    ],
    [() => bidirectional(reversed(layer), pooled), 'or none, got "stack of gru, pool", which does not'],
    [
      () => silent.apply({ layer0: p["forward"]! }, xs, { device }),
      "the layer must keep the steps, got (3, 4) from (3, 7, 3)",
    ],
    [() => both.apply(p, xs, on([7, 3])), "lengths must be 3 whole numbers, one for each sequence, got 2"],
    [() => both.apply(p, xs, on(3)), "lengths must be 3 whole numbers, one for each sequence, got 3"],
    [() => both.apply(p, xs, on([7, 3, 8])), "lengths must be whole numbers from 1 to 7, got 8 at 2"],
    [() => both.apply(p, xs, on([7, 3, 0])), "lengths must be whole numbers from 1 to 7, got 0 at 2"],
    [
      () => both.apply(p, xs, on(tensor(device, { data: Uint32Array.from(lengths), shape: [3] }))),
      "lengths must be in host memory, as rows are put in order by them; give a list",
    ],
  ];
  for (const [call, message] of table) assertThrows(call, Error, message);
  return Promise.resolve();
});
