import { assertEquals, assertRejects } from "@std/assert";
import {
  defineMap,
  type Device,
  map,
  mean,
  openDevice,
  ops,
  sum,
  type Tensor,
  tensor,
  tidy,
  toHost,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";

const layer = defineMap({
  name: "layer",
  inputs: { x: [3], before: { shape: [3], shift: 1 } },
  params: { w: [3, 3], b: [3] },
  map: ({ x, before, p }) => ops.tanh(ops.add(ops.matvec(p.w, x), ops.add(before, p.b))),
});

interface Params extends Tree<Tensor> {
  readonly w: Tensor;
  readonly b: Tensor;
}
const paramsOn = (device: Device): Params => ({
  w: tensor(device, host(numbers(9), [3, 3])),
  b: tensor(device, host(numbers(3, 1, 2), [3])),
});
const inputOn = (device: Device): Tensor => tensor(device, host(numbers(30, 1, 3), [2, 5, 3]));
const twice = (x: Tensor, params: Params): Tensor => {
  const y = map(layer, { inputs: { x, before: x }, params });
  return map(layer, { inputs: { x: y, before: x }, params });
};

testOn(MACHINES, "valueAndGrad: what is disposed inside the function is kept for the gradient", async (device) => {
  const [params, x] = [paramsOn(device), inputOn(device)];
  const plain = await valueAndGrad((p: Params) => mean(twice(x, p)))(params);
  const frugal = await valueAndGrad(async (p: Params) => {
    using copy = tensor(device, await toHost(x));
    using y = await tidy(device, () => twice(copy, p));
    return mean(y);
  })(params);
  for (const name of ["w", "b"] as const) {
    assertEquals(await read(frugal.grads[name]), await read(plain.grads[name]), name);
  }
});

testOn(MACHINES, "valueAndGrad: calls that overlap in time do not meet", async (device) => {
  const [params, x] = [paramsOn(device), inputOn(device)];
  const slow = valueAndGrad(async (p: Params, turns: number) => {
    const y = twice(x, p);
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setTimeout(resolve, 1));
    return mean(twice(y, p));
  });
  const alone = await slow(params, 0);
  const together = await Promise.all([slow(params, 5), slow(params, 1), slow(params, 3)]);
  for (const { grads } of together) assertEquals(await read(grads.w), await read(alone.grads.w));
});

testOn(
  PRECISE,
  "valueAndGrad: a parameter without influence has the gradient 0, one used twice the sum",
  async (device) => {
    const [params, x] = [paramsOn(device), inputOn(device)];
    const unused = tensor(device, host([1, 2], [2]));
    const { grads } = await valueAndGrad((p: { w: Tensor; b: Tensor; unused: Tensor }) =>
      sum(twice(x, { w: p.w, b: p.b }))
    )({
      ...params,
      unused,
    });
    assertEquals(await read(grads.unused), Float64Array.of(0, 0));
    const shared = valueAndGrad((p: { one: Tensor; two: Tensor }) => sum(twice(x, { w: params.w, b: p.two })));
    const both = await shared({ one: params.b, two: params.b });
    // Leaves that are one tensor have one gradient.
    assertEquals(await read(both.grads.one), await read(both.grads.two));
    assertClose(await read(both.grads.two), await read(grads.b), 0, "the same function");
  },
);

testOn(PRECISE, "valueAndGrad: wrong calls say what was expected", async (device) => {
  const [params, x] = [paramsOn(device), inputOn(device)];
  let kept: Tensor | undefined;
  await valueAndGrad((p: Params) => mean(kept = twice(x, p)))(params);
  await assertRejects(() => toHost(kept!), Error, "it was disposed");
  const table: [fn: (p: Params) => unknown, message: string][] = [
    [(p) => twice(x, p), "the function must return a tensor of shape (), got (2, 5, 3); reduce with mean() or sum()"],
    [() => 3, "the function must return a tensor of shape (), got 3"],
    [() => Promise.reject(new RangeError("mine")), "mine"],
  ];
  for (const [fn, message] of table) {
    await assertRejects(() => valueAndGrad(fn as (p: Params) => Tensor)(params), Error, message);
  }
  let outer: Params | undefined;
  const nested = valueAndGrad(async (p: Params) => {
    outer = p;
    return (await valueAndGrad((q: Params) => mean(twice(x, { w: q.w, b: outer!.b })))(params)).value;
  });
  await assertRejects(() => nested(params), TypeError, "its arguments belong to two calls of valueAndGrad");
  const twofold = valueAndGrad(async (p: Params) => (await valueAndGrad((q: Params) => mean(twice(x, q)))(p)).value);
  await assertRejects(() => twofold(params), TypeError, "there are no derivatives of derivatives");
  const one = { x: host([1], [1]) } as unknown as { x: Tensor };
  await assertRejects(() => valueAndGrad(() => mean(x))(one), TypeError, "params.x must be a tensor on a device");
  await assertRejects(() => valueAndGrad(() => mean(x))(x as never), TypeError, "got one tensor; write { x: tensor }");
  await assertRejects(
    () => valueAndGrad((p: Params) => mean(twice(x, { w: outer!.w, b: p.b })))(params),
    TypeError,
    "valueAndGrad call of its arguments has ended",
  );
  const integers = tensor(device, { data: Uint32Array.of(1), shape: [] });
  await assertRejects(
    () => valueAndGrad(() => mean(x))({ n: integers }),
    TypeError,
    "params.n must have dtype f64, got u32",
  );
  await assertRejects(() => valueAndGrad(() => mean(x))({}), TypeError, "params must have at least one tensor");
});

testOn(MACHINES, "valueAndGrad: of a parameter itself, and what is kept beside the value", async (device) => {
  const [params, x] = [paramsOn(device), inputOn(device)];
  const scalar = { y: tensor(device, host([4], [])), z: params.w };
  const { value, grads } = await valueAndGrad((p: typeof scalar) => p.y)(scalar);
  // What is made next must not land in the memory of the gradient.
  tensor(device, host([77], []));
  assertEquals([await read(value), await read(grads.y), await read(grads.z)], [
    Float64Array.of(4),
    Float64Array.of(1),
    new Float64Array(9),
  ]);
  const carried = valueAndGrad((p: Params, before: Tensor) => {
    const y = map(layer, { inputs: { x, before }, params: p });
    return { value: mean(y), aux: { y, more: [p.b] } };
  });
  const first = await carried(params, x);
  const second = await carried(params, first.aux.y);
  const plain = map(layer, { inputs: { x, before: first.aux.y }, params });
  assertEquals(await read(second.aux.y), await read(plain));
  assertEquals(await read(first.aux.more[0]!), await read(params.b));
});

testOnGpu("gradients wait for nothing, and leave nothing behind", async () => {
  await using device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device);
  if (!(engine instanceof GpuEngine)) throw new Error("not the WebGPU engine");
  const { machine: { pool } } = engine;
  const [params, x] = [paramsOn(device), inputOn(device)];
  const before = [pool.buffersInUse, pool.bytesInUse];
  const readBacks = engine.machine.readBacks;
  const good = valueAndGrad((p: Params) => mean(twice(twice(x, p), p)));
  const bad = valueAndGrad((p: Params) => {
    twice(x, p);
    throw new RangeError("on the way");
  });
  const shapeless = valueAndGrad((p: Params) => twice(x, p));
  for (let i = 0; i < 20; i++) {
    const { value, grads } = await good(params);
    for (const one of [value, grads.w, grads.b]) one.dispose();
    await assertRejects(() => bad(params), RangeError, "on the way");
    await assertRejects(() => shapeless(params), TypeError);
    assertEquals([pool.buffersInUse, pool.bytesInUse], before, `after ${i}`);
  }
  assertEquals(engine.machine.readBacks, readBacks);
});
