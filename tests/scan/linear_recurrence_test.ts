import { assertEquals } from "@std/assert";
import { type Device, linearRecurrence, tensor } from "../../mod.ts";
import { assertClose, assertSame, host, numbers, read } from "../solve/arrays.ts";
import { type Machine, MACHINES, testOn } from "../solve/machines.ts";
import {
  foldRecurrence,
  type FormName,
  type HostRecurrence,
  nameOf,
  randomRecurrence,
  type Sizes,
} from "./recurrences.ts";

// y[t] = a[t] y[t-1] + b[t] against a fold in double precision, written in recurrences.ts.

/** In units of epsilon: states stay below 8, a step makes a few roundings of that size, which fade as the states do. */
const TOLERANCE = 64;
const CPU = MACHINES.filter(({ rounding }) => rounding === 0);
const FORMS: readonly FormName[] = ["scalar", "diagonal", { block: 2 }, { block: 3 }, "dense"];

/** The answer of a device, with its shape checked. */
async function solveOn(device: Device, { a, b, h0, reverse }: HostRecurrence): Promise<Float64Array> {
  using y = linearRecurrence({ a, b, ...(h0 && { h0 }) }, { reverse, device });
  assertEquals(y.shape, b.shape);
  return await read(y);
}

async function compare(device: Device, { epsilon }: Machine, sizes: Sizes, recurrence: HostRecurrence): Promise<void> {
  const what = `${nameOf(sizes)}${recurrence.reverse ? ", reverse" : ""}`;
  assertClose(await solveOn(device, recurrence), foldRecurrence(recurrence), TOLERANCE * epsilon, what);
}

testOn(MACHINES, "linearRecurrence: every form, direction and start, short and long", async (device, machine) => {
  let seed = 0;
  for (const form of FORMS) {
    for (const time of [0, 1, 2, 3, 5, 10, 1000]) {
      for (const reverse of [false, true]) {
        for (const start of ["none", "own", "shared"] as const) {
          const sizes = { form, time, state: 6, ...(start === "shared" && reverse ? {} : { batch: 3 }) };
          await compare(device, machine, sizes, randomRecurrence(sizes, { reverse, start, seed: ++seed }));
        }
      }
    }
  }
});

testOn(
  CPU,
  "linearRecurrence: the CPU computes in double precision, and rounds what it stores",
  async (device, { dtype }) => {
    for (const form of FORMS) {
      for (const state of [6, 24]) {
        const sizes = { form, batch: 2, time: 50, state };
        const recurrence = randomRecurrence(sizes, { reverse: state === 24, start: "own", seed: 4 });
        const expected = foldRecurrence(recurrence, dtype === "f32" ? Math.fround : undefined);
        assertSame(await solveOn(device, recurrence), expected, nameOf(sizes));
      }
    }
  },
);

testOn(MACHINES, "linearRecurrence: from 1 to 4096 channels in a batch", async (device, machine) => {
  const table: readonly (readonly [FormName, batch: number, time: number, state: number])[] = [
    ...([[1, 1], [1, 7], [5, 16], [2, 100], [64, 64], [1, 4096], [4096, 1]] as const).flatMap(([batch, state]) =>
      (["scalar", "diagonal"] as const).map((form) => [form, batch, 300, state] as const)
    ),
    [{ block: 4 }, 16, 200, 256],
    [{ block: 1 }, 2, 100, 5],
    [{ block: 8 }, 3, 100, 64],
    [{ block: 16 }, 1, 100, 32],
    ["dense", 4, 100, 16],
    ["dense", 1, 50, 44],
    ["dense", 300, 20, 5],
    ["dense", 7, 400, 1],
  ];
  for (const [i, [form, batch, time, state]] of table.entries()) {
    const sizes = { form, batch, time, state };
    await compare(device, machine, sizes, randomRecurrence(sizes, { reverse: i % 2 === 1, start: "own", seed: i }));
  }
});

testOn(MACHINES, "linearRecurrence: 65537 steps", async (device, machine) => {
  for (const [i, form] of FORMS.entries()) {
    const sizes = { form, time: 65537, state: 6 };
    await compare(device, machine, sizes, randomRecurrence(sizes, { reverse: i % 2 === 0, start: "own", seed: i }));
  }
});

testOn(MACHINES, "linearRecurrence: a million steps", async (device, machine) => {
  for (const reverse of [false, true]) {
    const sizes = { form: "diagonal", time: 10 ** 6, state: 2 } as const;
    await compare(device, machine, sizes, randomRecurrence(sizes, { reverse, start: "own", seed: 5 }));
  }
});

testOn(MACHINES, "linearRecurrence: permutations do not commute, and move numbers exactly", async (device) => {
  const time = 3000;
  // Rows of the identity, cyclically moved by one, or the first two exchanged.
  const permutation = (size: number, kind: boolean): number[] =>
    Array.from({ length: size * size }, (_, e) => {
      const i = Math.floor(e / size);
      const from = kind ? (i + 1) % size : i < 2 ? 1 - i : i;
      return e % size === from ? 1 : 0;
    });
  for (const state of [3, 4, 6, 20, 45]) {
    const choices = numbers(time, 1, state);
    const a = host(Array.from(choices, (choice) => permutation(state, choice > 0)).flat(), [time, state, state]);
    const b = host(new Float64Array(time * state), [time, state]);
    const h0 = host(Array.from({ length: state }, (_, i) => i + 1), [state]);
    for (const reverse of [false, true]) {
      const recurrence = { a, b, h0, reverse };
      assertSame(await solveOn(device, recurrence), foldRecurrence(recurrence), `D ${state}, reverse ${reverse}`);
    }
  }
});

testOn(MACHINES, "linearRecurrence: products that overflow leave states of zero alone", async (device) => {
  // 4^1000 is no number of any machine's dtype: 0 · Infinity must not appear.
  const time = 1000;
  for (const form of FORMS) {
    for (const reverse of [false, true]) {
      const sizes = { form, time, state: 6 };
      const { a, b } = randomRecurrence(sizes, { reverse, start: "none" });
      const size = form === "dense" ? 6 : typeof form === "string" ? 1 : form.block;
      a.data.forEach((_, e) => a.data[e] = size === 1 || Math.floor(e / size) % size === e % size ? 4 : 0);
      b.data.fill(0);
      const last = reverse ? 0 : time - 2;
      b.data.fill(1, last * 6, (last + 2) * 6);
      const recurrence = { a, b, reverse };
      assertSame(await solveOn(device, recurrence), foldRecurrence(recurrence), nameOf(sizes));
    }
  }
});

testOn(
  MACHINES,
  "linearRecurrence: what is not finite spoils what comes after it, and nothing else",
  async (device, machine) => {
    // On WebGPU the longer one is scanned in chunks, whatever the form.
    for (const [form, time] of FORMS.flatMap((form) => [[form, 700], [form, 1500]] as const)) {
      const [batch, state] = [2, 6];
      for (const [reverse, value, into] of [[false, NaN, "b"], [true, Infinity, "b"], [false, NaN, "a"]] as const) {
        const sizes = { form, batch, time, state };
        const recurrence = randomRecurrence(sizes, { reverse, start: "own", seed: 3 });
        const healthy = foldRecurrence(recurrence);
        const array = recurrence[into].data;
        // A row of the second sequence, its first word.
        const row = time + 350;
        array[array.length / (batch * time) * row] = value;
        const size = form === "dense" ? state : typeof form === "string" ? 1 : form.block;
        const channels = form === "scalar" && into === "a" ? state : size;
        const ys = await solveOn(device, recurrence);
        for (let e = 0; e < ys.length; e++) {
          const [t, channel] = [Math.floor(e / state), e % state];
          const after = reverse ? t >= time && t <= row : t >= row;
          // The first row mixes nothing yet: only the channel of the word itself is spoilt.
          const spoilt = after && channel < (t === row && (into === "b" || form !== "scalar") ? 1 : channels);
          const what = `${nameOf(sizes)}, ${value} in ${into}: row ${t}, channel ${channel}`;
          assertEquals(Number.isFinite(ys[e]), !spoilt, what);
          if (!spoilt) assertClose([ys[e]!], [healthy[e]!], TOLERANCE * machine.epsilon, what);
        }
      }
    }
  },
);

testOn(MACHINES, "linearRecurrence: of no steps, no sequences and no channels", async (device) => {
  for (const shape of [[0, 5, 2], [3, 0, 2], [3, 5, 0], [0, 2], [4, 0]]) {
    for (const axes of [shape.slice(0, -1), shape]) {
      const a = host(new Float64Array(axes.reduce((p, q) => p * q, 1)), axes);
      assertEquals((await solveOn(device, { a, b: host([], shape), reverse: false })).length, 0);
    }
    const h0 = host(new Float64Array(shape.at(-1)!), shape.slice(-1));
    assertEquals((await solveOn(device, { a: host([], shape), b: host([], shape), h0, reverse: true })).length, 0);
  }
});

testOn(MACHINES, "linearRecurrence: tensors are taken as they are, and stay", async (device, { epsilon }) => {
  const recurrence = randomRecurrence({ form: "diagonal", batch: 2, time: 9, state: 3 }, {
    reverse: false,
    start: "own",
  });
  const [a, b, h0] = [recurrence.a, recurrence.b, recurrence.h0!].map((value) => tensor(device, value)) as [
    ReturnType<typeof tensor>,
    ReturnType<typeof tensor>,
    ReturnType<typeof tensor>,
  ];
  using y = linearRecurrence({ a, b, h0 });
  assertClose(await read(y), foldRecurrence(recurrence), TOLERANCE * epsilon, "from tensors");
  for (const [value, given] of [[a, recurrence.a], [b, recurrence.b], [h0, recurrence.h0!]] as const) {
    assertSame(await read(value), given.data, "an argument");
  }
});
