import { assert, assertAlmostEquals, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  defineStep,
  type Device,
  elman,
  enqueueSolve,
  ops,
  type Problem,
  solve,
  SolveError,
  tensor,
} from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { host, numbers } from "./arrays.ts";
import { watchMemory } from "./memory.ts";
import { MACHINES, testOn } from "./machines.ts";

// What `auto` makes of the dynamics. Processors and software adapters gain nothing by sweeps, so their engines say here
// that they are hardware: `auto` then counts with a card's costs, on the engine that is tested.

async function asHardware(device: Device, fn: () => Promise<void>): Promise<void> {
  const engine = engineOf(device);
  Object.defineProperty(engine, "speed", { value: "hardware", configurable: true, writable: true });
  const { speed } = Object.getOwnPropertyDescriptors(engine);
  assertEquals(speed?.value, "hardware");
  try {
    await fn();
  } finally {
    Object.defineProperty(engine, "speed", {
      value: device.backend === "cpu" ? "cpu" : "software",
      configurable: true,
      writable: true,
    });
  }
}

/** How often an engine was asked for an array while `fn` ran. */
async function countReads(device: Device, fn: () => Promise<void>): Promise<number> {
  const engine = engineOf(device);
  const { read } = engine;
  let reads = 0;
  engine.read = (memory) => {
    reads++;
    return read.call(engine, memory);
  };
  try {
    await fn();
  } finally {
    engine.read = read;
  }
  return reads;
}

const TIME = 4096;
const SIZE = 4;

/**
 * tanh(g Q h) for an orthogonal Q: at rest at 0, where its Jacobian is g Q and its exponent log g. `coupled` makes the arrays
 * of its parameters anew.
 */
const cell = elman({ input: 1, hidden: SIZE });
function atRest(gain: number, device: Device, batch = 1, time = TIME): Problem {
  const [c, s] = [Math.cos(0.7), Math.sin(0.7)];
  const turn = [[c, 0, -s, 0], [0, -c, 0, s], [s, 0, c, 0], [0, s, 0, c]].flat();
  const params = {
    weight_ih: host(numbers(SIZE), [SIZE, 1]),
    weight_hh: host(turn.map((value) => gain * value), [SIZE, SIZE]),
    bias: host(new Array<number>(SIZE).fill(0), [SIZE]),
  };
  return { params, xs: tensor(device, host(new Array<number>(batch * time).fill(0), [batch, time, 1])) };
}

const henon = defineStep({
  name: "Hénon",
  state: 2,
  input: 0,
  params: {},
  step: ({ h }) => {
    const [x, y] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
    return ops.concat(ops.add(ops.sub(1, ops.mul(1.4, ops.mul(x, x))), y), ops.mul(0.3, x));
  },
});

/** The exponent of the Hénon map over so many steps, by plain loops. */
function growHenon(time: number): number {
  let [x, y, u, v, sum] = [0.1, 0.1, 0.6, 0.8, 0];
  for (let t = 0; t < time; t++) {
    [u, v] = [-2.8 * x * u + v, 0.3 * u];
    [x, y] = [1 - 1.4 * x * x + y, 0.3 * x];
    const norm = Math.hypot(u, v);
    sum += Math.log(norm);
    [u, v] = [u / norm, v / norm];
  }
  return sum / time;
}

/** What a reason says: small differences "grow" or "shrink", the exponent, and over how many steps. */
function readReason(reason: string | undefined): { change: string; exponent: number; steps: number } {
  const match = reason?.match(/small differences (\w+), by exp\((\S+)\) a step over the first (\d+)$/);
  assert(match, reason);
  return { change: match[1]!, exponent: Number(match[2]), steps: Number(match[3]) };
}

testOn(MACHINES, "auto: a step that forgets is swept, one whose differences grow is not", async (device) => {
  await asHardware(device, async () => {
    for (const [gain, method, change] of [[0.6, "deer", "shrink"], [1.25, "sequential", "grow"]] as const) {
      for (const batch of [1, 6]) {
        // A batch's first sequences alone are looked at; all of them are at rest.
        using solution = await solve(cell, atRest(gain, device, batch), { device });
        const { reason } = solution.stats;
        assertEquals([solution.result, solution.stats.method], ["successful", method], reason);
        const told = readReason(reason);
        assertEquals([told.change, told.steps], [change, TIME / 8]);
        // Three digits are told.
        assertAlmostEquals(told.exponent, Math.log(gain), 0.006 * Math.abs(Math.log(gain)));
        // Contraction by 0.51 a step: 4 + 0.35 / 0.51 sweeps. Growth: 4096 / (1 + 7 / (1 + 0.223 / 0.005)).
        const expected = gain < 1
          ? "5 sweeps of Newton's method in"
          : "3,552 sweeps of Newton's method would be more than the 100";
        assert(reason!.includes(expected), reason);
      }
    }
  });
});

testOn(MACHINES, "auto: of a batch the first four sequences are looked at, and the wildest counts", async (device) => {
  const length = 512;
  // Driven to the ends of tanh a sequence forgets everything.
  const drive = (rows: readonly number[]): Problem => {
    const data = rows.flatMap((x) => new Array<number>(8 * length).fill(x));
    const { params } = atRest(1.25, device, 1, 1);
    const whole = { ...params, weight_ih: host([1, 1, 1, 1], [SIZE, 1]) };
    return { params: whole, xs: host(data, [rows.length, 8 * length, 1]) };
  };
  await asHardware(device, async () => {
    const table: [rows: number[], change: string, method: string][] = [
      [[9, 0], "grow", "sequential"],
      [[9, 9, 9, 0, 9], "grow", "sequential"],
      [[9, 9, 9, 9, 0], "shrink", "deer"],
    ];
    for (const [rows, change, method] of table) {
      const step = elman({ input: 1, hidden: SIZE });
      using solution = await solve(step, drive(rows), { device });
      const told = readReason(solution.stats.reason);
      assertEquals([told.change, told.steps, solution.stats.method], [change, length, method], rows.join());
      if (change === "grow") assertAlmostEquals(told.exponent, Math.log(1.25), 0.002);
    }
  });
});

testOn(MACHINES, "auto: chaos is left to the sequential method, and sweeps would have failed", async (device) => {
  const problem = { params: {}, time: TIME, h0: host([0.1, 0.1], [2]) };
  await asHardware(device, async () => {
    using solution = await solve(henon, problem, { device });
    assertEquals([solution.result, solution.stats.method], ["successful", "sequential"]);
    const { change, exponent, steps } = readReason(solution.stats.reason);
    assertEquals([change, steps], ["grow", TIME / 8]);
    // Roundings make two orbits of one: their means over 512 steps lie about 0.03 apart.
    assertAlmostEquals(exponent, growHenon(steps), 0.1);
    using swept = await solve(henon, problem, { device, method: "deer", onFailure: "return" });
    assertEquals(swept.result, "max-sweeps-reached");
    // With leave for T sweeps they are an option again, and a dear one.
    using patient = await solve(henon, problem, { device, maxSweeps: TIME });
    assertEquals(patient.stats.method, "sequential");
    assertMatch(patient.stats.reason!, /[\d,]+ sweeps of Newton's method in about \d+ ms/);
  });
});

const wrapAnew = (params: Problem["params"]): Problem["params"] =>
  Object.fromEntries(Object.entries(params).map(([name, leaf]) => [name, { ...leaf }]));

testOn(MACHINES, "auto: parameters are looked at once; enqueueSolve uses what is known", async (device) => {
  const step = elman({ input: 1, hidden: SIZE, activation: "tanh" });
  const run = async (problem: Problem): Promise<string> => {
    using solution = await solve(step, problem, { device });
    return solution.stats.method;
  };
  const enqueue = async (problem: Problem): Promise<string> => {
    using solution = await enqueueSolve(step, problem, { device }).verdict();
    return solution.stats.method;
  };
  const [calm, wild] = [atRest(0.5, device), atRest(1.3, device)];
  const others = [0.51, 0.52, 0.53, 0.54, 0.55].map((gain) => atRest(gain, device));
  const steps: [problem: Problem, reads: number, method: string][] = [
    [calm, 1, "deer"],
    [calm, 0, "deer"],
    // The same arrays in other wrappers.
    [{ ...calm, params: wrapAnew(calm.params) }, 0, "deer"],
    // Parameters that change, as in training, are looked at ever more seldom while sweeps are expected to do.
    ...others.map((problem, i): [Problem, number, string] => [problem, [1, 1, 0, 1, 0][i]!, "deer"]),
  ];
  await asHardware(device, async () => {
    assertEquals(await countReads(device, async () => assertEquals(await enqueue(wild), "deer")), 0);
    for (const [problem, reads, method] of steps) {
      let ran = "";
      assertEquals(await countReads(device, async () => void (ran = await run(problem))), reads);
      assertEquals(ran, method);
    }
    // A step of its own: wild from the start, then calm.
    const again = elman({ input: 1, hidden: SIZE });
    for (
      const [problem, reads, method] of [[wild, 1, "sequential"], [wild, 0, "sequential"], [calm, 1, "deer"]] as const
    ) {
      const read = await countReads(device, async () => {
        using solution = await solve(again, problem, { device });
        assertEquals(solution.stats.method, method);
      });
      assertEquals(read, reads);
      using enqueued = await enqueueSolve(again, problem, { device }).verdict();
      assertEquals(enqueued.stats.method, method);
    }
  });
});

testOn(MACHINES, "auto: short solves, affine steps, other methods and processors are not looked at", async (device) => {
  const decay = defineStep({
    name: "decay",
    state: 1,
    input: 1,
    params: {},
    step: ({ h, x }) => ops.add(ops.mul(0.5, h), x),
  });
  const xs = host(numbers(TIME), [TIME, 1]);
  const none = await countReads(device, async () => {
    (await solve(elman({ input: 1, hidden: SIZE }), atRest(0.5, device), { device })).dispose();
    await asHardware(device, async () => {
      using short = await solve(elman({ input: 1, hidden: SIZE }), atRest(0.5, device, 300, 1000), { device });
      assertEquals(short.stats.method, "deer", short.stats.reason);
      (await solve(decay, { params: {}, xs }, { device })).dispose();
      (await solve(elman({ input: 1, hidden: SIZE }), atRest(0.5, device), { device, method: "deer" })).dispose();
    });
  });
  assertEquals(none, 0);
});

testOn(MACHINES, "auto: what has failed is not tried again with the same parameters", async (device) => {
  // A cycle of two states: contracting, with λ = log |4 + 2 r - r²| / 2, but Newton's iterates start beyond its basin.
  const logistic = defineStep({
    name: "logistic",
    state: 1,
    input: 0,
    params: { r: [] },
    step: ({ h, p }) => ops.mul(p.r, ops.mul(h, ops.sub(1, h))),
  });
  const problem = (r: number): Problem => ({ params: { r: host([r], []) }, time: TIME, h0: host([0.3], [1]) });
  const first = problem(3.2);
  await asHardware(device, async () => {
    const error = await assertRejects(() => solve(logistic, first, { device }), SolveError);
    const { method, reason, sweeps } = error.solution.stats;
    assertEquals([error.result, method, sweeps], ["max-sweeps-reached", "deer", 100]);
    const { exponent } = readReason(reason);
    assertAlmostEquals(exponent, Math.log(Math.abs(4 + 2 * 3.2 - 3.2 ** 2)) / 2, 0.02);
    using second = await solve(logistic, first, { device });
    assertEquals([second.result, second.stats.method], ["successful", "sequential"]);
    assert(second.stats.reason!.includes("100 were not enough"), second.stats.reason);
    // Others may do better: at r = 2.5 there is a fixed point.
    using enqueued = await enqueueSolve(logistic, problem(2.5), { device }).verdict();
    assertEquals(enqueued.stats.method, "deer");
    using third = await solve(logistic, problem(2.5), { device });
    assertEquals([third.result, third.stats.method], ["successful", "deer"]);
    // Fewer sweeps than it would have had are no failure of the method: it is tried with all of them.
    const again = problem(3.2);
    for (const [options, allowed] of [[{ maxSweeps: 50 }, 50], [{}, 100]] as const) {
      const failed = await assertRejects(() => solve(logistic, again, { device, ...options }), SolveError);
      assertEquals([failed.solution.stats.method, failed.solution.stats.sweeps], ["deer", allowed]);
    }
  });
});

testOn(MACHINES, "auto: states that are not finite, and aborts, leave nothing behind", async (device) => {
  const ledger = watchMemory(device);
  await asHardware(device, async () => {
    const step = elman({ input: 1, hidden: SIZE });
    const { params } = atRest(0.5, device, 1, 1);
    const before = ledger.held();
    const xs = host(numbers(TIME), [TIME, 1]);
    const broken = { params, xs: { ...xs, data: xs.data.map((value, t) => t === 100 ? NaN : value) } };
    const error = await assertRejects(() => solve(step, broken, { device }), SolveError, "not finite");
    assertEquals(error.result, "nonfinite");
    assertEquals(ledger.held(), before);
    // What was seen of it says nothing of others.
    const reads = await countReads(device, async () => (await solve(step, { params, xs }, { device })).dispose());
    assertEquals([reads, ledger.held()], [1, before]);
    const other = elman({ input: 1, hidden: SIZE });
    const engine = engineOf(device);
    const { read } = engine;
    engine.read = () => Promise.reject(new Error("nothing can be read"));
    await assertRejects(() => solve(other, { params, xs }, { device }), Error, "nothing can be read");
    engine.read = read;
    assertEquals(ledger.held(), before);
    const abort = new AbortController();
    const pending = solve(other, { params, xs }, { device, signal: abort.signal });
    abort.abort("enough");
    const reason = await pending.then(() => "none", (caught) => caught);
    assertEquals(reason, "enough");
    assertEquals(ledger.held(), before);
  });
});
