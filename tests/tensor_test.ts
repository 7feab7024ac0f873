import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  type Device,
  DeviceError,
  elman,
  enqueueSolve,
  type HostTensor,
  openDevice,
  type Solution,
  solve,
  type Tensor,
  tensor,
  tidy,
  toDevice,
  toHost,
} from "../mod.ts";
import { host, read } from "./solve/arrays.ts";
import { watchMemory } from "./solve/memory.ts";
import { MACHINES, testOn } from "./solve/machines.ts";

const vector = (device: Device, ...values: number[]): Tensor => tensor(device, host(values, [values.length]));
const cell = elman({ input: 1, hidden: 2 });
const inputs: HostTensor = host([0.1, 0.2, 0.3], [3, 1]);

testOn(MACHINES, "tensor and toHost: shape, dtype and elements of every kind of array", async (device, { dtype }) => {
  const floats = dtype === "f64" ? Float64Array : Float32Array;
  const table = [
    [Float32Array.of(0.5, -2), dtype, floats.of(0.5, -2)],
    [Float64Array.of(0.1, 1e-300), dtype, floats.of(0.1, 1e-300)],
    [Uint32Array.of(7, 4294967295), "u32", Uint32Array.of(7, 4294967295)],
    [Int32Array.of(-7, 7), "i32", Int32Array.of(-7, 7)],
  ] as const;
  for (const [data, kind, expected] of table) {
    using made = tensor(device, { data, shape: [2, 1] });
    assertEquals([made.dtype, made.shape, made.device], [kind, [2, 1], device]);
    assertEquals(await toHost(made), { data: expected, shape: [2, 1] });
  }
  using scalar = tensor(device, host([3], []));
  assertEquals(await toHost(scalar), { data: floats.of(3), shape: [] });
  using empty = tensor(device, host([], [0, 4]));
  assertEquals((await toHost(empty)).shape, [0, 4]);
});

testOn(MACHINES, "tensors are immutable: what came in and what goes out are copies", async (device) => {
  const data = Float64Array.of(1, 2);
  const shape = [2];
  using made = tensor(device, { data, shape });
  data[0] = 9;
  shape[0] = 9;
  const first = await toHost(made);
  first.data[1] = 9;
  (first.shape as number[])[0] = 9;
  assertEquals([Array.from(await read(made)), made.shape], [[1, 2], [2]]);
});

testOn(MACHINES, "a disposed tensor says so wherever it is used, a second dispose does nothing", async (device) => {
  const params = cell.init(device);
  const gone = tensor(device, inputs, "the inputs");
  gone.dispose();
  gone.dispose();
  gone[Symbol.dispose]();
  const own = "Cannot use the inputs: it was disposed; use it before its scope ends";
  const message = 'Cannot solve "elman": xs was disposed; use it before its scope ends';
  await assertRejects(() => toHost(gone), DeviceError, own);
  await assertRejects(() => solve(cell, { params, xs: gone }, {}), DeviceError, message);
  assertThrows(() => enqueueSolve(cell, { params, xs: gone }, {}), DeviceError, message);
  assertThrows(() => gone.dtype, DeviceError, own);
  assertEquals(gone.shape, [3, 1]);
  let later: Tensor;
  {
    using short = vector(device, 1);
    later = short;
  }
  await assertRejects(() => toHost(later), DeviceError, "it was disposed");
});

testOn(
  MACHINES,
  "a disposed device says so wherever it is used, its tensors can be disposed still",
  async (_, machine) => {
    const device = await machine.open();
    const params = cell.init(device);
    const made = vector(device, 1);
    await device.dispose();
    await device.dispose();
    await device[Symbol.asyncDispose]();
    const message = "Cannot use the device: it was disposed; open another one with openDevice()";
    assertThrows(() => vector(device, 1), DeviceError, message);
    await assertRejects(() => toHost(made), DeviceError, message);
    await assertRejects(() => tidy(device, () => 1), DeviceError, message);
    await assertRejects(() => solve(cell, { params, xs: inputs }), DeviceError, message);
    assertThrows(() => cell.init(device), DeviceError, message);
    made.dispose();
  },
);

testOn(MACHINES, "arrays of two devices do not mix, nor do dtypes", async (device, machine) => {
  await using other = await machine.open();
  const params = cell.init(device);
  const foreign = tensor(other, inputs);
  const mixed = "xs lives on another device; copy it with tensor(device, await toHost(...))";
  await assertRejects(() => solve(cell, { params, xs: foreign }), TypeError, mixed);
  await assertRejects(
    () => solve(cell, { params, xs: inputs }, { device: other }),
    TypeError,
    "lives on another device",
  );
  const guess = tensor(other, host(new Float64Array(6), [3, 2]));
  await assertRejects(() => solve(cell, { params, xs: inputs }, { guess }), TypeError, "guess lives on another device");
  using moved = tensor(device, await toHost(foreign));
  using solution = await solve(cell, { params, xs: moved });
  assertEquals(solution.ys.device, device);
  const integers = tensor(device, { data: Int32Array.of(1, 2, 3), shape: [3, 1] });
  const wanted = `xs must have dtype ${machine.dtype}, got i32`;
  await assertRejects(() => solve(cell, { params, xs: integers }), TypeError, wanted);
});

testOn(MACHINES, "solve finds its device among params, xs and h0", async (device) => {
  const params = cell.init(device);
  const data: Record<string, HostTensor> = {};
  for (const [name, value] of Object.entries(params)) data[name] = await toHost(value as Tensor);
  const onDevice = tensor(device, inputs);
  const h0 = vector(device, 0, 0);
  for (const problem of [{ params, xs: inputs }, { params: data, xs: onDevice }, { params: data, xs: inputs, h0 }]) {
    using solution = await solve(cell, problem);
    assertStrictEquals(solution.ys.device, device);
  }
  await assertRejects(
    () => solve(cell, { params: data, xs: inputs }),
    TypeError,
    "no argument is a tensor on a device",
  );
});

testOn(MACHINES, "toDevice copies host arrays, and leaves tensors as they are", async (device) => {
  const own = vector(device, 1, 2);
  const tree = toDevice(device, { layer: { weight: host([1, 2, 3, 4], [2, 2]), own }, gain: host([5], []) });
  const { layer, gain } = tree as { layer: { weight: Tensor; own: Tensor }; gain: Tensor };
  assertStrictEquals(layer.own, own);
  assertEquals([layer.weight.shape, Array.from(await read(layer.weight)), gain.shape], [[2, 2], [1, 2, 3, 4], []]);
});

testOn(MACHINES, "tidy wants a function", async (device) => {
  await assertRejects(() => tidy(device, 5 as never), TypeError, "Cannot tidy: expected a function, got 5");
});

testOn(MACHINES, "tidy frees what is not returned: alone, in arrays, in records, in solutions", async (device) => {
  const ledger = watchMemory(device);
  const count = (): number => ledger.held().length;
  const one = await tidy(device, () => [vector(device, 1), vector(device, 2)][1]!);
  assertEquals([count(), Array.from(await read(one))], [1, [2]]);
  const many = await tidy(device, () => {
    vector(device, 0);
    return { list: [vector(device, 3), 4, null], deep: { er: vector(device, 5) } };
  });
  assertEquals(count(), 3);
  const solution = await tidy(device, async (): Promise<Solution> => {
    const params = cell.init(device);
    return await solve(cell, { params, xs: tensor(device, inputs) });
  });
  assertEquals(count(), 5);
  assertEquals((await toHost(solution.ys)).shape, [3, 2]);
  assertEquals(await tidy(device, () => 7), 7);
  assertEquals(await tidy(device, () => undefined), undefined);
  for (const value of [one, many.list[0] as Tensor, many.deep.er, solution]) value.dispose();
  assertEquals(count(), 0);
});

testOn(MACHINES, "tidy nests: what an inner scope returns belongs to the outer one", async (device) => {
  const ledger = watchMemory(device);
  const before = vector(device, 0);
  const kept = await tidy(device, async () => {
    const outer = vector(device, 1);
    const inner = await tidy(device, () => [vector(device, 2), vector(device, 3)].slice(1));
    assertEquals(ledger.held().length, 3);
    const dropped = await tidy(device, () => vector(device, 4));
    assertEquals(ledger.held().length, 4);
    assertEquals([Array.from(await read(outer)), Array.from(await read(dropped))], [[1], [4]]);
    return { inner, before };
  });
  // What was made outside stays, returned or not; what only the inner scope returned is gone.
  assertEquals(ledger.held().length, 2);
  assertEquals([Array.from(await read(kept.inner[0]!)), Array.from(await read(before))], [[3], [0]]);
  kept.inner[0]!.dispose();
  before.dispose();
  assertEquals(ledger.held(), []);
});

testOn(MACHINES, "tidy frees everything if its function throws, and passes the error on", async (device) => {
  const ledger = watchMemory(device);
  const oops = new Error("oops");
  const fail = (): never => {
    vector(device, 1);
    throw oops;
  };
  assertStrictEquals(await assertRejects(() => tidy(device, fail)), oops);
  const later = async (): Promise<never> => {
    vector(device, 1);
    await Promise.resolve();
    return fail();
  };
  assertStrictEquals(await assertRejects(() => tidy(device, later)), oops);
  const nested = async (): Promise<void> => {
    vector(device, 2);
    await tidy(device, fail);
  };
  assertStrictEquals(await assertRejects(() => tidy(device, nested)), oops);
  assertEquals(ledger.held(), []);
  // Scopes are closed: a tensor made now belongs to nobody.
  const free = vector(device, 3);
  await tidy(device, () => 0);
  assertEquals(Array.from(await read(free)), [3]);
});

testOn(MACHINES, "cycles in what tidy returns do no harm", async (device) => {
  interface Ring {
    self?: Ring;
    readonly value: Tensor;
  }
  const ring = await tidy(device, () => {
    const made: Ring = { value: vector(device, 1) };
    made.self = made;
    return made;
  });
  assertEquals(Array.from(await read(ring.value)), [1]);
});

Deno.test("openDevice: the CPU engine in f32 and f64; auto falls back to it, webgpu alone does not", async () => {
  for (const dtype of ["f32", "f64"] as const) {
    await using device = await openDevice({ backend: "cpu", dtype });
    assertEquals([device.backend, device.dtype], ["cpu", dtype]);
    assert(device.description.includes("CPU") && device.description.includes(dtype), device.description);
  }
  await using device = await openDevice();
  assertEquals(device.dtype, "f32");
});
