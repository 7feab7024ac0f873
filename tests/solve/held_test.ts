// What is given to a solve may be disposed as soon as it has begun: its memory stays as long as it is read, and no longer.

import { assert, assertEquals } from "@std/assert";
import { defineStep, type Device, elk, ops, solve, solveVjp, type Tensor, tensor, tidy } from "../../mod.ts";
import { assertClose, host, numbers, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { MACHINES, testOn } from "./machines.ts";
import { watchMemory } from "./memory.ts";

const TIME = 80;
const WEIGHTS = [2.5, -3, 3, 2.5];
const XS = numbers(2 * TIME, 0.1, 4);
const H0 = [0.2, -0.1];

const turn = defineStep({
  name: "turn",
  state: 2,
  input: 2,
  params: { w: [2, 2] },
  step: ({ h, x, p }) => ops.tanh(ops.add(ops.matvec(p.w, h), x)),
});

const rule = (w: readonly number[]) => (h: readonly number[], x: readonly number[]): number[] =>
  [0, 1].map((i) => Math.tanh(w[2 * i]! * h[0]! + w[2 * i + 1]! * h[1]! + x[i]!));

interface Given {
  readonly w: Tensor;
  readonly xs: Tensor;
  readonly h0: Tensor;
  readonly guess: Tensor;
}

function give(device: Device): Given {
  return {
    w: tensor(device, host(WEIGHTS, [2, 2])),
    xs: tensor(device, host(XS, [TIME, 2])),
    h0: tensor(device, host(H0, [2])),
    guess: tensor(device, host(new Float64Array(2 * TIME), [TIME, 2])),
  };
}

/** Disposes all, and asks for as much memory again, which is what was freed if anything was. */
function disposeAndOverwrite(device: Device, given: Given): Disposable {
  const others: Tensor[] = [];
  for (const one of Object.values(given) as Tensor[]) one.dispose();
  for (const { shape } of Object.values(given) as Tensor[]) {
    const size = shape.reduce((a, b) => a * b, 1);
    for (let k = 0; k < 4; k++) others.push(tensor(device, host(new Float64Array(size).fill(7), shape)));
  }
  return { [Symbol.dispose]: () => others.forEach((one) => one.dispose()) };
}

testOn(MACHINES, "what is given to a solve may be disposed while it runs", async (device, { dtype }) => {
  const ledger = watchMemory(device);
  const given = give(device);
  // More sweeps than are recorded before the first look at the device.
  const options = { method: elk({ damping: 1e5 }), rtol: 1e-3, guess: given.guess } as const;
  const running = solve(turn, { params: { w: given.w }, xs: given.xs, h0: given.h0 }, options);
  const others = disposeAndOverwrite(device, given);
  const solution = await running;
  assert(solution.stats.sweeps > 40, `${solution.stats.sweeps} sweeps`);
  const expected = runLoop(rule(WEIGHTS), host(H0, [1, 2]), host(XS, [1, TIME, 2]), TIME);
  assertClose(await read(solution.ys), expected.data, dtype === "f64" ? 1e-10 : 1e-4, "ys");
  solution.dispose();
  others[Symbol.dispose]();
  assertEquals(ledger.held(), []);
});

testOn(MACHINES, "what solveVjp was given may be disposed before its pullback", async (device, { dtype }) => {
  const ledger = watchMemory(device);
  const time = 12;
  const loss = (w: readonly number[], xs: Float64Array, h0: readonly number[]): number => {
    const { data } = runLoop(rule(w), host(h0, [1, 2]), host(xs, [1, time, 2]), time);
    return Array.from(data).reduce((sum, value) => sum + value, 0);
  };
  const weights = [0.5, -0.8, 0.7, 0.4];
  const inputs = XS.slice(0, 2 * time);
  const slope = (values: readonly number[], f: (moved: number[]) => number): number[] =>
    values.map((_, i) => {
      const at = (by: number): number => f(values.map((value, j) => value + (i === j ? by : 0)));
      return (at(1e-5) - at(-1e-5)) / 2e-5;
    });
  for (const inScope of [false, true]) {
    const w = tensor(device, host(weights, [2, 2]));
    const xs = host(inputs, [time, 2]);
    const forward = inScope
      // Copies of host arrays are made within the scope, and not returned from it.
      ? await tidy(device, () => solveVjp(turn, { params: { w }, xs, h0: host(H0, [2]) }))
      : await solveVjp(turn, { params: { w }, xs, h0: host(H0, [2]) });
    w.dispose();
    const others = [4, 2, 2 * time].flatMap((size) =>
      [0, 1, 2].map(() => tensor(device, host(new Float64Array(size).fill(7), [size])))
    );
    const grads = await forward.pullback(host(new Float64Array(2 * time).fill(1), [time, 2]));
    const tolerance = dtype === "f64" ? 1e-8 : 1e-4;
    const found = (grads.params as { w: Tensor }).w;
    assertClose(await read(found), slope(weights, (moved) => loss(moved, inputs, H0)), tolerance, "w");
    assertClose(await read(grads.h0), slope(H0, (moved) => loss(weights, inputs, moved)), tolerance, "h0");
    for (const made of [found, grads.xs, grads.h0, ...others]) made.dispose();
    forward.dispose();
    assertEquals(ledger.held(), []);
  }
});
