import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  gru,
  type HostTensor,
  recurrent,
  residual,
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
import type { TensorLike } from "../../src/tensor.ts";
import { assertSame, host, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { TORCH_CASES } from "../solve/problems.ts";

const torchGru = TORCH_CASES[0]!;

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
