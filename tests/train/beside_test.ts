import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  defineMap,
  type Device,
  DeviceError,
  disposeTree,
  enqueueSolve,
  gru,
  type HostTensor,
  map,
  matmul,
  mean,
  ops,
  sgd,
  solve,
  type Tensor,
  tensor,
  tidy,
  toHost,
  train,
  type TrainSettings,
  type TrainStep,
} from "../../mod.ts";
import { scopesOf } from "../../src/device.ts";
import { host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";

// Trainings and scopes beside other work on the same device.

type Params = { readonly w: Tensor };
type Batch = { readonly xs: Tensor };

const half = defineMap({ name: "half", inputs: { x: [] }, params: {}, map: ({ x }) => ops.mul(0.5, x) });
const turn = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function settingsOf(device: Device, seed: number): TrainSettings<Params, Batch> {
  return {
    params: { w: tensor(device, host(numbers(6, 1, seed), [2, 3])) },
    optimizer: sgd(0.1, { momentum: 0.9 }),
    steps: 12,
    seed,
    batches: ({ random }) => {
      const raw = tensor(device, host(Array.from({ length: 8 }, () => random.normal()), [4, 2]));
      return { xs: map(half, { inputs: { x: raw } }) };
    },
    // A part of it has no parameter, so that no tape knows of it.
    loss: ({ w }, { xs }) => {
      const scaled = map(half, { inputs: { x: xs } });
      const out = matmul(scaled, w);
      return mean(matmul(out, tensor(device, host([1, 2, 3], [3, 1]))));
    },
  };
}

async function finish(settings: TrainSettings<Params, Batch>): Promise<Float64Array> {
  let last: TrainStep<Params> | undefined;
  for await (const step of train(settings)) last = step;
  const found = await read(last!.params.w);
  disposeTree(last!.params, last!.state, settings.params);
  return found;
}

testOn(
  MACHINES,
  "a training leaves what others make meanwhile alone, and frees what it makes itself",
  async (device) => {
    const cell = gru({ input: 2, hidden: 3 });
    const params = cell.init(device, { seed: 1 });
    const xs = host(numbers(40, 1, 2), [20, 2]);
    using expected = await solve(cell, { params, xs }, { method: "deer" });
    const states = await read(expected.ys);
    const ledger = watchMemory(device);
    for (const onFailure of ["throw", "skip"] as const) {
      let training = true;
      const other = (async () => {
        let rounds = 0;
        while (training || rounds < 3) {
          using solution = await solve(cell, { params, xs }, { method: "deer" });
          // Turns of the training come between these.
          for (let k = 0; k < 40; k++) await Promise.resolve();
          using copy = tensor(device, await toHost(solution.ys));
          for (let k = 0; k < 40; k++) await Promise.resolve();
          assertEquals(await read(copy), states);
          if (++rounds % 20 === 0) await turn();
        }
        return rounds;
      })();
      const settings = { ...settingsOf(device, 3), steps: 30, logEvery: 4, onFailure };
      let last: TrainStep<Params> | undefined;
      for await (const step of train(settings)) last = step;
      training = false;
      disposeTree(last!.params, last!.state, settings.params);
      assert(await other >= 3);
      assertEquals(ledger.held(), []);
    }
  },
);

testOn(MACHINES, "two trainings at once are two trainings", async (device) => {
  const ledger = watchMemory(device);
  const alone = [await finish(settingsOf(device, 1)), await finish(settingsOf(device, 2))];
  assertEquals(await Promise.all([finish(settingsOf(device, 1)), finish(settingsOf(device, 2))]), alone);
  assertEquals(ledger.held(), []);
});

testOn(MACHINES, "a scope around a training takes all that it holds in the end", async (device) => {
  const ledger = watchMemory(device);
  const step = await tidy(device, async () => {
    let last: TrainStep<Params> | undefined;
    const sizes: number[] = [];
    for await (const step of train({ ...settingsOf(device, 1), steps: 40, logEvery: 5 })) {
      last = step;
      sizes.push(scopesOf(device)[0]!.members.size);
    }
    // Of what is gone it remembers nothing.
    assertEquals(sizes.slice(1), Array(7).fill(sizes[1]));
    return { w: last!.params.w };
  });
  assertEquals(ledger.held(), ["param of w"]);
  step.w.dispose();
  await assertRejects(
    () =>
      tidy(device, async () => {
        for await (const _ of train({ ...settingsOf(device, 1), loss: () => Promise.reject(new Error("mine")) }));
      }),
    Error,
    "mine",
  );
  assertEquals(ledger.held(), []);
});

testOn(MACHINES, "scopes of others that come and go take nothing of a training", async (device) => {
  const ledger = watchMemory(device);
  const settings = (): TrainSettings<Params, Batch> => {
    const given = settingsOf(device, 1);
    // Step 7 is skipped, for which all steps of a window are looked at one by one.
    const batches = (at: Parameters<typeof given.batches>[0]): Batch => {
      const batch = given.batches(at) as Batch;
      return at.step === 7 ? { xs: tensor(device, host(new Array(8).fill(NaN), [4, 2])) } : batch;
    };
    return { ...given, batches, steps: 60, onFailure: "skip", logEvery: 20 };
  };
  const expected = await finish(settings());
  for (const length of [1, 2, 3, 5, 8, 13, 21]) {
    let training = true;
    const finished = finish(settings());
    const other = (async () => {
      for (let wait = 0; training; wait = (wait + 1) % 5) {
        await tidy(device, async () => {
          for (let k = 0; k < length; k++) await Promise.resolve();
        });
        for (let k = 0; k < wait; k++) await Promise.resolve();
        // Promises alone would leave no turn to the device, and to timers.
        if (wait === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      }
    })();
    assertEquals(await finished, expected, `scopes of ${length} turns`);
    training = false;
    await other;
    assertEquals(ledger.held(), []);
  }
});

testOn(MACHINES, "nothing comes between a scope and a function that does not wait", async (device) => {
  const made: Tensor[] = [];
  const other = async (): Promise<void> => {
    for (let i = 0; i < 6; i++) {
      await Promise.resolve();
      made.push(tensor(device, host([i], [1])));
    }
  };
  const running = other();
  const kept = await tidy(device, () => [tensor(device, host([1], [1])), tensor(device, host([2], [1]))].slice(1));
  await tidy(device, () => tensor(device, host([3], [1])));
  await running;
  assertEquals(await Promise.all(made.map(async (one) => (await read(one))[0])), [0, 1, 2, 3, 4, 5]);
  assertEquals((await read(kept[0]!))[0], 2);
});

testOn(MACHINES, "what a scope that waits has taken from others says so", async (device) => {
  const waiting = tidy(device, () => turn(5));
  const mine = tensor(device, host([1], [1]), "my tensor");
  await waiting;
  const end =
    "was disposed when a tidy() or train() ended that was at work on this device while it was made; return it " +
    "from there, or make it before or after";
  await assertRejects(() => toHost(mine), DeviceError, `Cannot use my tensor: it ${end}`);
  const cell = gru({ input: 2, hidden: 3 });
  const xs = tensor(device, host(numbers(4), [2, 2]));
  xs.dispose();
  // By its owner, in a scope or not.
  await assertRejects(() => toHost(xs), DeviceError, "it was disposed; use it before its scope ends");
  let inner: Tensor | undefined;
  await tidy(device, () => {
    inner = tensor(device, host(numbers(4), [2, 2]));
  });
  await assertRejects(
    () => Promise.resolve().then(() => enqueueSolve(cell, { params: cell.init(device), xs: inner! })),
    DeviceError,
    `xs ${end}`,
  );
});

testOn(MACHINES, "a batch on the device that was fetched a step ahead says what became of it", async (device) => {
  const load = async (step: number): Promise<Tensor> => {
    const data: HostTensor = host(numbers(8, 1, step), [4, 2]);
    await turn(1);
    return tensor(device, data);
  };
  const fetchAhead = <B>(make: (step: number) => Promise<B>): ({ step }: { step: number }) => Promise<B> => {
    let next: Promise<B> | undefined;
    return ({ step }) => {
      const now = next ?? make(step);
      next = make(step + 1);
      return now;
    };
  };
  const settings = settingsOf(device, 1);
  const loss = ({ w }: Params, { xs }: Batch): Tensor => mean(matmul(xs, w));
  const wrong = train({
    ...settings,
    loss,
    batches: fetchAhead(async (step) => {
      const xs = await load(step);
      await turn();
      return { xs };
    }),
  });
  await assertRejects(
    async () => {
      for await (const _ of wrong);
    },
    DeviceError,
    "was disposed when a tidy() or train() ended",
  );
  // Of host arrays it works.
  const right = train({
    params: settings.params,
    optimizer: settings.optimizer,
    steps: 12,
    loss: ({ w }: Params, xs: HostTensor) => loss({ w }, { xs: tensor(device, xs) }),
    batches: fetchAhead(async (step) => {
      await turn(1);
      return host(numbers(8, 1, step), [4, 2]);
    }),
  });
  let count = 0;
  for await (const _ of right) count++;
  assertEquals(count, 12);
});
