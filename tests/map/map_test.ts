import { assertEquals, assertThrows } from "@std/assert";
import {
  defineMap,
  DeviceError,
  type HostTensor,
  map,
  ops,
  type Tensor,
  tensor,
  type TensorLike,
  type Tree,
} from "../../mod.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { MAP_CASES, mapArrays, plainMap, treeOf } from "./functions.ts";

const params = (flat: Record<string, HostTensor>): Tree<TensorLike> => treeOf(flat) as Tree<TensorLike>;

for (const given of MAP_CASES) {
  testOn(MACHINES, `map: ${given.name}, against the same in plain numbers`, async (device, { epsilon }) => {
    for (const [batch, time] of [[1, 1], [2, 7], [3, 65], [2, 0], [0, 3]] as const) {
      const arrays = mapArrays(given, batch, time);
      const expected = plainMap(given, arrays, batch, time);
      const answer = map(given.fn, { ...arrays, params: params(arrays.params) }, { device });
      const named = ("shape" in answer ? { value: answer } : answer) as Record<string, Tensor>;
      assertEquals(Object.keys(named), Object.keys(given.fn.outputs));
      for (const [name, value] of Object.entries(named)) {
        assertEquals(value.shape, [batch, time, ...given.fn.outputs[name] as number[]]);
        // Sums of up to 96 products of numbers up to 1, and e^x of numbers up to 2.
        assertClose(await read(value), expected[name] ?? [], 100 * epsilon, `${name}, ${batch} × ${time}`);
        value.dispose();
      }
    }
  });
}

testOn(MACHINES, "map: without a batch axis the answers have none", async (device) => {
  const given = MAP_CASES[1]!;
  const arrays = mapArrays(given, 1, 9);
  const flat = (record: Record<string, HostTensor>): Record<string, HostTensor> =>
    Object.fromEntries(
      Object.entries(record).map(([name, { data, shape }]) => [name, { data, shape: shape.slice(1) }]),
    );
  const [whole, single] = [arrays, { inputs: flat(arrays.inputs), starts: flat(arrays.starts) }].map((some) =>
    map(given.fn, { ...some, params: params(arrays.params) }, { device }) as Record<string, Tensor>
  );
  for (const name of ["a", "b", "number"]) {
    assertEquals(single![name]!.shape, whole![name]!.shape.slice(1));
    assertEquals(await read(single![name]!), await read(whole![name]!));
  }
});

testOn(MACHINES, "map: of single rows, and of disposed ones", async (device) => {
  const scale = defineMap({ name: "s", inputs: { x: [], y: [2] }, params: {}, map: ({ x, y }) => ops.mul(x, y) });
  const [x, y] = [tensor(device, host([3], [])), tensor(device, host([1, 2], [2]))];
  const z = map(scale, { inputs: { x, y } });
  assertEquals([z.shape, await read(z)], [[2], Float64Array.of(3, 6)]);
  y.dispose();
  assertThrows(() => map(scale, { inputs: { x, y } }), DeviceError, 'Cannot map "s": y was disposed; use it before');
});

testOn(PRECISE, "map: wrong calls say what was expected, what came, and the cure", (device) => {
  const fn = defineMap({
    name: "f",
    inputs: { x: [2], before: { shape: [2], shift: 1 }, c: { shape: [], per: "sequence" } },
    params: { w: [2] },
    map: ({ x, before, c, p }) => ops.add(ops.mul(p.w, ops.add(x, before)), c),
  });
  const x = host(numbers(6), [3, 2]);
  const good = { inputs: { x, before: x, c: host([1], []) }, params: { w: host([1, 2], [2]) } };
  map(fn, good, { device }).dispose();
  const table: [args: unknown, message: string][] = [
    [{ ...good, inputs: { x, before: x } }, 'inputs "c" must be a tensor or { data, shape }, got undefined'],
    [{ ...good, inputs: { ...good.inputs, y: x } }, "inputs may have before, c, x, got"],
    [
      { ...good, inputs: { ...good.inputs, x: host(numbers(9), [3, 3]) } },
      "x must have shape (B, T, 2) or (T, 2) or (2,), got (3, 3)",
    ],
    [
      { ...good, inputs: { ...good.inputs, x: host(numbers(8), [4, 2]) } },
      "x must have the same rows as the other inputs, (3,), got (4,)",
    ],
    [{ ...good, inputs: { ...good.inputs, c: host([1, 2], [2]) } }, "c must have shape (), got (2,)"],
    [{ ...good, starts: { x } }, "starts may have before, got x"],
    [{ ...good, starts: { before: x } }, "starts.before must have shape (2,), got (3, 2)"],
    [{ inputs: good.inputs }, "params must be { w }, but w missing"],
    [{ ...good, param: {} }, "the arguments may have inputs, params, starts, got param"],
    [{ ...good, params: { w: host([1, 2, 3], [3]) } }, "params.w must have shape (2,), got (3,)"],
  ];
  for (const [args, message] of table) {
    assertThrows(() => map(fn, args as typeof good, { device }), TypeError, message);
  }
  assertThrows(() => map(fn, good), TypeError, "give the option device");
  assertThrows(() => map({ ...fn }, good, { device }), TypeError, "expected a function made by defineMap()");
  return Promise.resolve();
});

testOn(PRECISE, "defineMap: wrong descriptions are refused", () => {
  const spec = { name: "f", inputs: { x: [2] }, params: {}, map: ({ x }: { x: ops.Operand }) => ops.neg(x) };
  const table: [change: Record<string, unknown>, message: string][] = [
    [{ name: "" }, "name must be a string that is not empty"],
    [{ inputs: { p: [2] } }, '"p" stands for the parameters, it cannot name an input'],
    [{ inputs: { t: [] } }, '"t" stands for the row'],
    [{ inputs: { x: [2, 3, 4] } }, 'input "x" must have at most two axes'],
    [{ inputs: { x: { shape: [2], shift: 0.5 } } }, "must be a whole number of at least 0, got 0.5"],
    [{ inputs: { x: { shape: [2], lag: 1 } } }, "may have shift, per, got lag"],
    [{ inputs: { x: { shape: [2], per: "sequence", shift: 1 } } }, '"x" has one row a sequence, and no shift, got 1'],
    [{ inputs: { x: { shape: [2], per: "batch" } } }, 'per of "x" must be "step" or "sequence", got "batch"'],
    [{ map: 3 }, "map must be a function, got 3"],
    [{ map: () => 3 }, 'the output "value" is 3'],
    [{ map: () => ({ a: undefined }) }, 'the output "a" is undefined'],
    [{ map: ({ y }: { y: ops.Operand }) => ops.neg(y) }, 'there is no input "y"; declared are: x'],
  ];
  for (const [change, message] of table) {
    assertThrows(() => defineMap({ ...spec, ...change } as unknown as Parameters<typeof defineMap>[0]), Error, message);
  }
  return Promise.resolve();
});

testOn(MACHINES, "map: a tensor of the device is used where it is, and stays", async (device) => {
  const given = MAP_CASES[0]!;
  const arrays = mapArrays(given, 2, 5);
  const x = tensor(device, arrays.inputs.x!);
  const again = [0, 1].map(() => map(given.fn, { inputs: { x }, params: params(arrays.params) }) as Tensor);
  assertEquals(await read(again[0]!), await read(again[1]!));
  assertEquals((await read(x)).length, 30);
});
