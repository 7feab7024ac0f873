import { assertEquals, assertRejects } from "@std/assert";
import {
  adam,
  adamw,
  applyUpdates,
  checkGrads,
  clipByGlobalNorm,
  enqueueSolve,
  gru,
  type Optimizer,
  sgd,
  type Solution,
  solve,
  solveJvp,
  solveVjp,
  squaredError,
  sum,
  type Tensor,
  tensor,
  toHost,
  type Tree,
  valueAndGrad,
  warmStarts,
} from "../../mod.ts";
import { host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";

// What is made of tracked tensors without a pullback: its value may be used, its gradient is refused, never zero unsaid.

type Params = Tree<Tensor>;
const cell = gru({ input: 2, hidden: 3 });
const xs = host(numbers(5 * 2, 1, 3), [5, 2]);

const update = (optimizer: Optimizer, params: Params, grads: Params): Tensor =>
  optimizer.update(grads, optimizer.init(params), params).updates["bias"] as Tensor;

/** What nothing flows through, made of parameters; `plain` are the same, untracked. */
const CUTS: Readonly<Record<string, [cut: (p: Params, plain: Params) => Promise<Tensor> | Tensor, what: string]>> = {
  iterates: [
    async (p) => (await solve(cell, { params: p, xs }, { method: "deer", maxSweeps: 6, keepIterates: true })).iterates!,
    "the iterates of a solve",
  ],
  "iterates, enqueued": [
    async (p) => {
      const { verdict } = enqueueSolve(cell, { params: p, xs }, { method: "deer", maxSweeps: 6, keepIterates: true });
      return (await verdict()).iterates!;
    },
    "the iterates of a solve",
  ],
  "tangent of parameters": [async (p) => (await solveJvp(cell, { params: p, xs }, { xs })).tangent, "the tangent of"],
  "tangent along parameters": [
    async (p, plain) =>
      (await solveJvp(cell, { params: plain, xs }, { params: { bias: p["bias"] as Tensor } })).tangent,
    "the tangent of solveJvp()",
  ],
  "pullback of parameters": [
    async (p) => {
      const { pullback } = await solveVjp(cell, { params: p, xs });
      return (await pullback(host(numbers(15), [5, 3]))).params["bias"] as Tensor;
    },
    "what the pullback of solveVjp() returns",
  ],
  "pullback of a cotangent": [
    async (p, plain) => {
      const { pullback, solution } = await solveVjp(cell, { params: plain, xs });
      const { ys } = enqueueSolve(cell, { params: p, xs });
      solution.yT.dispose();
      return (await pullback(ys)).h0;
    },
    "what the pullback of solveVjp() returns",
  ],
  sgd: [(p, plain) => update(sgd(0.1, { momentum: 0.9 }), plain, p), "what the update of sgd() returns"],
  adam: [(p, plain) => update(adam(0.1), plain, p), "what the update of adam() returns"],
  "adamw, decay": [(p, plain) => update(adamw(0.1), p, plain), "what the update of adamw() returns"],
  clipByGlobalNorm: [(p, plain) => update(clipByGlobalNorm(0.1), plain, p), "what the update of clipByGlobalNorm()"],
  "clipByGlobalNorm, another leaf": [
    (p, plain) => update(clipByGlobalNorm(0.1), plain, { ...plain, weight_hh: p["weight_hh"]! }),
    "what the update of clipByGlobalNorm() returns",
  ],
  "warm starts": [
    (p) => {
      const memory = warmStarts({ capacityBytes: 2 ** 20 }).memory([1]);
      memory.set("", enqueueSolve(cell, { params: p, xs }).ys);
      return (memory.get("", [5, 3]) as Tensor[])[0]!;
    },
    "a trajectory of warmStarts()",
  ],
};

for (const [name, [cut, what]] of Object.entries(CUTS)) {
  testOn(MACHINES, `gradients through ${name} are refused, its value is not`, async (device) => {
    const params = cell.init(device, { seed: 1 });
    const refused = valueAndGrad(async (p: Params) => sum(await cut(p, params)));
    const message = `Cannot differentiate ${what}`;
    const error = await assertRejects(() => refused(params), TypeError, message);
    assertEquals(error.message.includes("there is no pullback; "), true, error.message);
    // Beside a loss that does not come from it, it changes nothing.
    const beside = valueAndGrad(async (p: Params) => {
      const value = await cut(p, params);
      const { data } = await toHost(value);
      return { value: sum(p["bias"] as Tensor), aux: { data, value } };
    });
    const { grads, aux } = await beside(params);
    assertEquals(Array.from(await read(grads["bias"] as Tensor)), Array(9).fill(1));
    assertEquals(Array.from((await toHost(aux.value)).data), Array.from(aux.data));
  });
}

testOn(MACHINES, "a warm start that was set under a gradient is an ordinary guess afterwards", async (device) => {
  const params = cell.init(device, { seed: 1 });
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  const memory = store.memory([1]);
  let sweeps = 0;
  const loss = valueAndGrad(async (p: Params) => {
    const guess = memory.get("", [5, 3]) ?? "f0";
    const { ys, verdict } = enqueueSolve(cell, { params: p, xs }, { method: "deer", guess });
    memory.set("", ys);
    // Also within the same gradient.
    const again = enqueueSolve(cell, { params: p, xs }, { method: "deer", guess: memory.get("", [5, 3])! });
    sweeps = (await verdict()).stats.sweeps;
    return sum(again.ys);
  });
  const first = await loss(params);
  const cold = sweeps;
  const second = await loss(params);
  assertEquals([cold > 2, sweeps <= 2], [true, true], `${cold} sweeps, then ${sweeps}`);
  // The same point: what was guessed has no influence on the gradient but rounding.
  const [a, b] = [await read(first.grads["bias"] as Tensor), await read(second.grads["bias"] as Tensor)];
  a.forEach((v, i) => assertEquals(Math.abs(v - b[i]!) < 1e-4 * Math.max(1, Math.abs(v)), true));
  assertEquals(Array.from(await read(store.entries()[0]!.states)).length, 15);
});

testOn(MACHINES, "a trajectory that replaces one of a gradient is a constant again", async (device) => {
  const params = cell.init(device, { seed: 1 });
  const constant = tensor(device, host(numbers(15), [5, 3]));
  using store = warmStarts({ capacityBytes: 2 ** 20 });
  const memory = store.memory([1]);
  const { value, grads } = await valueAndGrad((p: Params) => {
    memory.set("", enqueueSolve(cell, { params: p, xs }).ys);
    memory.set("", constant);
    return sum((memory.get("", [5, 3]) as Tensor[])[0]!);
  })(params);
  assertEquals(Array.from(await read(grads["bias"] as Tensor)), Array(9).fill(0));
  assertEquals(await read(value), await read(sum(constant)));
});

testOn(MACHINES, "iterates that are there only when the gradient is are told with the verdict", async (device) => {
  const params = cell.init(device, { seed: 1 });
  let pending: Promise<Solution> | undefined;
  await valueAndGrad((p: Params) => {
    const { ys, verdict } = enqueueSolve(cell, { params: p, xs }, { method: "deer", maxSweeps: 5, keepIterates: true });
    pending = verdict();
    return sum(ys);
  })(params);
  const { result, stats, iterates } = await pending!;
  assertEquals([result, iterates!.shape], ["successful", [stats.sweeps + 1, 5, 3]]);
  iterates!.dispose();
});

testOn(
  MACHINES,
  "applyUpdates is differentiable: a step of a descent inside of a loss",
  async (device, { epsilon }) => {
    const params = { w: tensor(device, host([1, -2, 3], [3])), rate: tensor(device, host([0.5, 0.25, -1], [3])) };
    const ledger = watchMemory(device);
    const target = host([0.3, 0.2, 0.1], [3]);
    const loss = (p: typeof params): Tensor => {
      const moved = applyUpdates({ w: p.w }, { w: p.rate });
      const twice = applyUpdates(moved, moved);
      return squaredError(twice.w, tensor(device, target));
    };
    // d/dw mean((2 (w + r) - y)²) = 4 (2 (w + r) - y) / 3, and the same for r.
    const { value, grads } = await valueAndGrad(loss)(params);
    const expected = [1.5, -1.75, 2].map((v, i) => 4 * (2 * v - target.data[i]!) / 3);
    for (const grad of [grads.w, grads.rate]) {
      const actual = await read(grad);
      // A few roundings of numbers below 8.
      expected.forEach((v, i) =>
        assertEquals(Math.abs(v - actual[i]!) < 50 * epsilon, true, `${actual}, not ${expected}`)
      );
      grad.dispose();
    }
    value.dispose();
    // The target is the caller's.
    assertEquals(ledger.held(), ["a tensor"]);
    if (device.dtype === "f64") await checkGrads(loss, params);
  },
);
