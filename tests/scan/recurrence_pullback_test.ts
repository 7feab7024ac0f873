import { assert, assertEquals } from "@std/assert";
import {
  type Device,
  type HostTensor,
  linearRecurrence,
  readSafetensors,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../mod.ts";
import { finiteDifferences, weighted } from "../grad/finite.ts";
import { assertClose, goldenArray, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import {
  foldPullback,
  foldRecurrence,
  type FormName,
  type HostRecurrence,
  nameOf,
  randomRecurrence,
  type Sizes,
} from "./recurrences.ts";

// Gradients of Σ y ȳ with respect to a, b and h0: against finite differences, PyTorch, and a backward loop.

/**
 * In units of epsilon: states and cotangents stay below 8, roundings fade as they do, and what is summed over is a few
 * channels or sequences.
 */
const TOLERANCE = 64;
const FORMS: readonly FormName[] = ["scalar", "diagonal", { block: 2 }, { block: 3 }, "dense"];
const STARTS = ["none", "own", "shared"] as const;

type Arguments = Record<string, Tensor> & { readonly a: Tensor; readonly b: Tensor };

/** The gradients that a device finds, by the names of the arguments. */
async function gradientsOn(
  device: Device,
  recurrence: HostRecurrence,
  yBar: HostTensor,
): Promise<Record<string, Float64Array>> {
  const { a, b, h0, reverse } = recurrence;
  const on = (value: HostTensor): Tensor => tensor(device, value);
  using weights = on(yBar);
  const params: Arguments = { a: on(a), b: on(b), ...(h0 && { h0: on(h0) }) };
  const loss = valueAndGrad((p: Arguments) => weighted(linearRecurrence(p, { reverse }), weights, b.shape.slice(-1)));
  const { value, grads } = await loss(params);
  const found = await Promise.all(Object.entries(grads).map(async ([name, grad]) => [name, await read(grad)] as const));
  for (const used of [value, ...Object.values(params), ...Object.values(grads)]) used.dispose();
  return Object.fromEntries(found);
}

/** A cotangent for the answer of a recurrence. */
const cotangent = ({ b }: HostRecurrence, seed: number): HostTensor => host(numbers(b.data.length, 1, seed), b.shape);

function assertGradients(
  actual: Record<string, Float64Array>,
  expected: { readonly [name: string]: ArrayLike<number> },
  tolerance: number,
  what: string,
): void {
  for (const [name, values] of Object.entries(actual)) {
    assertClose(values, expected[name]!, tolerance, `${what}: the gradient of ${name}`);
  }
}

testOn(PRECISE, "linearRecurrence: gradients against finite differences", async (device) => {
  for (const form of FORMS) {
    for (const reverse of [false, true]) {
      for (const start of STARTS) {
        const sizes: Sizes = { form, time: 4, state: 6, ...(start === "none" ? {} : { batch: 2 }) };
        const recurrence = randomRecurrence(sizes, { reverse, start, seed: 2 });
        const yBar = cotangent(recurrence, 9);
        const { a, b, h0 } = recurrence;
        const numeric = finiteDifferences({ a, b, ...(h0 && { h0 }) }, (arrays) => {
          const y = foldRecurrence({ ...recurrence, ...arrays });
          return y.reduce((sum, value, i) => sum + value * yBar.data[i]!, 0);
        });
        assertGradients(
          await gradientsOn(device, recurrence, yBar),
          numeric,
          1e-10,
          `${nameOf(sizes)}, ${reverse}, ${start}`,
        );
      }
    }
  }
});

testOn(MACHINES, "linearRecurrence: gradients against a backward loop, short and long", async (device, { epsilon }) => {
  let seed = 0;
  for (const form of FORMS) {
    for (const time of [1, 2, 3, 130, 1000]) {
      for (const reverse of [false, true]) {
        for (const start of STARTS) {
          const sizes: Sizes = { form, time, state: 6, ...(start === "shared" && reverse ? {} : { batch: 3 }) };
          const recurrence = randomRecurrence(sizes, { reverse, start, seed: ++seed });
          const yBar = cotangent(recurrence, seed);
          const what = `${nameOf(sizes)}, reverse ${reverse}, h0 ${start}`;
          const expected = foldPullback(recurrence, yBar.data);
          assertGradients(await gradientsOn(device, recurrence, yBar), expected, TOLERANCE * epsilon, what);
        }
      }
    }
  }
});

testOn(MACHINES, "linearRecurrence: gradients of large states and long sequences", async (device, { epsilon }) => {
  const table: readonly Sizes[] = [
    { form: "scalar", batch: 2, time: 50, state: 40 },
    { form: "diagonal", batch: 2, time: 50, state: 100 },
    { form: { block: 8 }, batch: 2, time: 50, state: 24 },
    { form: "dense", batch: 2, time: 30, state: 20 },
    { form: "dense", time: 12, state: 45 },
    { form: "diagonal", time: 65537, state: 2 },
    { form: "dense", time: 5000, state: 3 },
  ];
  for (const [i, sizes] of table.entries()) {
    const recurrence = randomRecurrence(sizes, { reverse: i % 2 === 0, start: "own", seed: i });
    const yBar = cotangent(recurrence, i);
    const expected = foldPullback(recurrence, yBar.data);
    assertGradients(
      await gradientsOn(device, recurrence, yBar),
      expected,
      TOLERANCE * epsilon,
      nameOf(sizes),
    );
  }
});

const GOLDENS: readonly string[] = Array.from(Deno.readDirSync(new URL("../golden/linear_recurrence", import.meta.url)))
  .map(({ name }) => name).filter((name) => name.endsWith(".safetensors")).sort();

testOn(MACHINES, "linearRecurrence: answers and gradients of PyTorch", async (device, { epsilon }) => {
  assert(GOLDENS.length >= 13, `${GOLDENS.length} files`);
  for (const name of GOLDENS) {
    const bytes = Deno.readFileSync(new URL(`../golden/linear_recurrence/${name}`, import.meta.url));
    const { tensors, metadata } = readSafetensors(bytes);
    const { a, b, h0, y, cotangent } = tensors as Record<"a" | "b" | "y" | "cotangent", HostTensor> & {
      h0?: HostTensor;
    };
    const recurrence = { a, b, ...(h0 && { h0 }), reverse: metadata.reverse === "true" };
    using ys = linearRecurrence({ a, b, ...(h0 && { h0 }) }, { reverse: recurrence.reverse, device });
    assertClose(await read(ys), y.data, TOLERANCE * epsilon, name);
    const expected = { a: tensors.grad_a!.data, b: tensors.grad_b!.data, h0: tensors.grad_h0?.data ?? [] };
    assertGradients(await gradientsOn(device, recurrence, cotangent), expected, TOLERANCE * epsilon, name);
  }
});

testOn(MACHINES, "linearRecurrence: the gradient test of Martin & Cundy", async (device, { epsilon }) => {
  const golden = (name: string): HostTensor => goldenArray(`linear_recurrence/peer_${name}`);
  const recurrence = { a: golden("decays"), b: golden("impulses"), h0: golden("h0"), reverse: false };
  using y = linearRecurrence({ a: recurrence.a, b: recurrence.b, h0: recurrence.h0 }, { device });
  assertClose(await read(y), golden("h").data, TOLERANCE * epsilon, "h");
  const expected = { a: golden("grad_decays").data, b: golden("grad_impulses").data, h0: golden("grad_h0").data };
  assertGradients(await gradientsOn(device, recurrence, golden("cotangent")), expected, TOLERANCE * epsilon, "theirs");
});

testOn(MACHINES, "linearRecurrence: the matrices of DEER's tests, with gradients", async (device, { epsilon }) => {
  const golden = (name: string): HostTensor => goldenArray(`deer_tests/matmul_recursive/${name}`);
  const recurrence = { a: golden("mats"), b: golden("vecs"), h0: golden("y0"), reverse: false };
  // Their answer has the initial state in front, and so has its cotangent.
  using y = linearRecurrence({ a: recurrence.a, b: recurrence.b, h0: recurrence.h0 }, { device });
  assertClose(await read(y), golden("result").data.slice(4), TOLERANCE * epsilon, "result");
  const all = golden("cotangent").data;
  const found = await gradientsOn(device, recurrence, { data: all.slice(4), shape: [99, 4] });
  found.h0!.forEach((value, i) => found.h0![i] = value + all[i]!);
  const expected = { a: golden("grad_mats").data, b: golden("grad_vecs").data, h0: golden("grad_y0").data };
  assertGradients(found, expected, TOLERANCE * epsilon, "theirs");
});

testOn(MACHINES, "linearRecurrence: two uses of one array add up", async (device, { epsilon }) => {
  // y[t] = x[t] y[t-1] + x[t]
  const x = host(numbers(30, 0.9, 4), [10, 3]);
  const yBar = host(numbers(30, 1, 5), [10, 3]);
  const weights = tensor(device, yBar);
  const loss = valueAndGrad((p: { x: Tensor }) => weighted(linearRecurrence({ a: p.x, b: p.x }), weights, [3]));
  const { grads } = await loss({ x: tensor(device, x) });
  const { a, b } = foldPullback({ a: x, b: x, reverse: false }, yBar.data);
  assertClose(await read(grads.x), a.map((value, i) => value + b[i]!), TOLERANCE * epsilon, "x");
});

testOn(MACHINES, "linearRecurrence: gradients of no steps are zeros", async (device) => {
  const recurrence = { a: host([], [2, 0, 3]), b: host([], [2, 0, 3]), h0: host([1, 2, 3], [3]), reverse: false };
  const found = await gradientsOn(device, recurrence, recurrence.b);
  assertEquals([found.a!.length, found.b!.length, Array.from(found.h0!)], [0, 0, [0, 0, 0]]);
});
