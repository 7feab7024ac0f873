import { assertEquals, assertThrows } from "@std/assert";
import {
  adam,
  adamw,
  applyGradients,
  applyUpdates,
  chain,
  clipByGlobalNorm,
  disposeTree,
  openDevice,
  type Optimizer,
  sgd,
  type Tensor,
  tensor,
  toHost,
} from "../../mod.ts";
import { host } from "../solve/arrays.ts";
import { PRECISE, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";

type AnyOptimizer = {
  init(params: unknown): unknown;
  update(grads: unknown, state: unknown, params: unknown): unknown;
};
const loose = (optimizer: unknown): AnyOptimizer => optimizer as AnyOptimizer;

Deno.test("optimizers: wrong settings are refused", () => {
  const table: [make: () => unknown, message: string][] = [
    [
      () => adam("fast" as never),
      'Cannot make adam(): the learning rate must be a finite number or a function of the count, got "fast"',
    ],
    [() => adam(NaN), "the learning rate must be a finite number or a function of the count, got NaN"],
    [() => adam(0.1, { b1: 1 }), "Cannot make adam(): b1 must be a finite number at least 0 and below 1, got 1"],
    [() => adam(0.1, { eps: -1 }), "eps must be a finite number at least 0, got -1"],
    [() => adam(0.1, { beta1: 0.9 } as never), "options may have b1, b2, eps, got beta1"],
    [
      () => adamw(0.1, { weightDecay: -1 }),
      "Cannot make adamw(): weightDecay must be a finite number at least 0, got -1",
    ],
    [() => adamw(0.1, { mask: { w: true } as never }), "mask must be a function of the path of a parameter"],
    [() => sgd(0.1, { momentum: 1 }), "momentum must be a finite number at least 0 and below 1, got 1"],
    [() => sgd(0.1, { nesterov: true }), "nesterov needs momentum above 0, got 0; leave nesterov out"],
    [() => sgd(0.1, { momentum: 0.9, nesterov: 1 as never }), "nesterov must be true or false, got 1"],
    [() => clipByGlobalNorm(0), "Cannot make clipByGlobalNorm(): max must be a finite number above 0, got 0"],
    [() => chain(), "Cannot make chain(): expected at least one optimizer, got none"],
    [
      () => chain(sgd(0.1), 0.1 as never),
      "Cannot make chain(), part 1: expected an optimizer, such as adam(1e-3), got 0.1",
    ],
  ];
  for (const [make, message] of table) assertThrows(make, Error, message);
});

testOn(PRECISE, "optimizers: trees and states that do not fit are refused, and nothing is left", async (device) => {
  await using other = await openDevice({ backend: "cpu", dtype: "f64" });
  const on = (shape: number[], on = device): Tensor =>
    tensor(on, host(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape));
  const params = { w: on([2]), layer: { b: on([]) } };
  const good = { w: on([2]), layer: { b: on([]) } };
  const integers = tensor(device, { data: Uint32Array.of(1), shape: [1] });
  const ledger = watchMemory(device);
  for (
    const [name, optimizer] of Object.entries({ adam: adam(0.1), sgd: sgd(0.1, { momentum: 0.5 }), adamw: adamw(0.1) })
  ) {
    const { init, update } = loose(optimizer);
    const state = init(params);
    const context = `Cannot update by ${name}(): `;
    const held = ledger.held();
    const table: [call: () => unknown, message: string][] = [
      [() => init({}), `Cannot begin with ${name}(): params must have at least one tensor, got none`],
      [() => init(params.w), "params must be a record of tensors, got an object of DeviceTensor"],
      [() => init({ w: integers }), "params.w must have dtype f64, got u32"],
      [() => init({ w: params.w, v: on([1], other) }), "lives on another device than the rest"],
      [() => init({ a: params.w, b: params.w }), "params.a and params.b are one tensor, which steps would part"],
      [
        () => init({ w: { data: new Float64Array(2), shape: [2] } }),
        "params.w must be a tensor on a device, got host data; use toDevice()",
      ],
      [
        () => update({ w: good.w }, state, params),
        `${context}grads must be { layer.b, w }, as params are, but layer.b missing`,
      ],
      [() => update({ ...good, v: good.w }, state, params), "but v unknown"],
      [() => update({ ...good, w: on([3]) }, state, params), "grads.w must have shape (2,), got (3,)"],
      [
        () => update({ ...good, w: on([2], other) }, state, params),
        "grads.w must be of dtype f64 on the device of params",
      ],
      [() => update(good, undefined, params), "as init() and update() of this optimizer return it, got undefined"],
      [() => update(good, { count: 0 }, params), "of this optimizer return it, got { count }"],
      [() => update(good, { ...(state as object), count: 0.5 }, params), "the state must be { count, "],
      [() => update(good, init({ w: params.w }), params), "as params are, but layer.b missing"],
    ];
    for (const [call, message] of table) assertThrows(call, Error, message);
    // The state of one tensor, made for the last.
    const rest = ledger.held().filter((label) => !held.includes(label) && !label.startsWith("a tensor"));
    assertEquals(rest, [], name);
  }
  assertThrows(
    () => applyUpdates(params, { w: good.w }),
    TypeError,
    "Cannot apply updates: updates must be { layer.b, w }",
  );
  const wild = adam((count) => count === 0 ? 0.1 : Infinity);
  const { state } = wild.update(good, wild.init(params), params);
  assertThrows(
    () => wild.update(good, state, params),
    RangeError,
    "Cannot update by adam(): the learning rate must be a finite number, got Infinity at step 1",
  );
  assertThrows(
    () => applyGradients(3 as never, { params, grads: good, state: {} }),
    TypeError,
    "Cannot apply gradients: expected an optimizer, such as adam(1e-3), got 3",
  );
  assertThrows(
    () => applyGradients(sgd(0.1), { params, gradients: good, state: { count: 0 } } as never),
    TypeError,
    "the second argument may have params, grads, state, got gradients",
  );
});

testOn(PRECISE, "applyGradients: what is passed through is not disposed, the rest is", async (device) => {
  const ledger = watchMemory(device);
  // Gradients are updates, and the parameters of before are the state.
  const custom: Optimizer<{ before: Tensor }> = {
    init: () => ({ before: tensor(device, host([0], [1])) }),
    update: (grads, _, params) => ({ updates: grads, state: { before: params.w as Tensor } }),
  };
  let params = { w: tensor(device, host([1], [1])) };
  let state = custom.init(params);
  for (let step = 0; step < 3; step++) {
    const grads = { w: tensor(device, host([10], [1])) };
    ({ params, state } = applyGradients(custom, { params, grads, state }));
  }
  assertEquals([(await toHost(params.w)).data[0], (await toHost(state.before)).data[0]], [31, 21]);
  assertEquals(ledger.held().length, 2);
  disposeTree(params, state);
  assertEquals(ledger.held(), []);
  const twice = chain(custom as Optimizer, sgd(0.5));
  const grads = { w: tensor(device, host([10], [1])) };
  params = { w: tensor(device, host([1], [1])) };
  const answer = applyGradients(twice, { params, grads, state: twice.init(params) });
  assertEquals((await toHost(answer.params.w)).data[0], -4);
  disposeTree(answer.params, answer.state);
  assertEquals(ledger.held(), []);
});
