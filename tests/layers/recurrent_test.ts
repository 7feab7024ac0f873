import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
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
  residual,
  reversed,
  type Solution,
  solve,
  SolveError,
  stack,
  sum,
  type Tensor,
  tensor,
  type TrajectoryMemory,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { isTensorLike, type TensorLike } from "../../src/tensor.ts";
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

testOn(
  MACHINES,
  "recurrent: every solve is told of, with its path; its verdict says what solve says",
  async (device) => {
    const { step, params, xs, h0 } = torchGru;
    const square = recurrent(gru({ input: 9, hidden: 9 }), { method: "quasi-deer", reverse: true });
    const inner = stack([residual(square)]);
    const model = stack([recurrent(step, { method: "deer" }), inner, square]);
    const p = square.init(device, { seed: 1 });
    const told: [path: string, verdict: () => Promise<Solution>][] = [];
    const all = { layer0: params, layer1: { layer0: p }, layer2: p } as Tree<TensorLike>;
    const asked: string[] = [];
    const memory: TrajectoryMemory = {
      get(path, shape) {
        asked.push(`get ${path}, ${shape}`);
        return undefined;
      },
      set: (path, states) => void asked.push(`set ${path}, ${states.shape}`),
    };
    using ys = model.apply(all, xs!, { device, memory, onSolve: (verdict, path) => void told.push([path, verdict]) });
    const paths = ["layer0", "layer1.layer0", "layer2"];
    assertEquals(told.map(([path]) => path), paths);
    const shape = [...xs!.shape.slice(0, 2), 9];
    assertEquals(asked, paths.flatMap((path) => [`get ${path}, ${shape}`, `set ${path}, ${shape}`]));
    const [first, second] = await Promise.all(told.map(([, verdict]) => verdict()));
    using alone = await solve(step, { params, xs: xs! }, { device, method: "deer" });
    assertEquals([first!.result, first!.stats], ["successful", alone.stats]);
    assertEquals([second!.stats.method, second!.stats.converged.length], ["quasi-deer", h0.shape[0]]);
    assertEquals(await told[0]![1](), first);
    assertEquals((await read(ys)).length, xs!.shape[0]! * xs!.shape[1]! * 9);
  },
);

testOn(MACHINES, "recurrent: a failure is told by the verdict; where nobody asks, by NaN", async (device) => {
  const { step, params, xs } = torchGru;
  const [batch, time] = xs!.shape as [number, number];
  for (const settings of [{ maxSweeps: 2 }, { maxSweeps: 1, window: 40 }]) {
    const layer = recurrent(step, { method: "quasi-deer", ...settings });
    let verdict: (() => Promise<Solution>) | undefined;
    using told = layer.apply(params, xs!, { device, onSolve: (one) => void (verdict = one) });
    const error = await assertRejects(() => verdict!(), SolveError, 'Cannot solve "gru" by quasi-deer: ');
    assertEquals([error.result, error.solution.stats.converged], ["max-sweeps-reached", Array(batch).fill(false)]);
    // What was computed is the layer's still.
    assertEquals((await read(told)).length, batch * time * 9);
    using silent = layer.run(params, xs!, { device }).ys;
    const ys = await read(silent);
    const from = settings.window === undefined ? 0 : settings.window * 9;
    for (let b = 0; b < batch; b++) {
      const row = ys.slice(b * time * 9, (b + 1) * time * 9);
      assert(row.slice(from).every(Number.isNaN), `sequence ${b} looks solved`);
    }
  }
  // Only one sequence cannot be solved: the others are.
  const bad = host(xs!.data, xs!.shape);
  bad.data[bad.data.length - 1] = NaN;
  const layer = recurrent(step, { method: "deer" });
  let verdict: (() => Promise<Solution>) | undefined;
  using some = layer.apply(params, bad, { device, onSolve: (one) => void (verdict = one) });
  const error = await assertRejects(
    () => verdict!(),
    SolveError,
    "1 of 4 sequences not finite, sequence 3 first at t =",
  );
  assertEquals(error.solution.stats.converged, [true, true, true, false]);
  using silent = layer.apply(params, bad, { device });
  for (const ys of [await read(some), await read(silent)]) {
    const finite = ys.filter(Number.isFinite).length;
    assertEquals(finite, (4 * time - 1) * 9);
  }
});

testOn(
  MACHINES,
  "recurrent: a verdict that is read late does not look for causes in what was freed",
  async (device) => {
    const { step, params, xs } = torchGru;
    const layer = recurrent(step, { method: "quasi-deer", maxSweeps: 2 });
    const p = Object.fromEntries(
      Object.entries(params).map(([name, value]) => [name, tensor(device, value as HostTensor)]),
    ) as Record<string, Tensor>;
    const x = tensor(device, xs!);
    let verdict: (() => Promise<Solution>) | undefined;
    const loss = valueAndGrad((given: Record<string, Tensor>) =>
      sum(layer.apply(given, x, { onSolve: (one) => void (verdict = one) }))
    );
    const { value, grads } = await loss(p);
    for (const one of [value, ...Object.values(grads), ...Object.values(p)]) one.dispose();
    // Other arrays take the place of what was freed.
    const junk = Object.values(params).map((value) =>
      tensor(device, {
        data: new Float32Array((value as HostTensor).data.length).fill(NaN),
        shape: (value as HostTensor).shape,
      })
    );
    const error = await assertRejects(() => verdict!(), SolveError);
    assert(!error.message.includes("NaN"), error.message);
    assert(error.message.includes("not converged after 2 sweeps"), error.message);
    for (const one of junk) one.dispose();
  },
);

/** Remembers copies. */
async function remember(states: Tensor, kept: Map<string, HostTensor>, path: string): Promise<void> {
  kept.set(path, host(await read(states), states.shape));
}

for (const reverse of [false, true]) {
  testOn(
    MACHINES,
    `recurrent: remembered trajectories are first guesses${reverse ? ", reversed" : ""}`,
    async (device) => {
      const { step, params, xs, h0 } = torchGru;
      const layer = recurrent(step, { method: "deer", reverse });
      const kept = new Map<string, HostTensor>();
      const shapes: (readonly number[])[] = [];
      const run = async (
        get: (path: string) => TensorLike | (TensorLike | undefined)[] | undefined,
      ): Promise<number[]> => {
        let verdict: (() => Promise<Solution>) | undefined;
        let copying: Promise<void> | undefined;
        using ys = layer.apply(params, xs!, {
          device,
          h0,
          onSolve: (one) => void (verdict = one),
          memory: {
            get(path, shape) {
              shapes.push(shape);
              return get(path);
            },
            set: (path, states) => {
              copying = remember(states, kept, path);
            },
          },
        });
        await copying;
        assertSame(await read(ys), kept.get("")!.data, "what is remembered are the states");
        return [...(await verdict!()).stats.sequenceSweeps];
      };
      const cold = await run(() => undefined);
      const states = kept.get("")!;
      assert(cold.every((count) => count >= 4), `sweeps ${cold}`);
      assertEquals(await run(() => states), cold.map(() => 1));
      // One sequence that is known among others that are not: it alone is solved at once.
      const mixed = await run(() => [undefined, rowOf(states, 1), undefined, undefined]);
      assertEquals(mixed, [cold[0], 1, cold[2], cold[3]]);
      assertEquals(shapes, Array(3).fill([...xs!.shape.slice(0, 2), step.state]));
    },
  );
}

testOn(PRECISE, "recurrent: what is done to a trajectory in memory is not differentiated", async (device) => {
  const { step, params, xs } = torchGru;
  const layer = recurrent(step);
  const x = tensor(device, xs!);
  const seen: Tensor[] = [];
  const loss = valueAndGrad(({ x }: { x: Tensor }) =>
    sum(layer.apply(params, x, { memory: { get: () => undefined, set: (_, states) => void seen.push(sum(states)) } }))
  );
  const { value } = await loss({ x });
  // Were it recorded, it would be disposed with the tape.
  assertEquals(await read(seen[0]!), await read(value));
});

testOn(MACHINES, "recurrent: another method for one call", async (device) => {
  const { step, params, xs } = torchGru;
  const model = stack([recurrent(step, { method: "deer" })]);
  const methods: string[] = [];
  for (const method of ["sequential", undefined, { name: "quasi-deer", scale: 0.1 }] as const) {
    const pending: Promise<void>[] = [];
    const onSolve = (verdict: () => Promise<Solution>): void => {
      pending.push(verdict().then(({ stats }) => void methods.push(stats.method)));
    };
    model.apply({ layer0: params }, xs!, { device, method, onSolve }).dispose();
    await Promise.all(pending);
  }
  assertEquals(methods, ["sequential", "deer", "quasi-deer"]);
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
  assert(isTensorLike(xs));
  return Promise.resolve();
});
