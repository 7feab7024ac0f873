import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { defineStep, type Device, type InitOptions, openDevice, type Tensor, type Tree } from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { gilr } from "../../src/layers/gilr.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import type { SequenceLayer } from "../../src/layers/linear_layer.ts";
import { minGru } from "../../src/layers/min_gru.ts";
import { minLstm } from "../../src/layers/min_lstm.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { sru } from "../../src/layers/sru.ts";
import { stack } from "../../src/layers/stack.ts";
import { stronglyTyped } from "../../src/layers/strongly_typed.ts";
import { isTensor } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { read } from "../solve/arrays.ts";
import { LAYER_CASES } from "./cases.ts";

const openPrecise = (): Promise<Device> => openDevice({ backend: "cpu", dtype: "f64" });

async function parameters(
  layer: { init(device: Device, options?: InitOptions): Tree<Tensor> },
  device: Device,
  options?: InitOptions,
): Promise<Record<string, Float64Array>> {
  const leaves = flattenTree<Tensor>(layer.init(device, options), isTensor);
  return Object.fromEntries(await Promise.all(leaves.map(async ([path, leaf]) => [path, await read(leaf)])));
}

/** Fails unless the numbers are uniform in ±bound: inside, and with a second moment of bound² / 3 within 5 standard errors. */
function assertUniform(values: Float64Array, bound: number, what: string): void {
  assert(values.every((value) => Math.abs(value) <= bound), `${what}: beyond ±${bound}`);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const square = values.reduce((a, b) => a + b * b, 0) / values.length;
  assert(Math.abs(mean) < 5 * bound / Math.sqrt(3 * values.length), `${what}: mean ${mean}`);
  const spread = 5 * bound ** 2 * Math.sqrt(4 / 45 / values.length);
  assert(Math.abs(square - bound ** 2 / 3) < spread, `${what}: mean square ${square}, bound ${bound}`);
}

const size = { input: 12, hidden: 30 };
/** What the papers, or their codes, say: ± a bound, or one number for each gate. */
const RULES: readonly [layer: SequenceLayer, rules: Record<string, number | readonly number[]>][] = [
  [sru(size), { weight_ih: 0.5, weight_skip: 0.5, bias: [0] }],
  [sru({ ...size, forgetBias: 4 }), { weight_ih: 0.5, weight_skip: 0.5, bias: [0, 4, 0] }],
  [qrnn(size), { weight_ih: 12 ** -0.5, bias: 12 ** -0.5 }],
  [qrnn({ ...size, window: 3 }), { weight_ih: 1 / 6, bias: 1 / 6 }],
  [stronglyTyped(size), { weight_ih: 12 ** -0.5, bias: 12 ** -0.5 }],
  [stronglyTyped({ ...size, kind: "t-gru" }), { weight_ih: 24 ** -0.5, bias: 24 ** -0.5 }],
  [minGru(size), { weight_ih: 12 ** -0.5, bias: 12 ** -0.5 }],
  [minLstm(size), { weight_ih: 12 ** -0.5, bias: 12 ** -0.5 }],
  [gilr(size), { weight_ih: 0.05, bias: [0, 0] }],
  [gilr({ ...size, forgetBias: 3 }), { weight_ih: 0.05, bias: [3, 0] }],
  [gilrLstm(size), {
    "surrogate.weight_ih": 0.05,
    "surrogate.bias": [0, 0],
    weight_ih: 0.05,
    weight_hh: 0.05,
    bias: [5, 0, 0, 0],
  }],
  [gilrLstm({ ...size, forgetBias: 1 }), {
    "surrogate.weight_ih": 0.05,
    "surrogate.bias": [0, 0],
    weight_ih: 0.05,
    weight_hh: 0.05,
    bias: [1, 0, 0, 0],
  }],
];

Deno.test("init of layers: by the rules of their papers, or of their codes", async () => {
  await using device = await openPrecise();
  for (const [layer, rules] of RULES) {
    for (const options of [{ seed: 1 }, { seed: 1, scheme: "own" as const }]) {
      const found = await parameters(layer, device, options);
      assertEquals(Object.keys(found).sort(), Object.keys(rules).sort(), layer.name);
      for (const [path, rule] of Object.entries(rules)) {
        const values = found[path]!;
        const what = `${layer.name}: ${path}`;
        if (typeof rule === "number") assertUniform(values, rule, what);
        else {
          const rows = values.length / rule.length;
          assertEquals(Array.from(values), rule.flatMap((value) => Array<number>(rows).fill(value)), what);
        }
      }
    }
  }
});

Deno.test("init of layers: the same numbers from the same seed, others from another; other schemes take the place", async () => {
  await using device = await openPrecise();
  for (const { name, make } of LAYER_CASES) {
    const layer = make();
    const first = await parameters(layer, device, { seed: 3 });
    assertEquals(await parameters(layer, device, { seed: 3 }), first, name);
    assertEquals(await parameters(layer.cell, device, { seed: 3 }), first, name);
    assertNotEquals((await parameters(layer, device, { seed: 4 }))["weight_ih"], first["weight_ih"]);
    for (const [path, values] of Object.entries(await parameters(layer, device, { seed: 3, scheme: "torch" }))) {
      assertUniform(values, 1 / Math.sqrt(layer.hidden), `${name}: ${path}`);
    }
    for (const scheme of ["glorot", "orthogonal"] as const) {
      const { bias, weight_ih } = await parameters(layer, device, { scheme });
      assert(bias!.every((value) => value === 0), `${name}: ${scheme} has a bias`);
      assert(weight_ih!.some((value) => value !== 0), `${name}: ${scheme} has no weights`);
    }
  }
});

Deno.test("init of stacks: each layer by its own rules, with a seed of its own, the first by that of the stack", async () => {
  await using device = await openPrecise();
  const own = gilrLstm({ input: 4, hidden: 4 });
  const two = stack([own, own]);
  const found = await parameters(two, device, { seed: 9 });
  const first = await parameters(own, device, { seed: 9 });
  for (const [path, values] of Object.entries(first)) {
    assertEquals(found[`layer0.${path}`], values);
    if (!path.endsWith("bias")) assertNotEquals(found[`layer1.${path}`], values);
  }
  assertEquals(Array.from(found["layer1.bias"]!.slice(0, 4)), [5, 5, 5, 5]);
  assertNotEquals(await parameters(two, device, { seed: 10 }), found);
  const torch = await parameters(two, device, { seed: 9, scheme: "torch" });
  assertUniform(torch["layer1.weight_ih"]!, 0.5, "a stack by torch");
});

Deno.test("init of steps: rules of one's own, the rest as torch; wrong rules are refused", async () => {
  await using device = await openPrecise();
  const define = (init: unknown): ReturnType<typeof defineStep> =>
    defineStep({
      name: "own",
      state: 2,
      input: 2,
      params: { layer: { weight: [4, 2], bias: [4] }, gain: [], rest: [50, 50] },
      units: 4,
      init: init as never,
      step: ({ h, x, p }) => ops.mul(p.gain, ops.add(h, ops.slice(ops.matvec(p.layer.weight, x), 0, 2))),
    });
  const rules = { layer: { weight: [{ uniform: 0.25 }, 1], bias: [1, 2, 3, 4] }, gain: 0.5 };
  const found = await parameters(define(rules), device, { seed: 2 });
  assertEquals(Array.from(found["layer.bias"]!), [1, 2, 3, 4]);
  assertEquals(Array.from(found["gain"]!), [0.5]);
  assertEquals(Array.from(found["layer.weight"]!.slice(4)), [1, 1, 1, 1]);
  assert(found["layer.weight"]!.slice(0, 4).every((value) => value !== 0 && Math.abs(value) <= 0.25));
  assertUniform(found["rest"]!, 0.5, "the rest");
  const refused: [init: unknown, message: string][] = [
    [3, 'Cannot define "own": init must be a record of rules, got 3'],
    [{ weight: 1 }, 'Cannot define "own": init has a rule for "weight", which is no parameter'],
    [{ layer: { wieght: 1 } }, 'Cannot define "own": init has a rule for "layer.wieght", which is no parameter'],
    [{ layer: 1 }, 'Cannot define "own": init has a rule for "layer", which is no parameter'],
    [
      { gain: NaN },
      'init of "gain" must be a finite number, { uniform: number }, "he-uniform", "glorot-uniform", "lecun-normal", "orthogonal" or a list of these, got NaN',
    ],
    [
      { gain: "zero" },
      'init of "gain" must be a finite number, { uniform: number }, "he-uniform", "glorot-uniform", "lecun-normal", "orthogonal" or a list of these, got "zero"',
    ],
    [{ gain: { normal: 1 } }, '"orthogonal" or a list of these, got an object of Object'],
    [{ layer: { bias: [1, [2]] } }, 'init of "layer.bias" must be a finite number'],
    [{ layer: { bias: [1, 2, 3] } }, "as many rules as gates of equal size, got 3 for shape (4,)"],
    [{ layer: { bias: [] } }, "as many rules as gates of equal size, got 0 for shape (4,)"],
    [{ gain: [1, 2] }, "as many rules as gates of equal size, got 2 for shape ()"],
  ];
  for (const [init, message] of refused) assertThrows(() => define(init), Error, message);
});
