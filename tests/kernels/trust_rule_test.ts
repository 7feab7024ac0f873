// The rule for the damping of ELK on the device: its sums, at all its edges, and the way back.

import { assert, assertEquals } from "@std/assert";
import { NONE, STATE, STATE_WORDS, STATUS } from "../../kernels/sequence.ts";
import { TRUST, TRUST_WORDS } from "../../kernels/trust.ts";
import { MOST_PARTS, trustRestore, trustSums } from "../../kernels/trust_rule.ts";
import { BALANCE, NEAR, type TrustHistory, weigh } from "../../src/engine/trust.ts";
import { planTrust, sumRows } from "../../src/engine/webgpu/trust_plan.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose, assertSame, numbers } from "../solve/arrays.ts";
import { bits, floats, range, run, states } from "./trust_support.ts";

testOnGpu("the sums of ELK are those over rows that are not exact, of what is finite", async () => {
  const machine = await openTestMachine();
  const [state, rows, parts] = [7, 1000, 3];
  const exact = [0, 400, 998, 5];
  const batch = exact.length;
  const make = (seed: number): Float32Array => Float32Array.from(numbers(batch * rows * state, 3, seed));
  const [F, Y, K] = [make(1), make(2), make(3)] as [Float32Array, Float32Array, Float32Array];
  for (const at of [0, 40, rows * state + 401 * state]) F[at] = [NaN, Infinity, -Infinity][at % 3]!;
  const S = states(exact.map((rows, b) => ({ status: b === 3 ? STATUS.converged : STATUS.running, exact: rows })));
  const partRows = Math.ceil(rows / parts);
  const PARTS = new Float32Array(batch * parts * 3).fill(7);
  const found = floats(
    (await run(machine, trustSums(state), batch * parts, { F, Y, K, S, PARTS }, [{ batch, rows, parts, partRows }]))
      .PARTS!,
  );
  for (const b of range(batch)) {
    for (const part of range(parts)) {
      const [first, last] = [Math.max(part * partRows, exact[b]!), Math.min((part + 1) * partRows, rows)];
      const sums = [0, 0, 0];
      for (let i = (b * rows + first) * state; b < 3 && i < (b * rows + last) * state; i++) {
        const add = (k: number, v: number): number => sums[k]! += Number.isFinite(v) ? v * v : 0;
        add(0, F[i]! - Y[i]!);
        add(1, F[i]! - K[i]!);
        add(2, K[i]! - Y[i]!);
      }
      const at = (b * parts + part) * 3;
      // A tree of 8 levels over sums of at most 10 terms each.
      assertClose(found.slice(at, at + 3), sums, 20 * 2 ** -23 * Math.max(1, ...sums), `sequence ${b}, part ${part}`);
    }
  }
  await machine.dispose();
});

Deno.test("the parts of the sums of ELK hold every row, and are not too many", () => {
  for (const rows of [1, 2, 63, 1501, 10_001, 123_457, 10 ** 7]) {
    for (const state of [1, 3, 64]) {
      const parts = Math.ceil(rows / sumRows(rows, state));
      assert(parts >= 1 && parts <= MOST_PARTS && parts * sumRows(rows, state) >= rows, `${rows} rows of ${state}`);
      assert(parts === 1 || sumRows(rows, state) * state >= 4096 / 2, `${rows} rows of ${state}: ${parts} parts`);
    }
  }
});

testOnGpu("the rule for λ is that of the CPU engine", async () => {
  const machine = await openTestMachine();
  const plan = planTrust({ size: 1, layout: "contiguous", adaptive: true }, 1);
  const tried: {
    readonly history: TrustHistory;
    readonly sums: readonly [number, number, number];
    readonly largest: number;
  }[] = [];
  for (const damping of [1e-20, 3e-20, 0.1, 3e5, 1e6]) {
    for (const before of [1, NaN]) {
      for (const merit of [0.5, 2]) {
        for (const nonlinear of [0, 1e-9, 0.2, 0.7, 5, 7, 1e9]) {
          for (const largest of [0.5, 90, 1e6, Infinity]) {
            const history = { damping: Math.fround(damping), predicted: before, merit: 1.5 };
            tried.push({ history, sums: [merit, nonlinear, 1], largest });
          }
        }
      }
    }
  }
  const batch = tried.length;
  const parts = 2;
  for (const whole of [true, false]) {
    const S = states(tried.map(({ largest }) => ({ status: STATUS.running, worst: bits([largest])[0]! })));
    const T = new Uint32Array(batch * TRUST_WORDS);
    tried.forEach(({ history: { damping, predicted, merit } }, b) => {
      T.set([...bits([damping, merit]), Number(!Number.isNaN(predicted)), 1, b & 1], b * TRUST_WORDS);
    });
    // What the rule reads as predicted by the sweep before is its third sum; it comes in two parts.
    const PARTS = Float32Array.from(tried.flatMap(({ sums: [m, n, p] }) => [m / 4, n / 2, p, 3 * m / 4, n / 2, 0]));
    const floor = 0.1;
    const params = { batch, parts, balance: whole ? BALANCE.whole : BALANCE.part, near: whole ? -1 : NEAR * floor };
    const found = await run(machine, plan.adaptive!.weigh, Math.ceil(batch / 64), { PARTS, S, T }, [params]);
    const seen = new Set<string>();
    for (const [b, { history, sums: [merit, nonlinear], largest }] of tried.entries()) {
      const own = { ...history };
      const accepted = weigh(own, { merit, nonlinear, predicted: 1 }, largest, { whole, floor });
      const what = JSON.stringify({ whole, history, merit, nonlinear, largest });
      const word = (field: keyof typeof TRUST): number => found.T![b * TRUST_WORDS + TRUST[field]]!;
      const [damping, kept] = floats(Uint32Array.of(word("damping"), word("merit")));
      assertClose([damping! / own.damping], [1], 1e-6, what);
      assertEquals(kept, own.merit, what);
      assertEquals([word("refused"), word("compares"), word("parity")], [
        Number(!accepted),
        Number(accepted),
        1 - (b & 1),
      ], what);
      const state = (field: keyof typeof STATE): number => found.S![b * STATE_WORDS + STATE[field]]!;
      assertEquals(state("resets"), Number(!accepted), what);
      assertEquals(floats(Uint32Array.of(state("worst")))[0], accepted ? Math.fround(largest) : Infinity, what);
      seen.add(accepted ? Math.sign(own.damping - history.damping).toString() : "refused");
    }
    assertEquals([...seen].sort(), ["-1", "0", "1", "refused"]);
  }
  await machine.dispose();
});

testOnGpu("a refused sweep brings back the iterate before, behind what is exact", async () => {
  const machine = await openTestMachine();
  const [state, rows] = [3, 50];
  const cases = [
    { refused: 1, parity: 0, changed: 10, status: STATUS.running },
    { refused: 1, parity: 1, changed: 0, status: STATUS.running },
    { refused: 1, parity: 1, changed: NONE, status: STATUS.running },
    { refused: 0, parity: 1, changed: 10, status: STATUS.running },
    { refused: 1, parity: 1, changed: 10, status: STATUS.converged },
  ];
  const batch = cases.length;
  const length = batch * rows * state;
  const second = 64 * Math.ceil(length / 64);
  const [Y, K] = [Float32Array.from(numbers(length, 1, 1)), Float32Array.from(numbers(3 * second, 1, 2))];
  const T = new Uint32Array(batch * TRUST_WORDS);
  cases.forEach(({ refused, parity }, b) => T.set([0, 0, 0, refused, parity], b * TRUST_WORDS));
  const arrays = { Y, K, T, S: states(cases.map(({ status, changed }) => ({ status, changed }))) };
  const found = floats(
    (await run(machine, trustRestore(state), Math.ceil(length / 256), arrays, [{ batch, rows, second }])).Y!,
  );
  const expected = Y.map((value, i) => {
    const { refused, parity, changed, status } = cases[Math.floor(i / (rows * state))]!;
    const restored = refused === 1 && status === STATUS.running && Math.floor(i / state) % rows > changed;
    return restored ? K[second * (1 + parity) + i]! : value;
  });
  assertSame(found, expected, "rows");
  assert(found.some((value, i) => value !== Y[i]));
  await machine.dispose();
});
