import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  defineStep,
  type Device,
  elman,
  gru,
  type HostTensor,
  lem,
  lstm,
  type MethodName,
  multiHead,
  openDevice,
  ops,
  recurrent,
  solve,
  solveVjp,
  type Step,
  type Tensor,
  tensor,
  toDevice,
  type Tree,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { programOf } from "../../src/step.ts";
import { isTensor } from "../../src/tensor.ts";
import { transplant } from "../../src/trace/transplant.ts";
import { goldenTree } from "../layers/models.ts";
import { assertClose, goldenTensors, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, someOf, testOn } from "../solve/machines.ts";

const GOLDEN = goldenTensors("models/heads");

Deno.test("multiHead: the Jacobian is proved to be in blocks, one for each head", () => {
  const table: readonly [step: Step, jacobian: unknown, state: number][] = [
    [multiHead({ heads: 3, cell: gru, input: 6, hidden: 12 }), { block: 4, layout: "contiguous" }, 12],
    [multiHead({ heads: 3, cell: lstm, input: 6, hidden: 6, split: true }), { block: 4, layout: "contiguous" }, 12],
    [multiHead({ heads: 2, cell: (size) => lem({ ...size, dt: 0.5 }), input: 2, hidden: 4 }), {
      block: 4,
      layout: "contiguous",
    }, 8],
    [multiHead({ heads: 4, cell: gru, input: 1, hidden: 4 }), "diagonal", 4],
    [multiHead({ heads: 1, cell: gru, input: 1, hidden: 3 }), "dense", 3],
    [multiHead({ heads: 2, cell: (size) => multiHead({ ...size, heads: 2, cell: gru }), input: 1, hidden: 8 }), {
      block: 2,
      layout: "contiguous",
    }, 8],
  ];
  for (const [step, jacobian, state] of table) {
    assertEquals([step.jacobian, step.state], [jacobian, state], step.name);
  }
});

const CASES: readonly [name: string, step: Step][] = [
  ["gru", multiHead({ heads: 3, cell: gru, input: 6, hidden: 12 })],
  ["lstm", multiHead({ heads: 3, cell: lstm, input: 6, hidden: 6, split: true })],
];
const METHODS: readonly MethodName[] = ["auto", "sequential", "quasi-deer", "block-deer", "deer"];

for (const [name, step] of CASES) {
  const golden = (key: string): HostTensor => GOLDEN[`${name}.${key}`]!;
  testOn(MACHINES, `multiHead: ${name}, states and gradients of PyTorch, head by head`, async (device, machine) => {
    const tolerance = machine.dtype === "f64" ? 1e-12 : 16 * machine.epsilon;
    const problem = {
      params: toDevice(device, goldenTree(GOLDEN, `${name}.p.`)),
      xs: tensor(device, golden("x")),
      h0: tensor(device, golden("h0")),
    };
    for (const method of someOf(machine, METHODS, 2, name.length)) {
      using forward = await solveVjp(step, problem, { method });
      assertClose(await read(forward.solution.ys), golden("ys").data, tolerance, `${name} by ${method}`);
      const { params, xs, h0 } = await forward.pullback(golden("weights"));
      const found: [string, Tensor][] = [["x", xs], ["h0", h0]];
      for (const [path, leaf] of flattenTree<Tensor>(params, isTensor)) found.push([`p.${path}`, leaf]);
      assertEquals(found.length, name === "gru" ? 14 : 11);
      for (const [path, gradient] of found) {
        assertClose(await read(gradient), golden(`d.${path}`).data, tolerance, `${path} by ${method}`);
      }
    }
  });
}

testOn(PRECISE, "multiHead: Newton's method in blocks takes as few sweeps as its heads", async (device) => {
  const step = multiHead({ heads: 3, cell: gru, input: 2, hidden: 12 });
  const head = gru({ input: 2, hidden: 4 });
  const params = step.init(device, { seed: 1 }) as Record<string, Tree<Tensor>>;
  const xs = host(numbers(400), [200, 2]);
  using whole = await solve(step, { params, xs }, { method: "deer" });
  const sweeps: number[] = [];
  for (const k of [0, 1, 2]) {
    using own = await solve(head, { params: params[`head${k}`]!, xs }, { method: "deer" });
    sweeps.push(own.stats.sweeps);
  }
  assertEquals(whole.stats.sweeps, Math.max(...sweeps));
});

Deno.test("multiHead: heads start by the cell's own rules, each otherwise", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const cell = (size: { input: number; hidden: number }): Step =>
    defineStep({
      name: "ruled",
      state: size.hidden,
      input: size.input,
      params: { w: [size.hidden, size.hidden], b: [size.hidden] },
      units: 100,
      init: { b: 0.25 },
      step: ({ h, p }) => ops.tanh(ops.add(ops.matvec(p.w, h), p.b)),
    });
  const step = multiHead({ heads: 3, cell, input: 1, hidden: 6 });
  const heads = step.init(device, { seed: 1 }) as Record<string, Record<string, Tensor>>;
  const w = await Promise.all([0, 1, 2].map((k) => read(heads[`head${k}`]!["w"]!)));
  assert(w.flatMap((values) => Array.from(values)).every((value) => value !== 0 && Math.abs(value) <= 0.1));
  assertNotEquals(w[0], w[1]);
  for (const head of Object.values(heads)) assertEquals(Array.from(await read(head["b"]!)), [0.25, 0.25]);
  const ruled = recurrent(step, { init: { head1: { w: "orthogonal" }, head2: { b: 1 } } });
  const own = ruled.init(device, { seed: 1 }) as typeof heads;
  const [a, b, c, d] = await read(own["head1"]!["w"]!) as unknown as [number, number, number, number];
  assertClose([a * a + b * b, a * c + b * d, c * c + d * d], [1, 0, 1], 1e-14, "orthogonal");
  assertEquals(Array.from(await read(own["head2"]!["b"]!)), [1, 1]);
  assertEquals(Array.from(await read(own["head0"]!["b"]!)), [0.25, 0.25]);
});

testOn(
  MACHINES,
  "multiHead: a step that counts, has constants and a scalar parameter",
  async (device: Device, { epsilon }) => {
    const cell = ({ input, hidden }: { input: number; hidden: number }): Step =>
      defineStep({
        name: "clock",
        state: hidden,
        input,
        params: { rate: [], layer: { w: [hidden, input] } },
        step: ({ h, x, p, t }) => {
          const wave = ops.sin(ops.add(ops.mul(0.1, t), ops.constant([0, 1])));
          return ops.add(ops.mul(p.rate, ops.add(h, wave)), ops.matvec(p.layer.w, x));
        },
      });
    const step = multiHead({ heads: 2, cell, input: 4, hidden: 4, split: true });
    assertEquals(step.jacobian, "diagonal");
    const params = {
      head0: { rate: host([0.5], []), layer: { w: host(numbers(4, 1, 2), [2, 2]) } },
      head1: { rate: host([-0.25], []), layer: { w: host(numbers(4, 1, 3), [2, 2]) } },
    };
    const xs = host(numbers(40, 1, 4), [10, 4]);
    using solution = await solve(step, { params, xs }, { device, method: "deer" });
    const expected: number[] = [];
    let h = [0, 0, 0, 0];
    for (let t = 0; t < 10; t++) {
      h = h.map((old, i) => {
        const { rate, layer: { w } } = params[i < 2 ? "head0" : "head1"];
        const [from, row] = [4 * t + (i < 2 ? 0 : 2), 2 * (i % 2)];
        const input = w.data[row]! * xs.data[from]! + w.data[row + 1]! * xs.data[from + 1]!;
        return rate.data[0]! * (old + Math.sin(0.1 * t + i % 2)) + input;
      });
      expected.push(...h);
    }
    assertClose(await read(solution.ys), expected, 16 * epsilon, "clock");
  },
);

Deno.test("multiHead: wrong calls say what was expected, and what came", () => {
  const wrong = <T>(value: unknown): T => value as T;
  const good = { heads: 2, cell: gru, input: 4, hidden: 4 };
  const context = "Cannot make multiHead(): ";
  const table: readonly [options: unknown, message: string][] = [
    [{ ...good, heads: 0 }, `${context}heads must be a whole number of at least 1, got 0`],
    [{ ...good, hidden: 5 }, `${context}hidden must be a multiple of the 2 heads, got 5`],
    [{ ...good, input: 3, split: true }, `${context}input must be a multiple of the 2 heads, got 3`],
    [{ ...good, split: 1 }, `${context}split must be true or false, got 1`],
    [{ ...good, cell: gru({ input: 4, hidden: 2 }) }, `${context}cell must be a function, got an object of Object`],
    [{ ...good, cell: () => 3 }, "Cannot use the step: expected one made by defineStep() or a cell"],
    [{ ...good, cell: () => elman({ input: 3, hidden: 2 }) }, `${context}cell must make a step of 4 inputs, got 3`],
    [{ ...good, units: 3 }, `${context}options may have heads, cell, input, hidden, split, got units`],
  ];
  for (const [options, message] of table) assertThrows(() => multiHead(wrong(options)), Error, message);
  const { output, h } = programOf(gru({ input: 1, hidden: 1 }));
  assertThrows(() => transplant(output, new Map([[h, h]]), h.trace), Error, 'no place for leaf "weight_ih" of "gru"');
});
