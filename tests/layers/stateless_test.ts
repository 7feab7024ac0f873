import { assert, assertEquals } from "@std/assert";
import {
  checkGrads,
  dense,
  type DenseActivation,
  gru,
  type HostTensor,
  layerNorm,
  mlp,
  openDevice,
  pool,
  recurrent,
  residual,
  stack,
  sum,
  type Tensor,
  tensor,
  toDevice,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { isTensor } from "../../src/tensor.ts";
import { weighted } from "../grad/finite.ts";
import { assertClose, assertSame, goldenTensors, host, numbers, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { someInputs, someParams, treeOf } from "./cases.ts";
import { goldenTree } from "./models.ts";

const ACTIVATIONS: readonly DenseActivation[] = ["identity", "tanh", "elu", "relu", "gelu", "sigmoid", "softplus"];
const GOLDEN = goldenTensors("models/activations");

for (const activation of ACTIVATIONS) {
  testOn(MACHINES, `dense: ${activation}, outputs and gradients of PyTorch`, async (device, { epsilon }) => {
    const layer = dense({ input: 3, output: 5, activation });
    const golden = (name: string): HostTensor => GOLDEN[`${activation}.${name}`]!;
    const wrt = { p: toDevice(device, goldenTree(GOLDEN, "p.")), x: tensor(device, GOLDEN["x"]!) };
    const weights = tensor(device, GOLDEN["weights"]!);
    // Sums of four numbers of up to 3.
    const tolerance = 16 * epsilon;
    using ys = layer.apply(wrt.p, wrt.x);
    assertClose(await read(ys), golden("ys").data, tolerance, activation);
    const loss = valueAndGrad(({ p, x }: typeof wrt) => weighted(layer.apply(p, x), weights, [5]));
    const { grads } = await loss(wrt);
    const found = flattenTree<Tensor>(grads as Tree<Tensor>, isTensor);
    assertEquals(found.map(([path]) => path), ["p.bias", "p.weight", "x"]);
    for (const [path, gradient] of found) {
      assertClose(await read(gradient), golden(`d.${path}`).data, tolerance, path);
    }
  });
}

/** `W x + b` of rows, by loops. */
function plainDense(x: HostTensor, weight: HostTensor, bias: HostTensor | undefined): number[] {
  const [outputs, inputs] = weight.shape as [number, number];
  return Array.from({ length: x.data.length / inputs * outputs }, (_, e) => {
    const [r, i] = [Math.floor(e / outputs), e % outputs];
    let total = bias?.data[i] ?? 0;
    for (let j = 0; j < inputs; j++) total += weight.data[i * inputs + j]! * x.data[r * inputs + j]!;
    return total;
  });
}

testOn(MACHINES, "dense: over the last axis of any shape, with and without bias", async (device, { epsilon }) => {
  for (const bias of [true, false]) {
    // 80 × 64: a product of matrices on WebGPU.
    for (const [input, output] of [[3, 2], [1, 1], [64, 80]] as const) {
      const layer = dense({ input, output, bias });
      const flat = someParams(layer);
      assertEquals(Object.keys(flat).sort(), bias ? ["bias", "weight"] : ["weight"]);
      for (const lead of [[], [4], [2, 3], [2, 1, 3, 2], [0], [2, 0]]) {
        const size = lead.reduce((a, b) => a * b, 1);
        const x = host(numbers(size * input, 1, 5), [...lead, input]);
        using ys = layer.apply(treeOf(flat), x, { device });
        assertEquals(ys.shape, [...lead, output]);
        const expected = plainDense(x, flat["weight"]!, flat["bias"]);
        assertClose(await read(ys), expected, 32 * epsilon, `${input} to ${output} of ${lead}`);
      }
    }
  }
});

testOn(PRECISE, "dense, layerNorm: gradients of arrays of one row, and of four axes", async (device) => {
  const model = stack([
    dense({ input: 4, output: 6, activation: "tanh" }),
    layerNorm({ size: 6 }),
    dense({ input: 6, output: 1 }),
  ]);
  for (const shape of [[4], [2, 1, 3, 4]]) {
    const x = tensor(device, host(numbers(shape.reduce((a, b) => a * b, 1), 1, 9), shape));
    const wrt = { p: toDevice(device, treeOf(someParams(model))), x };
    const report = await checkGrads(({ p, x }: typeof wrt) => sum(model.apply(p, x)), wrt);
    assertEquals(report.leaves.length, 7);
  }
});

testOn(MACHINES, "mlp: dense layers with an activation between them, none at the end", async (device, { epsilon }) => {
  const layer = mlp({ sizes: [3, 5, 4, 2] });
  const flat = someParams(layer);
  assertEquals(Object.keys(flat).sort(), [0, 1, 2].flatMap((k) => [`layer${k}.bias`, `layer${k}.weight`]));
  const x = host(numbers(2 * 7 * 3), [2, 7, 3]);
  using ys = layer.apply(treeOf(flat), x, { device });
  let values = x;
  for (const k of [0, 1, 2]) {
    const next = plainDense(values, flat[`layer${k}.weight`]!, flat[`layer${k}.bias`]);
    values = host(k < 2 ? next.map((value) => Math.max(0, value)) : next, [14, [5, 4, 2][k]!]);
  }
  assertEquals(ys.shape, [2, 7, 2]);
  assertClose(await read(ys), values.data, 64 * epsilon, "mlp");
});

/** Layer normalisation by loops. */
function plainNorm({ data, shape }: HostTensor, eps: number, weight?: HostTensor, bias?: HostTensor): number[] {
  const size = shape.at(-1)!;
  return Array.from({ length: data.length / size }, (_, r) => {
    const row = Array.from(data.slice(r * size, (r + 1) * size));
    const mean = row.reduce((a, b) => a + b, 0) / size;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / size;
    return row.map((value, i) =>
      (value - mean) / Math.sqrt(variance + eps) * (weight?.data[i] ?? 1) + (bias?.data[i] ?? 0)
    );
  }).flat();
}

testOn(MACHINES, "layerNorm: against loops, with and without an affine part, far from 0", async (device, machine) => {
  for (const size of [1, 2, 6, 33]) {
    for (const [affine, eps, offset] of [[true, 1e-5, 0], [false, 1e-3, 0], [false, 1e-5, 100]] as const) {
      const layer = layerNorm({ size, affine, eps });
      const flat = affine ? someParams(layer) : {};
      const x = host(numbers(2 * 5 * size, 1, size).map((value) => value + offset), [2, 5, size]);
      using ys = layer.apply(treeOf(flat), x, { device });
      const expected = plainNorm(x, eps, flat["weight"], flat["bias"]);
      // A mean of 100 loses as many digits of the differences from it.
      const tolerance = 64 * machine.epsilon * (1 + offset);
      assertClose(await read(ys), expected, tolerance, `${size}, ${affine}, ${offset}`);
    }
  }
  // A row of equal numbers has no direction.
  using flat = layerNorm({ size: 3, affine: false }).apply({}, host([2, 2, 2], [1, 3]), { device });
  assertEquals(Array.from(await read(flat)), [0, 0, 0]);
});

Deno.test("layerNorm: starts from 1 and 0 by every scheme", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const norm = layerNorm({ size: 3 });
  for (const scheme of ["own", "torch", "glorot", "orthogonal", "he-uniform", "lecun-normal"] as const) {
    const { weight, bias } = norm.init(device, { scheme, seed: 3 }) as Record<string, Tensor>;
    assertEquals([await read(weight!), await read(bias!)], [Float64Array.of(1, 1, 1), new Float64Array(3)]);
  }
  assertEquals(layerNorm({ size: 3, affine: false }).init(device), {});
});

Deno.test("dense: starts as PyTorch's, or as one says", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const plain = dense({ input: 25, output: 400 });
  for (const scheme of ["own", "torch"] as const) {
    const { weight, bias } = plain.init(device, { scheme }) as Record<string, Tensor>;
    for (const values of [await read(weight!), await read(bias!)]) {
      assert(values.every((value) => Math.abs(value) <= 0.2) && values.some((value) => value > 0.19), scheme);
    }
  }
  const he = dense({ input: 24, output: 400, init: { weight: "he-uniform", bias: 0.5 } });
  const { weight, bias } = he.init(device) as Record<string, Tensor>;
  const values = await read(weight!);
  assert(values.every((value) => Math.abs(value) <= 0.5) && values.some((value) => value > 0.49));
  assertEquals(await read(bias!), new Float64Array(400).fill(0.5));
  const orthogonal = await read(
    (dense({ input: 3, output: 6 }).init(device, { scheme: "orthogonal" }) as Record<string, Tensor>)["weight"]!,
  );
  // One matrix of 6 × 3 with orthonormal columns, not two of 3 × 3.
  for (let i = 0; i < 3; i++) {
    let dot = 0;
    for (let r = 0; r < 6; r++) dot += orthogonal[3 * r + i]! * orthogonal[3 * r]!;
    assertClose([dot], [i === 0 ? 1 : 0], 1e-14, `column ${i}`);
  }
});

testOn(MACHINES, "pool: the mean over steps, of so many as count, and the last step", async (device, { epsilon }) => {
  const x = host(numbers(3 * 4 * 2), [3, 4, 2]);
  const rows = (b: number, count: number): number[][] =>
    Array.from({ length: count }, (_, t) => Array.from(x.data.slice((4 * b + t) * 2, (4 * b + t + 1) * 2)));
  const means = (counts: readonly number[]): number[] =>
    counts.flatMap((count, b) => [0, 1].map((i) => rows(b, count).reduce((sum, row) => sum + row[i]!, 0) / count));
  const layer = pool({ size: 2 });
  using all = layer.apply({}, x, { device });
  assertEquals(all.shape, [3, 2]);
  assertClose(await read(all), means([4, 4, 4]), 4 * epsilon, "all");
  using some = stack([pool({ size: 2 })]).apply({}, x, { device, lengths: [4, 1, 3] });
  assertClose(await read(some), means([4, 1, 3]), 4 * epsilon, "some");
  using one = layer.apply({}, rowOf(x, 1), { device });
  assertEquals(one.shape, [2]);
  using last = pool({ size: 2, over: "last" }).apply({}, x, { device });
  assertSame(await read(last), [0, 1, 2].flatMap((b) => rows(b, 4)[3]!).map(Math.fround), "last");
});

testOn(MACHINES, "pool: what follows it works on rows; of one sequence, too", async (device) => {
  const model = stack([pool({ size: 2 }), layerNorm({ size: 2 }), dense({ input: 2, output: 3 })]);
  const params = treeOf(someParams(model));
  const x = host(numbers(3 * 4 * 2), [3, 4, 2]);
  const { ys, hT } = model.run(params, x, { device });
  assertEquals([ys.shape, hT.shape], [[3, 3], [3, 0]]);
  const all = await read(ys);
  for (const b of [0, 2]) {
    using one = model.apply(params, rowOf(x, b), { device });
    assertEquals(one.shape, [3]);
    assertSame(await read(one), all.slice(3 * b, 3 * b + 3), `sequence ${b}`);
  }
  const recurrence = stack([recurrent(gru({ input: 2, hidden: 2 })), model]);
  const p = { layer0: treeOf(someParams(recurrent(gru({ input: 2, hidden: 2 })))), layer1: params };
  const start = host(numbers(2), [2]);
  const run = recurrence.run(p, rowOf(x, 0), { device, h0: start });
  assertEquals([run.ys.shape, run.hT.shape], [[3], [2]]);
});

testOn(MACHINES, "residual: adds the input to a layer, or to a stack of them", async (device, { epsilon }) => {
  const inner = stack([dense({ input: 3, output: 4, activation: "tanh" }), dense({ input: 4, output: 3 })]);
  const flat = someParams(inner);
  const x = host(numbers(2 * 5 * 3), [2, 5, 3]);
  const { ys, hT } = residual(inner).run(treeOf(flat), x, { device });
  using alone = inner.apply(treeOf(flat), x, { device });
  const expected = (await read(alone)).map((value, i) => value + x.data[i]!);
  assertEquals(hT.shape, [2, 0]);
  assertClose(await read(ys), expected, 4 * epsilon, "residual");
  const cell = recurrent(gru({ input: 3, hidden: 3 }));
  const p = treeOf(someParams(cell));
  const { xs, h0 } = someInputs(cell, 2, 5);
  const [plain, added] = [cell.run(p, xs, { device, h0 }), residual(cell).run(p, xs, { device, h0 })];
  assertSame(await read(added.hT), await read(plain.hT), "hT");
  assertClose(await read(added.ys), (await read(plain.ys)).map((value, i) => value + xs.data[i]!), 4 * epsilon, "ys");
});
