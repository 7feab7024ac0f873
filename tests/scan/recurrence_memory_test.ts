import { assert, assertEquals, assertThrows } from "@std/assert";
import { linearRecurrence, openDevice, type Tensor, tensor, valueAndGrad } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Memory } from "../../src/engine/engine.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { pullBackRecurrence, type SolvedRecurrence } from "../../src/scan/recurrence_pullback.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { weighted } from "../grad/finite.ts";
import { assertClose, host, numbers } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { foldPullback, foldRecurrence, type FormName, nameOf, randomRecurrence } from "./recurrences.ts";

// What a recurrence and its pullback take, and that they give back what is not asked for.

const FORMS: readonly FormName[] = ["scalar", "diagonal", { block: 3 }, "dense"];
const ALL = { a: true, b: true, h0: true };

testOn(MACHINES, "linearRecurrence: leaves its answer alone, and nothing when it fails", (device) => {
  const engine = engineOf(device);
  const ledger = watchMemory(device);
  const { scan } = engine;
  for (const start of ["none", "own", "shared"] as const) {
    const { a, b, h0 } = randomRecurrence({ form: "diagonal", batch: 2, time: 5, state: 3 }, { reverse: false, start });
    const problem = { a, b, ...(h0 && { h0 }) };
    const y = linearRecurrence(problem, { device });
    assertEquals(ledger.held(), ["a linear recurrence"]);
    y.dispose();
    engine.scan = () => {
      throw new Error("on purpose");
    };
    assertThrows(() => linearRecurrence(problem, { device }), Error, "on purpose");
    engine.scan = scan;
    assertThrows(
      () => linearRecurrence({ ...problem, h0: host([1], [1]) }, { device }),
      TypeError,
      "h0 must have shape",
    );
    assertEquals(ledger.held(), []);
  }
  return Promise.resolve();
});

testOn(MACHINES, "linearRecurrence: leaves nothing where gradients are refused", async (device) => {
  const { a, b } = randomRecurrence({ form: "diagonal", time: 5, state: 3 }, { reverse: false, start: "none" });
  const params = { a: tensor(device, a), b: tensor(device, b) };
  const weights = tensor(device, b);
  const ledger = watchMemory(device);
  let escaped: Tensor | undefined;
  const loss = valueAndGrad((p: Record<"a" | "b", Tensor>) => {
    escaped = p.a;
    return weighted(linearRecurrence(p), weights, [3]);
  });
  const { value, grads } = await loss(params);
  for (const used of [value, grads.a, grads.b]) used.dispose();
  assertThrows(
    () => linearRecurrence({ a: escaped!, b: params.b }),
    TypeError,
    "Cannot differentiate linearRecurrence()",
  );
  assertEquals(ledger.held(), []);
});

testOn(
  MACHINES,
  "pullBackRecurrence: what is asked for and nothing else, whatever that is",
  async (device, { epsilon }) => {
    const engine = engineOf(device);
    const ledger = watchMemory(device);
    const on = (data: ArrayLike<number>): Memory => engine.upload(Float64Array.from(data), "given");
    for (const form of FORMS) {
      for (const start of ["none", "own", "shared"] as const) {
        const sizes = { form, batch: 2, time: 5, state: 6 };
        const recurrence = randomRecurrence(sizes, { reverse: start === "own", start, seed: 8 });
        const yBar = numbers(60, 1, 3);
        const expected = foldPullback(recurrence, yBar);
        const solved: SolvedRecurrence = {
          monoid: typeof form === "string" ? form : "block",
          a: on(recurrence.a.data),
          y: on(foldRecurrence(recurrence)),
          h0: recurrence.h0 ? on(recurrence.h0.data) : null,
          sharedStart: start === "shared",
          block: 3,
          ...sizes,
          reverse: recurrence.reverse,
        };
        const bar = on(yBar);
        for (let mask = 0; mask < 8; mask++) {
          const wanted = { a: (mask & 1) > 0, b: (mask & 2) > 0, h0: (mask & 4) > 0 };
          const found = pullBackRecurrence(engine, solved, bar, wanted);
          for (const name of ["a", "b", "h0"] as const) {
            const memory = found[name];
            assertEquals(memory !== null, wanted[name], `${nameOf(sizes)}, ${mask}`);
            if (memory === null) continue;
            assertEquals(memory.length, expected[name].length);
            assertClose(await engine.read(memory), expected[name], 512 * epsilon, `${name}, ${nameOf(sizes)}, ${mask}`);
            engine.free(memory);
          }
        }
        const { map } = engine;
        engine.map = () => {
          throw new Error("on purpose");
        };
        assertThrows(() => pullBackRecurrence(engine, solved, bar, ALL), Error, "on purpose");
        engine.map = map;
        for (const memory of [solved.a, solved.y, solved.h0, bar]) if (memory !== null) engine.free(memory);
        assertEquals(ledger.held(), [], nameOf(sizes));
      }
    }
  },
);

testOnGpu("linearRecurrence: forward takes y beside a little, backward no copy of a", async () => {
  await using device = await openDevice({ backend: "webgpu" });
  const engine = engineOf(device) as GpuEngine;
  assert(engine instanceof GpuEngine);
  const { pool } = engine.machine;
  const [time, state] = [8192, 4];
  const words = time * state;
  const a = tensor(device, host(numbers(words * state, 0.4, 1), [time, state, state]));
  const b = tensor(device, host(numbers(words, 1, 2), [time, state]));
  const rows = 4 * words;
  // Aggregates: a twentieth of a and b at most; the pool rounds up by an eighth.
  const little = 4 * words * (state + 1) / 20;
  const most = (arrays: number): number => 9 / 8 * (arrays * rows + little);
  const highWater = (fn: () => void): number => {
    pool.resetHighWater();
    const before = pool.bytesInUse;
    fn();
    return pool.highWaterBytes - before;
  };
  let y: Tensor;
  const forward = highWater(() => y = linearRecurrence({ a, b }));
  assert(forward >= rows && forward <= most(1), `forward takes ${forward} bytes, y ${rows}`);

  // λ is the cotangent of b, that of a is as large as a.
  const inputs = {
    a: engine.allocate("f32", words * state),
    y: engine.allocate("f32", words),
    bar: engine.allocate("f32", words),
  };
  const solved = {
    ...{ monoid: "dense", a: inputs.a, y: inputs.y, h0: null, sharedStart: false, batch: 1 } as const,
    ...{ time, state, block: 1, reverse: false },
  };
  const cases = [[{ a: false, b: true, h0: true }, 1], [{ a: true, b: true, h0: true }, 1 + state]] as const;
  for (const [wanted, arrays] of cases) {
    const taken = highWater(() => {
      const found = pullBackRecurrence(engine, solved, inputs.bar, wanted);
      for (const memory of Object.values(found)) if (memory !== null) engine.free(memory);
    });
    assert(
      taken >= arrays * rows && taken <= most(arrays),
      `backward takes ${taken} bytes, its answers ${arrays * rows}`,
    );
  }
  y!.dispose();
  engine.machine.check();
});

testOn(MACHINES, "linearRecurrence: y is kept for gradients of a only", async (device) => {
  const engine = engineOf(device);
  const { a, b } = randomRecurrence({ form: "diagonal", time: 50, state: 4 }, { reverse: false, start: "none" });
  const [onA, onB] = [tensor(device, a), tensor(device, b)];
  const weights = tensor(device, b);
  const { free } = engine;
  for (const [name, kept] of [["a", true], ["b", false]] as const) {
    const freed: Memory[] = [];
    let isFree: boolean | undefined;
    engine.free = (memory) => {
      freed.push(memory);
      free.call(engine, memory);
    };
    const loss = valueAndGrad((p: Record<string, Tensor>) => {
      const y = linearRecurrence({ a: p.a ?? onA, b: p.b ?? onB });
      const total = weighted(linearRecurrence({ a: onA, b: y }), weights, [4]);
      const before = freed.length;
      y.dispose();
      isFree = freed.length > before;
      return total;
    });
    const { value, grads } = await loss({ [name]: name === "a" ? onA : onB });
    engine.free = free;
    assertEquals(isFree, !kept, name);
    for (const used of [value, ...Object.values(grads)]) used.dispose();
  }
});
