import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  defineStep,
  disposeTree,
  fromTorchElman,
  fromTorchGru,
  fromTorchLstm,
  type Gradients,
  type HostTensor,
  type MethodName,
  ops,
  solveVjp,
  type Tensor,
  type Tree,
} from "../../mod.ts";
import { flattenTree, mapTree } from "../../src/core/tree.ts";
import { isTensor, isTensorLike, type TensorLike } from "../../src/tensor.ts";
import { finiteDifferences } from "../grad/finite.ts";
import { assertClose, goldenTensors, host, largestError, numbers, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { type Machine, MACHINES, PRECISE, someOf, testOn } from "./machines.ts";
import { watchMemory } from "./memory.ts";
import { LOOP_CASES, problemOf, type SolveCase, TORCH_CASES } from "./problems.ts";

const METHODS: readonly MethodName[] = [
  "sequential",
  "jacobi",
  "quasi-deer",
  "block-deer",
  "deer",
  "picard",
  "quasi-elk",
  "elk",
];

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

/** Gradients by path, with xs and h0. */
async function flat({ params, xs, h0 }: Gradients): Promise<Map<string, Float64Array>> {
  const found = new Map<string, Float64Array>();
  for (const [path, leaf] of flattenTree<Tensor>(params, isTensor)) found.set(path, await read(leaf));
  return found.set("xs", await read(xs)).set("h0", await read(h0));
}

/** Gradients by PyTorch of `sum(ys * cotangent)`, in the folding of cervid's parameters. */
function torchGradients(
  name: string,
): { cotangent: HostTensor; gradients: Map<string, ArrayLike<number>>; state: number } {
  const file = name.replace("torch ", "");
  const all = goldenTensors(`torch_${file}`);
  const dict = Object.fromEntries(
    ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map((key) => [key, all[`grad.${key}`]!]),
  );
  const zeroed = { ...dict, bias_hh_l0: host(new Float64Array(dict.bias_hh_l0!.data.length), dict.bias_hh_l0!.shape) };
  // Where both biases are added to one, each has its gradient: folding must not add them up.
  const convert = file === "gru" ? fromTorchGru : file === "lstm" ? fromTorchLstm : fromTorchElman;
  const folded = flattenTree<TensorLike>(convert(zeroed) as Tree<TensorLike>, isTensorLike) as [string, HostTensor][];
  const gradients = new Map<string, ArrayLike<number>>(folded.map(([path, { data }]) => [path, data]));
  if (file === "gru") gradients.set("bias_n", dict.bias_hh_l0!.data.slice(-gradients.get("bias_n")!.length));
  const state = all.h0!.shape[1]!;
  gradients.set("xs", all["grad.xs"]!.data);
  gradients.set("h0", all["grad.h0"]!.data);
  return { cotangent: all.cotangent!, gradients, state };
}

for (const [i, given] of TORCH_CASES.entries()) {
  testOn(MACHINES, `solveVjp: ${given.name}, PyTorch's gradients by every method`, async (device, machine) => {
    const { cotangent, gradients, state } = torchGradients(given.name);
    const D = given.step.state;
    // Of an LSTM only h is an output.
    const bar = new Float64Array(cotangent.data.length * D / state);
    cotangent.data.forEach((value, i) => bar[Math.floor(i / state) * D + i % state] = value);
    for (const method of someOf(machine, METHODS, 2, i)) {
      using forward = await solveVjp(given.step, problemOf(given), { device, method });
      const found = await flat(await forward.pullback(host(bar, [given.h0.shape[0]!, given.time, D])));
      for (const [path, wanted] of gradients) {
        const actual = path === "h0" ? found.get(path)!.filter((_, i) => i % D < state) : found.get(path)!;
        // Sums over B T terms, each off by rounding, and the tolerance of the solution.
        const tolerance = (machine.dtype === "f64" ? 2e-9 : 40 * machine.epsilon * Math.sqrt(given.time)) *
          largest(wanted);
        assertClose(actual, wanted, tolerance, `${path} by ${method}`);
      }
    }
  });
}

/** What finite differences of a plain loop give. */
function differences(given: SolveCase, bar: Float64Array): Record<string, Float64Array> {
  const params = Object.fromEntries(flattenTree<TensorLike>(given.params, isTensorLike) as [string, HostTensor][]);
  const arrays = { ...params, ...(given.xs && { xs: given.xs }), h0: given.h0 };
  return finiteDifferences(arrays, (moved) => {
    const tree = mapTree<TensorLike, TensorLike>(given.params, isTensorLike, (_, path) => moved[path]!);
    const rule = given.ruleOf!(tree as Record<string, HostTensor>);
    const { data } = runLoop(rule, moved.h0!, moved.xs, given.time);
    return Array.from(data).reduce((sum, value, i) => sum + value * bar[i]!, 0);
    // Small, for a step with a kink and one that is stiff in its parameter.
  }, 1e-5);
}

for (const given of LOOP_CASES) {
  const bar = numbers(given.expected.data.length, 1, 5);
  const expected = differences(given, bar);
  testOn(
    MACHINES,
    `solveVjp: ${given.name}, against finite differences`,
    async (device, { dtype, epsilon }: Machine) => {
      using forward = await solveVjp(given.step, problemOf(given), { device });
      const found = await flat(await forward.pullback(host(bar, given.expected.shape)));
      for (const [path, wanted] of Object.entries(expected)) {
        const tolerance = (dtype === "f64" ? 1e-8 : 100 * epsilon * Math.sqrt(given.time)) * (1 + largest(wanted));
        assertClose(found.get(path)!, wanted, tolerance, path);
      }
    },
  );
}

testOn(PRECISE, "solveVjp: without a batch, with one h0 for all, and of T = 0", async (device) => {
  const given = TORCH_CASES[0]!;
  const { cotangent } = torchGradients(given.name);
  using whole = await solveVjp(given.step, problemOf(given), { device });
  const all = await whole.pullback(cotangent);
  const one = { ...problemOf(given), h0: host(given.h0.data.slice(0, 9), [9]) };
  using shared = await solveVjp(given.step, one, { device });
  assertEquals((await shared.pullback(cotangent)).h0.shape, [9]);
  const width = cotangent.data.length / 4;
  using single = await solveVjp(given.step, problemOf(given, 2), { device });
  const alone = await single.pullback({ data: cotangent.data.slice(2 * width, 3 * width), shape: [given.time, 9] });
  assertEquals([alone.xs.shape, alone.h0.shape], [[given.time, 4], [9]]);
  assertClose(await read(alone.h0), (await read(all.h0)).slice(18, 27), 1e-13, "h0 of sequence 2");
  using empty = await solveVjp(given.step, { params: given.params, xs: host([], [2, 0, 4]) }, { device });
  const nothing = await empty.pullback(host([], [2, 0, 9]));
  assertEquals([nothing.xs.shape, nothing.h0.shape, largestError(await read(nothing.h0), new Float64Array(18))], [
    [2, 0, 4],
    [2, 9],
    0,
  ]);
  await assertRejects(() => whole.pullback(host([1], [1])), TypeError, "ysBar must have shape (4, 374, 9), got (1,)");
  whole.dispose();
  await assertRejects(() => whole.pullback(cotangent), TypeError, "it was disposed");
});

testOn(
  MACHINES,
  "solveVjp: a pullback that is not awaited reads nothing of what is disposed meanwhile",
  async (device) => {
    const { step, params, xs } = TORCH_CASES[0]!;
    const cotangent = host(numbers(xs!.shape[0]! * xs!.shape[1]! * step.state), [...xs!.shape.slice(0, 2), step.state]);
    const ledger = watchMemory(device);
    const run = async (waits: boolean): Promise<Gradients> => {
      using forward = await solveVjp(step, { params, xs: xs! }, { device });
      if (waits) return await forward.pullback(cotangent);
      return forward.pullback(cotangent);
    };
    const [given, expected] = [await run(false), await run(true)];
    assertEquals(await flat(given), await flat(expected));
    for (const { params, xs, h0 } of [given, expected]) disposeTree(params, { xs, h0 });
    assertEquals(ledger.held(), []);
  },
);

testOn(MACHINES, "solveVjp: gradients that explode are told as they are, or not at all", async (device, { dtype }) => {
  const grow = defineStep({
    name: "grow",
    state: 2,
    input: 2,
    params: { rate: [] },
    // The states stay small, what is small at first does not.
    step: ({ h, x, p }) => ops.sin(ops.mul(p.rate, ops.add(h, x))),
  });
  const params = { rate: host([1.5], []) };
  for (const time of [60, 400, 2000]) {
    const xs = host(new Float64Array(2 * time), [time, 2]);
    using forward = await solveVjp(grow, { params, xs }, { device });
    const bar = new Float64Array(2 * time).fill(1, 2 * (time - 1));
    const { h0 } = await forward.pullback(host(bar, [time, 2]));
    const [found, wanted] = [await read(h0), 1.5 ** time];
    const most = dtype === "f64" ? Number.MAX_VALUE : 3e38;
    if (wanted < most) assertClose(found, [wanted, wanted], 1e-4 * wanted, `${time} steps`);
    else assert(found.every((value) => !Number.isFinite(value)), `${time} steps: ${found}`);
  }
});
