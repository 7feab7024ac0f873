import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import {
  defineStep,
  DeviceError,
  gru,
  type HostTensor,
  type MethodName,
  type Problem,
  solve,
  SolveError,
  toHost,
} from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, assertSame, host, numbers, read, rowOf } from "./arrays.ts";
import { watchMemory } from "./memory.ts";
import { MACHINES, testOn } from "./machines.ts";

const METHODS: readonly MethodName[] = [
  "sequential",
  "jacobi",
  "picard",
  "quasi-deer",
  "block-deer",
  "deer",
  "quasi-elk",
  "elk",
];
const TIME = 12;

const step = defineStep({
  name: "mixer",
  state: 2,
  input: 2,
  params: { weight: [2, 2], bias: [2] },
  step: ({ h, x, p }) => ops.tanh(ops.add(ops.add(ops.matvec(p.weight, h), p.bias), x)),
});

const growing = defineStep({
  name: "growing",
  state: 1,
  input: 1,
  params: {},
  step: ({ h, x }) => ops.mul(ops.mul(2e30, x), h),
});

/** A healthy problem of three sequences. */
function healthy(): { params: { weight: HostTensor; bias: HostTensor }; xs: HostTensor; h0: HostTensor } {
  return {
    params: { weight: host([0.5, -0.25, 0.125, 0.25], [2, 2]), bias: host([0.1, -0.1], [2]) },
    xs: host(numbers(3 * TIME * 2, 1, 3), [3, TIME, 2]),
    h0: host(numbers(6, 0.5, 4), [3, 2]),
  };
}

/** The same with `value` in one place. */
function poisoned(where: "xs" | "h0" | "weight" | "bias", at: number, value: number): Problem {
  const problem = healthy();
  const target = where === "xs" || where === "h0" ? problem[where] : problem.params[where];
  target.data[at] = value;
  return problem;
}

const XS_AT = (TIME + 5) * 2 + 1;
const TABLE: readonly [problem: Problem, failed: readonly boolean[], t: number, message: string][] = [
  [
    poisoned("xs", XS_AT, NaN),
    [false, true, false],
    5,
    "1 of 3 sequences not finite, sequence 1 first at t = 5, xs[1, 5, 1] is NaN",
  ],
  [
    poisoned("h0", 4, NaN),
    [false, false, true],
    0,
    "1 of 3 sequences not finite, sequence 2 first at t = 0, h0[2, 0] is NaN",
  ],
  [
    poisoned("weight", 3, NaN),
    [true, true, true],
    0,
    "3 of 3 sequences not finite, sequence 0 first at t = 0, params.weight is NaN at element 3",
  ],
  [poisoned("bias", 1, NaN), [true, true, true], 0, "params.bias is NaN at element 1"],
];

testOn(MACHINES, "NaN in inputs is refused by every method, and the message says where it is", async (device) => {
  for (const [problem, failed, , message] of TABLE) {
    for (const method of METHODS) {
      const error = await assertRejects(() => solve(step, problem, { device, method }), SolveError, message);
      assertEquals([error.name, error.result, error.solution.result], ["SolveError", "nonfinite", "nonfinite"]);
      assertMatch(error.message, new RegExp(`^Cannot solve "mixer" by ${method}: `));
      assert(!error.message.endsWith("."), error.message);
      assertEquals(error.solution.stats.converged, failed.map((value) => !value));
    }
  }
});

testOn(
  MACHINES,
  "a sequence that is not finite ends in NaN, the others are right",
  async (device) => {
    using good = await solve(step, healthy(), { device });
    const right = await toHost(good.ys);
    for (const [problem, failed, t] of TABLE) {
      if (failed[0]) continue;
      for (const method of METHODS) {
        for (const window of [TIME, 4]) {
          const options = { device, method, window, onFailure: "return", errorBound: true } as const;
          using solution = await solve(step, problem, options);
          assertEquals(solution.result, "nonfinite");
          const ys = await toHost(solution.ys);
          for (const [b, bad] of failed.entries()) {
            const [actual, expected] = [rowOf(ys, b).data, rowOf(right, b).data];
            const end = bad ? t * 2 : TIME * 2;
            const close = expected.slice(0, end).every((value, i) => Math.abs(value - actual[i]!) < 1e-5);
            assert(close, `${method}, window ${window}: sequence ${b} is off`);
            assert(
              actual.slice(end).every(Number.isNaN),
              `${method}, window ${window}: sequence ${b} has values after t`,
            );
            assertEquals((await toHost(solution.yT)).data.slice(2 * b, 2 * b + 2).some(Number.isNaN), bad);
            if (bad) assertEquals(solution.stats.errorBound![b], Infinity);
            else if (!bad) assert(solution.stats.errorBound![b]! < 1e-4);
          }
        }
      }
    }
  },
);

testOn(MACHINES, "a trajectory that overflows is refused with its first t", async (device, { dtype }) => {
  // h[t] = (2e30)^(t+1): beyond 3.4e38 at t = 1, beyond 1.8e308 at t = 10.
  const t = dtype === "f64" ? 10 : 1;
  const xs = host(new Float64Array(2 * 20).fill(1), [2, 20, 1]);
  xs.data.fill(0, 20);
  for (const method of METHODS) {
    const problem = { params: {}, xs, h0: host([1, 1], [2, 1]) };
    const message = `1 of 2 sequences not finite, sequence 0 first at t = ${t}; look for NaN`;
    const error = await assertRejects(() => solve(growing, problem, { device, method }), SolveError, message);
    assertEquals(error.solution.stats.converged, [false, true], method);
    using solution = await solve(growing, problem, { device, method, onFailure: "return" });
    const ys = await read(solution.ys);
    const exact = Array.from({ length: t }, (_, i) => (2e30) ** (i + 1));
    assert(exact.every((value, i) => Math.abs(ys[i]! / value - 1) < 1e-6), `${method}: ${ys}`);
    assert(ys.slice(t, 20).every(Number.isNaN));
    assertSame(ys.slice(20), new Float64Array(20), method);
  }
});

testOn(MACHINES, "infinite values that the step can take are no failure", async (device) => {
  const cases: readonly Problem[] = [poisoned("xs", XS_AT, -Infinity), poisoned("weight", 0, Infinity)];
  for (const [i, problem] of cases.entries()) {
    using serial = await solve(step, problem, { device, method: "sequential" });
    const expected = await read(serial.ys);
    if (i === 0) assertEquals(expected[XS_AT], -1);
    else assert(expected.every((value, k) => k % 2 === 1 || Math.abs(value) === 1), "tanh of an infinite product");
    for (const method of METHODS) {
      // Its Jacobian is 0 · Infinity there: such entries count as 0, and the exact prefix does the rest.
      using solution = await solve(step, problem, { device, method });
      assertClose(await read(solution.ys), expected, 1e-5, method);
    }
  }
});

testOn(
  MACHINES,
  "a SolveError keeps the statistics, and all arrays are freed",
  async (device) => {
    const ledger = watchMemory(device);
    for (const method of METHODS) {
      for (const [problem] of TABLE) {
        const options = { device, method, keepIterates: true, errorBound: true } as const;
        const { solution } = await assertRejects(() => solve(step, problem, options), SolveError);
        assertEquals(solution.stats.method, method);
        assertEquals(solution.stats.sequenceSweeps.length, 3);
        await assertRejects(() => toHost(solution.ys), DeviceError, "it was disposed");
        await assertRejects(() => toHost(solution.yT), DeviceError, "it was disposed");
        assertEquals(ledger.held(), [], method);
      }
    }
  },
);

testOn(MACHINES, "a solve that does not converge says how far it came, and what to do", async (device) => {
  const henon = defineStep({
    name: "henon",
    state: 1,
    input: 0,
    params: {},
    step: ({ h }) => ops.sub(1, ops.mul(1.9, ops.square(h))),
  });
  const ledger = watchMemory(device);
  for (const method of METHODS.slice(1)) {
    const problem = { params: {}, time: 300, h0: host([0.3, 0.1], [2, 1]) };
    const options = { device, method, maxSweeps: 9 } as const;
    const error = await assertRejects(() => solve(henon, problem, options), SolveError);
    assertStringIncludes(
      error.message,
      `Cannot solve "henon" by ${method}: 2 of 2 sequences not converged after 9 sweeps`,
    );
    assertMatch(error.message, /after \d+ sweeps \(maxSweeps\), last update \S+ tolerances; raise maxSweeps/);
    assertStringIncludes(error.message, method.endsWith("elk") ? "use another damping" : "stabilise with scale");
    assertEquals(error.result, "max-sweeps-reached");
    const { stats } = error.solution;
    assertEquals([stats.sweeps, stats.residuals.length, stats.sequenceSweeps], [9, 9, [9, 9]]);
    assert(stats.residuals.at(-1)! > 1);
    assertEquals(ledger.held(), []);
  }
});

testOn(MACHINES, "a NaN late in a long input is found once all before it has settled", async (device) => {
  // Between it and the exact beginning lie 1500 steps, which flicker by roundings and need not repeat.
  const [time, at] = [3000, 1500];
  const cell = gru({ input: 1, hidden: 6 });
  const xs = host(numbers(time, 1, 9), [time, 1]);
  xs.data[at] = NaN;
  const problem = { params: cell.init(device, { seed: 2 }), xs };
  for (const [method, most] of [["deer", 12], ["quasi-deer", 60], ["elk", 20], ["quasi-elk", 60]] as const) {
    const error = await assertRejects(
      () => solve(cell, problem, { device, method }),
      SolveError,
      `t = ${at}, xs[${at}, 0]`,
    );
    assertEquals(error.result, "nonfinite");
    const { sweeps } = error.solution.stats;
    assert(sweeps <= most, `${method} took ${sweeps} sweeps`);
  }
});
