import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Device,
  type enqueueSolve,
  gru,
  openDevice,
  recurrent,
  type SequenceId,
  solve,
  stack,
  type Tensor,
  tensor,
  tidy,
  toHost,
  type WarmStarts,
  warmStarts,
} from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";
import { host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";

const [TIME, STATE] = [5, 3];
const SIZE = TIME * STATE;

const bytesOf = (device: Device): number => SIZE * (device.dtype === "f64" ? 8 : 4);

/** Trajectories of a batch, every element different. */
function trajectories(device: Device, ids: readonly SequenceId[], visit: number): Tensor {
  const data = Float64Array.from({ length: ids.length * SIZE }, (_, i) => visit + i / 64);
  return tensor(device, { data, shape: [ids.length, TIME, STATE] });
}

/** What the store answers for a batch, row by row; null where it knows nothing. */
async function guesses(store: WarmStarts, path: string, ids: readonly SequenceId[]): Promise<(number[] | null)[]> {
  const given = store.memory(ids).get(path, [ids.length, TIME, STATE]);
  if (given === undefined) return ids.map(() => null);
  assert(Array.isArray(given) && given.length === ids.length);
  return await Promise.all(given.map(async (one) => one === undefined ? null : Array.from(await read(one as Tensor))));
}

testOn(MACHINES, "warm starts: what a plain list of the most recently used would hold", async (device) => {
  const random = createRandom(5);
  const most = 5;
  using store = warmStarts({ capacityBytes: most * bytesOf(device) + 1 });
  const model: { key: string; values: number[] }[] = [];
  const paths = ["", "layer1"];
  for (let visit = 0; visit < 40; visit++) {
    const path = paths[Math.floor(2 * random.uniform())]!;
    const count = 1 + Math.floor(3 * random.uniform());
    // A number and the same number as a text are two ids.
    const ids = [0, 1, 2, "0", "1"].toSorted(() => random.uniform() - 0.5).slice(0, count);
    const keys = ids.map((id) => `${path} ${typeof id} ${id}`);
    const expected = keys.map((key) => {
      const at = model.findIndex((entry) => entry.key === key);
      if (at < 0) return null;
      model.push(...model.splice(at, 1));
      return model.at(-1)!.values;
    });
    assertEquals(await guesses(store, path, ids), expected, `visit ${visit}`);
    using states = trajectories(device, ids, visit);
    store.memory(ids).set(path, states);
    const values = Array.from(await read(states));
    for (const [b, key] of keys.entries()) {
      const at = model.findIndex((entry) => entry.key === key);
      if (at >= 0) model.splice(at, 1);
      if (model.length === most) model.shift();
      model.push({ key, values: values.slice(b * SIZE, (b + 1) * SIZE) });
    }
    assertEquals(store.entries().map(({ path, id }) => `${path} ${typeof id} ${id}`), model.map(({ key }) => key));
    assertEquals(store.bytes, model.length * bytesOf(device));
  }
});

testOn(
  MACHINES,
  "warm starts: counts, other shapes, a single sequence, and what does not fit at all",
  async (device) => {
    const ledger = watchMemory(device);
    const store = warmStarts({ capacityBytes: 100 * bytesOf(device) });
    using states = trajectories(device, ["a", "b"], 1);
    store.memory(["a", "b"]).set("x", states);
    assertEquals(store.counts, { asked: 0, found: 0 });
    const found = await guesses(store, "x", ["b", "c"]);
    assertEquals([found[0]?.length, found[1]], [SIZE, null]);
    assertEquals(store.memory(["a"]).get("y", [1, TIME, STATE]), undefined);
    // Of another length it is not the same trajectory.
    assertEquals(store.memory(["a"]).get("x", [1, TIME + 1, STATE]), undefined);
    assertEquals(store.counts, { asked: 4, found: 1 });
    using single = tensor(device, host(numbers(2 * STATE, 1, 1), [2, STATE]));
    store.memory(["a"]).set("x", single);
    const [kept] = store.memory(["a"]).get("x", [2, STATE]) as Tensor[];
    assertEquals(Array.from(await read(kept!)), Array.from(await read(single)));
    assertEquals(store.bytes, (SIZE + 2 * STATE) * bytesOf(device) / SIZE);
    const large = tensor(device, host(new Array(101 * SIZE).fill(1), [101 * TIME, STATE]));
    store.memory(["z"]).set("x", large);
    large.dispose();
    assertEquals(store.entries().length, 2);
    store.dispose();
    assertEquals([store.bytes, store.entries()], [0, []]);
    assertEquals(ledger.held().length, 2, "the two tensors of this test");
  },
);

testOn(MACHINES, "warm starts outlive the scope in which they were found", async (device) => {
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  await tidy(device, () => store.memory([1]).set("", trajectories(device, [1], 7)));
  assertEquals((await guesses(store, "", [1]))[0]?.[0], 7);
});

testOn(
  MACHINES,
  "warm starts: a batch of old and new sequences takes fewer sweeps where it knows them",
  async (device) => {
    const cell = gru({ input: 1, hidden: 6 });
    const params = cell.init(device, { seed: 3, scheme: "orthogonal" });
    const xs = (seed: number) => host(numbers(3 * 60, 3, seed), [3, 60, 1]);
    using store = warmStarts({ capacityBytes: 2 ** 20 });
    using first = await solve(cell, { params, xs: xs(1) }, { method: "deer" });
    store.memory([10, 11, 12]).set("", first.ys);
    // Sequences 11, of before, and two that are new.
    const mixed = {
      data: Float64Array.from([...xs(2).data.slice(0, 60), ...xs(1).data.slice(60, 120), ...xs(2).data.slice(120)]),
      shape: [3, 60, 1],
    };
    const guess = store.memory([20, 11, 22]).get("", [3, 60, 6])!;
    using warm = await solve(cell, { params, xs: mixed }, { method: "deer", guess });
    using cold = await solve(cell, { params, xs: mixed }, { method: "deer" });
    const [warmly, coldly] = [warm.stats.sequenceSweeps, cold.stats.sequenceSweeps];
    assertEquals([warmly[0], warmly[2]], [coldly[0], coldly[2]]);
    assert(coldly[1]! >= 4 && warmly[1]! <= 2, `${warmly} sweeps, cold ${coldly}`);
  },
);

testOn(MACHINES, "warm starts of a stack, one of its layers in reversed time: every path by itself", async (device) => {
  const model = stack([
    recurrent(gru({ input: 1, hidden: 4 }), { method: "deer" }),
    recurrent(gru({ input: 4, hidden: 3 }), { method: "deer", reverse: true }),
  ]);
  const params = model.init(device, { seed: 1 });
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  const inputs = { data: Float32Array.from(numbers(5 * 40, 2, 4)), shape: [5, 40, 1] };
  const pick = (ids: readonly number[]) => ({
    data: Float32Array.from(ids.flatMap((id) => Array.from(inputs.data.subarray(40 * id, 40 * id + 40)))),
    shape: [ids.length, 40, 1],
  });
  const sweeps = async (ids: readonly number[]): Promise<(readonly number[])[]> => {
    const verdicts: ReturnType<typeof enqueueSolve>["verdict"][] = [];
    const options = {
      memory: store.memory(ids),
      onSolve: (verdict: typeof verdicts[0]) => void verdicts.push(verdict),
    };
    model.apply(params, pick(ids), options).dispose();
    return await Promise.all(verdicts.map(async (verdict) => (await verdict()).stats.sequenceSweeps));
  };
  await sweeps([0, 1, 2, 3]);
  assertEquals(new Set(store.entries().map(({ path }) => path)), new Set(["layer0", "layer1"]));
  // In another order, beside a new one. A guess that is the answer takes one sweep, on WebGPU sometimes two.
  const again = await sweeps([3, 4, 1]);
  for (const [layer, own] of again.entries()) {
    const [three, four, one] = layer === 0 ? own : own.toReversed();
    assert(three! <= 2 && one! <= 2 && four! >= 3, `layer ${layer}: ${own}`);
  }
});

Deno.test("warm starts: arguments that do not fit", async () => {
  for (const capacityBytes of [-1, NaN, Infinity, "1"]) {
    assertThrows(() => warmStarts({ capacityBytes: capacityBytes as number }), RangeError, "capacityBytes must be");
  }
  assertThrows(() => warmStarts({ bytes: 1 } as never), TypeError, "options may have capacityBytes, got bytes");
  using store = warmStarts({ capacityBytes: 100 });
  assertThrows(() => store.memory(3 as never), TypeError, "ids must be a list of numbers or strings, got 3");
  assertThrows(() => store.memory([NaN]), TypeError, "ids must be finite numbers or strings, got NaN");
  assertThrows(() => store.memory([null as never]), TypeError, "got null");
  assertThrows(
    () => store.memory([1]).get("a", [2, 3, 4]),
    TypeError,
    'of "a": expected one id for each sequence of (2, 3, 4), got 1 ids',
  );
  await using one = await openDevice({ backend: "cpu" });
  await using other = await openDevice({ backend: "cpu" });
  store.memory([1]).set("a", tensor(one, host([1], [1, 1])));
  const elsewhere = tensor(other, host([1], [1, 1]));
  assertThrows(() => store.memory([1]).set("a", elsewhere), TypeError, "live on another device");
  assertThrows(() => store.keep({ path: "", id: 0, states: host([1], [1, 1]) as never }), TypeError, "(T, D)");
  assertEquals((await toHost(store.entries()[0]!.states)).shape, [1, 1]);
});
