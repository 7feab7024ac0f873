import { assert, assertEquals } from "@std/assert";
import {
  adam,
  adamw,
  applyUpdates,
  chain,
  clipByGlobalNorm,
  type Device,
  exponentialDecay,
  type HostTensor,
  openDevice,
  type Optimizer,
  sgd,
  type Tensor,
  toDevice,
  toHost,
  type Tree,
  warmupCosineDecaySchedule,
} from "../../mod.ts";
import { isTensor } from "../../src/tensor.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { goldenTensors, rowOf } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";

const torch = goldenTensors("optimizers/torch");
const optax = goldenTensors("optimizers/optax");
const STEPS = 10;
const NAMES = ["w", "layer.bias", "layer.scale"];

/** Arrays by their paths as the tree of parameters. */
const tree = (array: (name: string) => HostTensor): Tree<HostTensor> => ({
  w: array("w"),
  layer: { bias: array("layer.bias"), scale: array("layer.scale") },
});

/** The parameters after every step, by their names. */
async function run(device: Device, optimizer: Optimizer): Promise<Map<string, number[][]>> {
  let params = toDevice(device, tree((name) => torch[`param.${name}`]!));
  let state = optimizer.init(params);
  const after = new Map(NAMES.map((name) => [name, [] as number[][]]));
  for (let step = 0; step < STEPS; step++) {
    const grads = toDevice(device, tree((name) => rowOf(torch[`grad.${name}`]!, step)));
    const answer = optimizer.update(grads, state, params);
    params = applyUpdates(params, answer.updates);
    state = answer.state;
    for (const [name, leaf] of flattenTree<Tensor>(params, isTensor)) {
      after.get(name)!.push(Array.from((await toHost(leaf)).data));
    }
  }
  return after;
}

/** Fails unless all parameters after all steps are within `rtol` of the expected ones, element by element. */
function assertTrajectory(actual: Map<string, number[][]>, expected: (name: string) => HostTensor, rtol: number): void {
  for (const name of NAMES) {
    const given = actual.get(name)!;
    assertEquals(given.length, STEPS);
    given.forEach((values, step) => {
      const wanted = rowOf(expected(name), step).data;
      assertEquals(values.length, wanted.length, name);
      values.forEach((value, i) => {
        const error = Math.abs(value - wanted[i]!) / Math.abs(wanted[i]!);
        assert(error <= rtol, `${name}[${i}] after step ${step + 1} is ${value}, not ${wanted[i]}: off by ${error}`);
      });
    });
  }
}

/** No parameter comes near 0, so that errors relative to it say something. */
const TORCH: Readonly<Record<string, () => Optimizer>> = {
  adam: () => adam(0.05),
  adam_settings: () => adam(0.05, { b1: 0.8, b2: 0.95, eps: 1e-3 }),
  adamw: () => adamw((count) => 0.05 * 0.9 ** count, { weightDecay: 0.1 }),
  sgd: () => sgd(0.005),
  momentum: () => sgd(0.005, { momentum: 0.9 }),
  nesterov: () => sgd((count) => 0.005 * 0.5 ** count, { momentum: 0.9, nesterov: true }),
  // PyTorch adds 1e-6 to the norm.
  clip_adam: () => chain(clipByGlobalNorm(8), adam(0.05)),
};

for (const [name, make] of Object.entries(TORCH)) {
  testOn(MACHINES, `${name}: ten steps equal PyTorch's, to 1e-6`, async (device, { dtype }) => {
    const expected = (leaf: string): HostTensor => torch[`${name}.${dtype}.${leaf}`]!;
    assertTrajectory(await run(device, make()), expected, dtype === "f64" && name !== "clip_adam" ? 1e-13 : 1e-6);
  });
}

const warm = { initValue: 0.01, peakValue: 0.1, warmupSteps: 3, decaySteps: 9, endValue: 0.001 };
const OPTAX: Readonly<Record<string, () => Optimizer>> = {
  clip_adam: () => chain(clipByGlobalNorm(8), adam(0.05)),
  clip_nesterov: () => chain(clipByGlobalNorm(2.5), sgd(0.02, { momentum: 0.8, nesterov: true })),
  adamw: () => adamw(warmupCosineDecaySchedule(warm), { weightDecay: 0.1, mask: (path) => path === "w" }),
  momentum: () => sgd(exponentialDecay({ initValue: 0.01, transitionSteps: 4, decayRate: 0.5 }), { momentum: 0.9 }),
};

for (const [name, make] of Object.entries(OPTAX)) {
  testOn(MACHINES, `${name}: ten steps equal optax's`, async (device, { dtype }) => {
    const expected = (leaf: string): HostTensor => optax[`${name}.${leaf}`]!;
    assertTrajectory(await run(device, make()), expected, dtype === "f64" ? 1e-13 : 1e-6);
  });
}

testOn(MACHINES, "optimizers: the state is a plain tree, and nothing that they are given changes", async (device) => {
  const params = toDevice(device, tree((name) => torch[`param.${name}`]!));
  const grads = toDevice(device, tree((name) => rowOf(torch[`grad.${name}`]!, 0)));
  const optimizer = chain(clipByGlobalNorm(1), adam(0.1));
  const first = optimizer.init(params) as { 0: unknown; 1: { count: number; mu: Tree<Tensor>; nu: Tree<Tensor> } };
  assertEquals(Object.keys(first), ["0", "1"]);
  assertEquals([first[0], first[1].count], [{}, 0]);
  assertEquals(flattenTree<Tensor>(first[1].mu, isTensor).map(([path]) => path), ["layer.bias", "layer.scale", "w"]);
  const read = async (...trees: Tree<Tensor>[]): Promise<unknown> =>
    await Promise.all(trees.flatMap((tree) => flattenTree<Tensor>(tree, isTensor)).map(([, leaf]) => toHost(leaf)));
  const before = await read(params, grads, first[1].mu, first[1].nu);
  const answer = optimizer.update(grads, first as never, params);
  const again = optimizer.update(grads, first as never, params);
  assertEquals(await read(params, grads, first[1].mu, first[1].nu), before);
  assertEquals(await read(answer.updates), await read(again.updates));
  assertEquals((answer.state as typeof first)[1].count, 1);
  for (const [path, leaf] of flattenTree<Tensor>(answer.updates, isTensor)) {
    assertEquals(leaf.shape, torch[`param.${path}`]!.shape);
  }
});

Deno.test("optimizers: a leaf without elements is updated, too", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const params = toDevice(device, { none: { data: new Float32Array(0), shape: [0, 3] } });
  for (const optimizer of [adamw(0.1), sgd(0.1, { momentum: 0.5 }), chain(clipByGlobalNorm(1), adam(0.1))]) {
    const { updates } = (optimizer as Optimizer).update(params, optimizer.init(params) as never, params);
    assertEquals((applyUpdates(params, updates) as { none: Tensor }).none.shape, [0, 3]);
  }
});
