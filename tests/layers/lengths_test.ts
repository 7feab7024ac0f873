// Sequences of unequal lengths, against each of them cut and run by itself.

import { assertEquals, assertThrows } from "@std/assert";
import { dense, type Device, gru, openDevice, pool, recurrent, stack, tensor, toDevice } from "../../mod.ts";
import { gilr } from "../../src/layers/gilr.ts";
import { assertClose, host, numbers, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, PRECISE, someOf, testOn } from "../solve/machines.ts";
import { failEachAllocation, watchMemory } from "../solve/memory.ts";
import { someInputs, someParams, treeOf } from "./cases.ts";
import { CASES, cut, type Inputs, LENGTHS, SOME_CASES, someBatch, TIME } from "./lengths_cases.ts";

for (const [k, [name, make]] of CASES.entries()) {
  testOn(MACHINES, `lengths: ${name}, what each sequence gives by itself`, async (device, machine) => {
    for (const reverse of someOf(machine, [true, false], 2, k)) {
      const layer = make(reverse);
      const params = treeOf(someParams(layer));
      const { xs, h0, carry } = someBatch(layer);
      const start = (b: number): Partial<Inputs> => ({ h0: rowOf(h0, b), ...(carry && { carry: rowOf(carry, b) }) });
      using run = layer.run(params, xs, { device, h0, carry, lengths: LENGTHS });
      using alone = layer.apply(params, xs, { device, h0, carry, lengths: Uint8Array.from(LENGTHS) });
      assertEquals([run.ys.shape, run.hT.shape], [[4, TIME, layer.hidden], [4, layer.state]]);
      assertEquals(await read(alone), await read(run.ys));
      // A carry of the backward half of a pair made by reversed() is in its order, so that none is given twice.
      const [ys, hT] = [host(await read(run.ys), run.ys.shape), host(await read(run.hT), run.hT.shape)];
      for (const [b, length] of LENGTHS.entries()) {
        const what = `${name}, ${reverse ? "backward" : "forward"}, sequence ${b}`;
        using own = layer.run(params, cut(xs, b, length), { device, ...start(b) });
        assertClose(cut(ys, b, length).data, await read(own.ys), 16 * machine.epsilon, what);
        assertClose(rowOf(hT, b).data, await read(own.hT), 16 * machine.epsilon, `${what}: hT`);
        if (carry !== undefined) {
          const ends = host(await read(run.carry!), run.carry!.shape);
          assertEquals(rowOf(ends, b).data, await read(own.carry!), `${what}: carry`);
        }
        using one = layer.run(params, rowOf(xs, b), { device, ...start(b), lengths: [length] });
        assertEquals(one.hT.shape, [layer.state]);
        assertClose(await read(one.hT), await read(own.hT), 16 * machine.epsilon, `${what} with padding: hT`);
      }
    }
  });
}

testOn(MACHINES, "lengths: what a layer takes it gives back, also where it fails", (device) => {
  for (const [name, make] of SOME_CASES) {
    const layer = make(true);
    const params = toDevice(device, treeOf(someParams(layer)));
    const { xs, h0, carry } = someBatch(layer);
    const given = { h0: tensor(device, h0), ...(carry && { carry: tensor(device, carry) }), lengths: LENGTHS };
    const ledger = watchMemory(device);
    for (const start of [given, { lengths: LENGTHS }]) {
      failEachAllocation(
        device,
        () => layer.run(params, xs, start).dispose(),
        (failing) => assertEquals(ledger.held(), [], `${name}, allocation ${failing}`),
      );
    }
    // What was given is still there.
    layer.run(params, xs, given).dispose();
  }
  return Promise.resolve();
});

testOn(PRECISE, "lengths: no steps; a mean of steps that count; a list that is none", async (device: Device) => {
  const layer = gilr({ input: 2, hidden: 3, reverse: true });
  const forward = gilr({ input: 2, hidden: 3 });
  const params = treeOf(someParams(layer));
  const none = host([], [2, 0, 2]);
  const h0 = host(numbers(6), [2, 3]);
  for (const one of [layer, forward]) {
    using run = one.run(params, none, { device, h0, lengths: [0, 0] });
    assertEquals([run.ys.shape, await read(run.hT)], [[2, 0, 3], Float64Array.from(h0.data)]);
  }
  const { xs } = someInputs(layer, 2, 5);
  // What lies beyond may be anything for a mean alone, which takes lengths on the device, too.
  const numbersOnDevice = tensor(device, { data: Uint32Array.of(5, 2), shape: [2] });
  const model = stack([forward, pool({ size: 3 }), dense({ input: 3, output: 1 })]);
  const tree = { layer0: params, layer2: { weight: host([1, 1, 1], [1, 3]), bias: host([0], [1]) } };
  using means = model.apply(tree, xs, { device, lengths: numbersOnDevice });
  using same = model.apply(tree, xs, { device, lengths: [5, 2] });
  assertEquals(await read(means), await read(same));
  const needed = 'Cannot apply "gilr": lengths must be';
  const cell = recurrent(gru({ input: 2, hidden: 1 }));
  await using other = await openDevice({ backend: "cpu" });
  const p = cell.init(other);
  const table: readonly [call: () => unknown, message: string][] = [
    [() => layer.apply(params, xs, { device, lengths: numbersOnDevice }), `${needed} in host memory, as rows are put`],
    [() => forward.run(params, xs, { device, lengths: numbersOnDevice }), `${needed} in host memory`],
    [
      () => layer.apply(params, xs, { device, lengths: [5] }),
      `${needed} 2 whole numbers, one for each sequence, got 1`,
    ],
    [() => layer.apply(params, xs, { device, lengths: [5, 0] }), `${needed} whole numbers from 1 to 5, got 0 at 1`],
    [() => forward.run(params, xs, { device, lengths: [6, 1] }), `${needed} whole numbers from 1 to 5, got 6 at 0`],
    [
      () => cell.run(p, xs, { lengths: [5, 1.5] }),
      'Cannot apply "gru": lengths must be whole numbers from 1 to 5, got 1.5',
    ],
    [() => layer.run(params, none, { device, lengths: [0] }), `${needed} 2 whole numbers`],
  ];
  for (const [call, message] of table) assertThrows(call, Error, message);
});
