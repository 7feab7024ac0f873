import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  defineStep,
  type Device,
  elman,
  gru,
  type InitOptions,
  lem,
  lstm,
  openDevice,
  solve,
  type Step,
  type Tensor,
  toHost,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { isTensor } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { numbers } from "../solve/arrays.ts";

const CELLS: readonly [step: Step, hidden: number][] = [
  [gru({ input: 4, hidden: 9 }), 9],
  [gru({ input: 20, hidden: 7 }), 7],
  [lstm({ input: 3, hidden: 8 }), 8],
  [elman({ input: 5, hidden: 6, activation: "relu" }), 6],
  [lem({ input: 2, hidden: 10 }), 10],
];

interface Parameter {
  readonly path: string;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

async function parameters(step: Step, device: Device, options: InitOptions = {}): Promise<Parameter[]> {
  const leaves = flattenTree<Tensor>(step.init(device, options), isTensor);
  return await Promise.all(leaves.map(async ([path, leaf]) => {
    const { data, shape } = await toHost(leaf);
    return { path, shape, data: Float64Array.from(data) };
  }));
}

const openPrecise = (): Promise<Device> => openDevice({ backend: "cpu", dtype: "f64" });

Deno.test("init: names and shapes are those that the step declares, on the device that was given", async () => {
  await using device = await openPrecise();
  for (const [step] of CELLS) {
    const shapes = flattenTree<readonly number[]>(step.params, Array.isArray);
    const tensors = flattenTree<Tensor>(step.init(device), isTensor);
    assertEquals(tensors.map(([path, { shape }]) => [path, [...shape]]), shapes.map(([path, s]) => [path, [...s]]));
    assert(tensors.every(([, tensor]) => tensor.device === device && tensor.dtype === "f64"));
  }
});

Deno.test("init: torch is uniform in ±1/√H, all of it", async () => {
  await using device = await openPrecise();
  for (const [step, hidden] of CELLS) {
    const bound = 1 / Math.sqrt(hidden);
    const all: number[] = [];
    for (const seed of [0, 1, 2, 3, 4, 5, 6, 7]) {
      for (const { path, data } of await parameters(step, device, { seed, scheme: "torch" })) {
        assert(data.every((value) => Math.abs(value) <= bound), `${step.name}: ${path} exceeds ${bound}`);
        all.push(...data);
      }
    }
    // Mean 0 and variance bound² / 3, each within five standard errors.
    const n = all.length;
    const mean = all.reduce((a, b) => a + b) / n;
    const square = all.reduce((a, b) => a + b * b, 0) / n;
    assert(Math.abs(mean) < 5 * bound / Math.sqrt(3 * n), `${step.name}: mean ${mean}`);
    assert(Math.abs(square / bound ** 2 - 1 / 3) < 5 * Math.sqrt(4 / 45 / n), `${step.name}: square ${square}`);
    assert(Math.max(...all) > 0.95 * bound && Math.min(...all) < -0.95 * bound);
  }
});

Deno.test("init: a seed gives the same parameters in f32 as in f64, another seed others", async () => {
  await using wide = await openPrecise();
  await using narrow = await openDevice({ backend: "cpu", dtype: "f32" });
  for (const [step] of CELLS) {
    for (const scheme of ["torch", "glorot", "orthogonal"] as const) {
      const exact = await parameters(step, wide, { seed: 3, scheme });
      const rounded = await parameters(step, narrow, { seed: 3, scheme });
      assertEquals(rounded, exact.map((p) => ({ ...p, data: p.data.map(Math.fround) })));
      assertEquals(await parameters(step, wide, { seed: 3, scheme }), exact);
      const other = await parameters(step, wide, { seed: 4, scheme });
      for (const [i, { path, data }] of exact.entries()) {
        if (data.every((value) => value === 0)) continue;
        assert(data.some((value, k) => value !== other[i]!.data[k]), `${step.name}: ${path} does not know its seed`);
      }
    }
    assertEquals(await parameters(step, wide), await parameters(step, wide, { seed: 0, scheme: "torch" }));
  }
});

Deno.test("init: glorot has bounds of its own for each matrix of a gate, and no biases", async () => {
  await using device = await openPrecise();
  for (const [step, hidden] of CELLS) {
    for (const { path, shape, data } of await parameters(step, device, { seed: 1, scheme: "glorot" })) {
      if (shape.length < 2) {
        assert(data.every((value) => value === 0), `${step.name}: ${path} is not 0`);
        continue;
      }
      const bound = Math.sqrt(6 / (hidden + shape[1]!));
      const largest = Math.max(...data.map(Math.abs));
      assert(largest <= bound && largest > 0.8 * bound, `${step.name}: ${path} reaches ${largest} of ${bound}`);
    }
  }
});

Deno.test("init: orthogonal makes each gate orthonormal in its shorter direction: Q Qᵀ = I or Qᵀ Q = I", async () => {
  await using device = await openPrecise();
  for (const [step, hidden] of CELLS) {
    for (const { path, shape, data } of await parameters(step, device, { seed: 2, scheme: "orthogonal" })) {
      if (shape.length < 2) {
        assert(data.every((value) => value === 0), `${step.name}: ${path} is not 0`);
        continue;
      }
      const [rows, columns] = shape as [number, number];
      for (let gate = 0; gate < rows / hidden; gate++) {
        const q = (i: number, j: number): number => data[(gate * hidden + i) * columns + j]!;
        const wide = hidden <= columns;
        const [short, long] = wide ? [hidden, columns] : [columns, hidden];
        for (let i = 0; i < short; i++) {
          for (let j = 0; j < short; j++) {
            let dot = 0;
            for (let k = 0; k < long; k++) dot += wide ? q(i, k) * q(j, k) : q(k, i) * q(k, j);
            assertAlmostEquals(dot, i === j ? 1 : 0, 1e-14, `${step.name}: ${path}, gate ${gate}, ${i}, ${j}`);
          }
        }
      }
    }
  }
});

Deno.test("init: a step of the user's own, with a tree of parameters and units of its own", async () => {
  await using device = await openPrecise();
  const step = defineStep({
    name: "own",
    state: 2,
    input: 1,
    params: { layer: { weight: [8, 3], bias: [8] }, out: [2, 8], gain: [] },
    units: 8,
    step: ({ h, x, p }) =>
      ops.mul(p.gain, ops.matvec(p.out, ops.tanh(ops.add(ops.matvec(p.layer.weight, ops.concat(h, x)), p.layer.bias)))),
  });
  const all = await parameters(step, device, { seed: 5 });
  assertEquals(all.map(({ path }) => path), ["gain", "layer.bias", "layer.weight", "out"]);
  assert(all.every(({ data }) => data.every((value) => Math.abs(value) <= 1 / Math.sqrt(8))));
  const xs = { data: numbers(30), shape: [30, 1] };
  using solution = await solve(step, { params: step.init(device, { seed: 5 }), xs }, { method: "deer" });
  assertEquals(solution.ys.shape, [30, 2]);
});
