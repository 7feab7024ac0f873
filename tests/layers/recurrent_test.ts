import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  defineStep,
  type Device,
  gru,
  type HostTensor,
  lstm,
  type MethodName,
  openDevice,
  ops,
  recurrent,
  reversed,
  type Tensor,
  type Tree,
} from "../../mod.ts";
import type { TensorLike } from "../../src/tensor.ts";
import { assertClose, assertSame, host, numbers, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, PRECISE, someOf, testOn } from "../solve/machines.ts";
import { columnsOf, LOOP_CASES, TORCH_CASES } from "../solve/problems.ts";
import { runLoop } from "../solve/loops.ts";

const METHODS: readonly MethodName[] = ["auto", "sequential", "quasi-deer", "block-deer", "deer"];
const torchGru = TORCH_CASES[0]!;
const torchLstm = TORCH_CASES[1]!;

/** `(B, T, n)` in reversed time. */
function backward({ data, shape }: HostTensor): HostTensor {
  const [batch, time, width] = shape as [number, number, number];
  const rows = Array.from({ length: batch * time }, (_, r) => {
    const from = (Math.floor(r / time) * time + time - 1 - r % time) * width;
    return Array.from(data.slice(from, from + width));
  });
  return host(rows.flat(), shape);
}

for (const given of [torchGru, torchLstm]) {
  const { name, step, params, xs, h0, time, expected } = given;
  const width = expected.shape[2]!;
  testOn(MACHINES, `recurrent: ${name}, the outputs and last states of PyTorch`, async (device, machine) => {
    const tolerance = machine.dtype === "f64" ? 1e-9 : machine.epsilon * time;
    for (const method of someOf(machine, METHODS, 2, width)) {
      const layer = recurrent(step, { method, output: width });
      assertEquals([layer.input, layer.hidden, layer.state, layer.carry], [step.input, width, step.state, 0]);
      const { ys, hT } = layer.run(params, xs!, { device, h0 });
      assertEquals([ys.shape, hT.shape], [expected.shape, h0.shape]);
      assertClose(await read(ys), expected.data, tolerance, `${name} by ${method}`);
      const ends = Array.from({ length: h0.shape[0]! }, (_, b) => rowOf(expected, b).data.slice(-width));
      const last = columnsOf(await read(hT), step.state, width);
      assertClose(last, ends.flatMap((end) => Array.from(end)), tolerance, `${name} by ${method}: hT`);
      using single = layer.apply(params, rowOf(xs!, 1), { device, h0: rowOf(h0, 1) });
      assertEquals(single.shape, [time, width]);
      assertClose(await read(single), rowOf(expected, 1).data, tolerance, `${name} by ${method}, one sequence`);
    }
  });
}

testOn(
  MACHINES,
  "recurrent: time runs backward, sequence by sequence, from the states after the last",
  async (device) => {
    const { step, params, xs, h0 } = torchGru;
    const short = host(
      Array.from({ length: 4 }, (_, b) => Array.from(rowOf(xs!, b).data.slice(0, 11 * step.input))).flat(),
      [4, 11, step.input],
    );
    const forward = recurrent(step).run(params, backward(short), { device, h0 });
    const expected = backward(host(await read(forward.ys), forward.ys.shape));
    for (const layer of [recurrent(step, { reverse: true }), reversed(recurrent(step))]) {
      const { ys, hT } = layer.run(params, short, { device, h0 });
      assertSame(await read(ys), expected.data, "ys");
      assertSame(await read(hT), await read(forward.hT), "hT");
      for (const b of [0, 3]) {
        const one = layer.run(params, rowOf(short, b), { device, h0: rowOf(h0, b) });
        assertEquals([one.ys.shape, one.hT.shape], [[11, step.state], [step.state]]);
        assertSame(await read(one.ys), rowOf(expected, b).data, `sequence ${b}`);
        assertSame(await read(one.hT), rowOf(host(await read(forward.hT), h0.shape), b).data, `hT of ${b}`);
      }
      using all = layer.apply(params, short, { device, h0: rowOf(h0, 2) });
      assertEquals(rowOf(host(await read(all), all.shape), 2).data, rowOf(expected, 2).data);
      using none = layer.apply(params, host([], [4, 0, step.input]), { device, h0 });
      assertEquals(none.shape, [4, 0, step.state]);
    }
  },
);

testOn(MACHINES, "recurrent: pieces of a sequence give what the whole gives", async (device, machine) => {
  const { step, params, xs, h0, time, expected } = torchLstm;
  const layer = recurrent(step, { output: expected.shape[2]! });
  const row = rowOf(xs!, 0);
  const pieces = [[0, 7], [7, 8], [8, time]] as const;
  let start: TensorLike = rowOf(h0, 0);
  const found: number[] = [];
  for (const [from, to] of pieces) {
    const piece = host(row.data.slice(from * step.input, to * step.input), [to - from, step.input]);
    const { ys, hT } = layer.run(params, piece, { device, h0: start });
    found.push(...await read(ys));
    start = hT;
  }
  const tolerance = machine.dtype === "f64" ? 1e-9 : machine.epsilon * time;
  assertClose(found, rowOf(expected, 0).data, tolerance, "pieces");
});

testOn(MACHINES, "recurrent: outputs as a function of the states; a step of one's own", async (device, { epsilon }) => {
  const given = LOOP_CASES.find(({ name }) => name === "network")!;
  const { step, params, xs, h0, time, rule } = given;
  const layer = recurrent(step, {
    method: "deer",
    output: (states) => ops.concat(ops.mul(2, ops.slice(states, 3, 4)), ops.sum(states)),
  });
  assertEquals(layer.hidden, 2);
  using ys = layer.apply(params, xs!, { device, h0 });
  const states = runLoop(rule!, h0, xs!, time);
  const expected = Array.from({ length: states.data.length / 4 }, (_, r) => {
    const h = Array.from(states.data.slice(4 * r, 4 * r + 4));
    return [2 * h[3]!, h.reduce((a, b) => a + b, 0)];
  });
  // As the step's own tests, T = 60.
  assertClose(await read(ys), expected.flat(), 1e-9 + 60 * 8 * epsilon, "outputs");
});

Deno.test("recurrent: initial parameters by the cell's rules, or by one's own", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const cell = gru({ input: 3, hidden: 4 });
  const rules = { weight_ih: "lecun-normal", weight_hh: ["orthogonal", "orthogonal", "orthogonal"], bias: 0 } as const;
  const [plain, own] = [recurrent(cell), recurrent(cell, { init: rules })];
  const all = async (tree: Tree<Tensor>): Promise<Record<string, Float64Array>> =>
    Object.fromEntries(
      await Promise.all(Object.entries(tree).map(async ([name, leaf]) => [name, await read(leaf as Tensor)])),
    );
  assertEquals(await all(plain.init(device, { seed: 4 })), await all(cell.init(device, { seed: 4 })));
  const found = await all(own.init(device, { seed: 4 }));
  assertEquals(found["bias"], new Float64Array(12));
  // Not named: uniform in ±1/√H.
  assert(found["bias_n"]!.every((value) => value !== 0 && Math.abs(value) <= 0.5));
  const w = found["weight_hh"]!;
  for (let gate = 0; gate < 3; gate++) {
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 4; j++) {
        let dot = 0;
        for (let k = 0; k < 4; k++) dot += w[(4 * gate + i) * 4 + k]! * w[(4 * gate + j) * 4 + k]!;
        assertClose([dot], [i === j ? 1 : 0], 1e-14, `gate ${gate}, rows ${i} and ${j}`);
      }
    }
  }
  // A scheme takes the place of rules.
  assertEquals(await all(own.init(device, { scheme: "torch" })), await all(cell.init(device, { scheme: "torch" })));
});

testOn(PRECISE, "recurrent: wrong calls say what was expected, what came, and the cure", (device: Device) => {
  const cell = lstm({ input: 2, hidden: 3 });
  const wrong = <T>(value: unknown): T => value as T;
  const free = defineStep({ name: "free", state: 1, input: 0, params: {}, step: ({ h }) => ops.mul(0.5, h) });
  const layer = recurrent(cell, { output: 3 });
  const p = layer.init(device);
  const xs = host(numbers(10), [5, 2]);
  const make = "Cannot make recurrent(): ";
  const table: readonly [call: () => unknown, message: string][] = [
    [() => recurrent(wrong(layer)), "Cannot use the step: expected one made by defineStep() or a cell"],
    [() => recurrent(free), `${make}"free" must have an input, got I = 0; use solve() instead`],
    [
      () => recurrent(cell, wrong({ methods: "deer" })),
      `${make}options may have method, rtol, atol, maxSweeps, window,`,
    ],
    [() => recurrent(cell, wrong({ method: "newton" })), "method must be one of auto, sequential"],
    [() => recurrent(cell, { output: 7 }), `${make}output must be at most the 6 states, got 7`],
    [() => recurrent(cell, { output: 0 }), `${make}output must be a whole number of at least 1, got 0`],
    [() => recurrent(cell, { output: (h) => ops.sum(h) }), `${make}output must return a vector of the states, got ()`],
    [() => recurrent(cell, wrong({ reverse: 1 })), `${make}reverse must be true or false, got 1`],
    [
      () => recurrent(cell, wrong({ guess: xs })),
      `${make}guess must be "f0", "h0" or "zeros", got an object of Object`,
    ],
    [() => recurrent(cell, { rtol: -1 }), `${make}rtol must be a number of at least 0, got -1`],
    [() => recurrent(cell, { maxSweeps: 0 }), `${make}maxSweeps must be a whole number of at least 1, got 0`],
    [
      () => recurrent(cell, { init: { weight: 0 } }),
      'Cannot initialise "lstm": init has a rule for "weight", which is no',
    ],
    [
      () => recurrent(cell, { init: { bias: "orthogonal" } }),
      'init of "bias" must be a number or { uniform: number }, as its shape is (12,) and no matrix, got "orthogonal"',
    ],
    [
      () => layer.apply(p, host([1], [1, 1])),
      'Cannot apply "lstm": xs must have shape (B, T, 2) or (T, 2), got (1, 1)',
    ],
    [() => layer.apply(p, xs, { h0: host([1], [1]) }), 'Cannot solve "lstm": h0 must have shape (6,), got (1,)'],
    [() => layer.apply(p, xs, { carry: xs }), 'Cannot apply "lstm": carry must be absent'],
    [() => layer.apply(p, xs, wrong({ solve: true })), 'Cannot apply "lstm": options may have h0, carry, device'],
    [
      () => layer.apply({ ...p, w: xs }, xs),
      'Cannot solve "lstm": params must be { bias, weight_hh, weight_ih }, but w unk',
    ],
    [
      () => layer.apply(p, xs, { memory: { get: () => xs, set: () => {} } }),
      'Cannot solve "lstm": guess must have shape (5, 6), got (5, 2)',
    ],
    [() => reversed(wrong(cell)), "Cannot reverse: the layer must be made by defineLinearLayer() or a layer, got"],
  ];
  for (const [call, message] of table) assertThrows(call, Error, message);
  return Promise.resolve();
});
