import { assert, assertEquals } from "@std/assert";
import { createHistory, judge, type StoppingRule } from "../../src/engine/verdict.ts";

const RULE: StoppingRule = {
  atol: 1e-6,
  rtol: 1e-5,
  affine: false,
  newton: true,
  floor: 0.05,
  share: 1,
  epsilon: 2 ** -23,
};

/** What the rule says after each of a row of updates; a negative update is one that had to replace entries. */
function verdicts(updates: readonly number[], rule: StoppingRule = RULE, remaining = 1e6): boolean[] {
  const history = createHistory();
  return updates.map((e) => judge(rule, history, Math.abs(e), e < 0 ? 1 : 0, remaining));
}

// By hand: solved if e ≤ floor, or e ≤ 1 and e ρ / (1 - ρ) ≤ 1 with ρ the larger of the last two ratios; a first has none.
const TABLE: readonly [updates: readonly number[], solved: readonly boolean[], why: string][] = [
  [[0], [true], "nothing changed"],
  [[0.04], [true], "rounding"],
  [[0.06], [false], "a first update proves nothing: a slow drift has small ones for ever"],
  [[0.06, 0.06], [false, false], "as here"],
  [[0.06, 0.051], [false, true], "ρ = 0.85: 0.051 · 0.85 / 0.15 = 0.29"],
  [[1e6, 0.5], [false, true], "ρ = 5e-7: nothing is left to come"],
  [[1e6, 1], [false, true], "an update of exactly one tolerance"],
  [[1e6, 1.0001], [false, false], "more than one tolerance"],
  [[2, 1], [false, true], "ρ = 0.5: 1 · 0.5 / 0.5 = 1"],
  [[1.9, 1], [false, false], "ρ = 0.526: 1.11"],
  [[1, 0.9], [false, false], "ρ = 0.9: 8.1 are left to come"],
  [[1, 0.9, 0.81, 0.729], [false, false, false, false], "slow all along"],
  [[0.2, 0.18, 0.16, 0.11], [false, false, false, true], "ρ = 0.89: 0.11 · 0.89 / 0.11 = 0.88"],
  [[10, 9, 0.9], [false, false, false], "the larger of 0.9 and 0.1"],
  [[10, 9, 0.9, 0.09], [false, false, false, true], "ρ = 0.1"],
  [[10, 9, 0.1], [false, false, true], "ρ = 0.9: 0.1 · 9 = 0.9"],
  [[0.5, 0.5], [false, false], "ρ = 1 never ends"],
  [[0.5, 0.8], [false, false], "it grows"],
  [[0.5, 0.8, 0.04], [false, false, true], "rounding, whatever came before"],
  [[Infinity, 0.5], [false, false], "a ratio to infinity says nothing"],
  [[Infinity, Infinity, 0.5], [false, false, false], "Infinity / Infinity is no ratio either"],
  [[Infinity, Infinity, 0.5, 0.2], [false, false, false, true], "ρ = 0.4: 0.2 · 0.4 / 0.6"],
  [[-0.04], [false], "entries were replaced"],
  [[-1e6, -0.01, 0.01], [false, false, true], "replaced until the last"],
  [[NaN], [false], "NaN is no convergence"],
  [[1, NaN], [false, false], "nor later"],
  [[NaN, 0.5], [false, false], "nor is a ratio with it"],
];

Deno.test("judge() follows the rule, by a table computed by hand", () => {
  for (const [updates, solved, why] of TABLE) assertEquals(verdicts(updates), solved, `${updates}: ${why}`);
});

Deno.test("judge() asks two ratios of a method that is not Newton's", () => {
  const linear = { ...RULE, newton: false };
  assertEquals(verdicts([1e6, 0.5], linear), [false, false]);
  assertEquals(verdicts([1e6, 0.5, 0.49], linear), [false, false, false], "ρ = 0.98");
  assertEquals(verdicts([1e6, 0.5, 0.2], linear), [false, false, true], "ρ = 0.4 and 5e-7: 0.13 to come");
  assertEquals(verdicts([1e6, 0.5], linear, 2), [false, true], "two steps are left");
});

Deno.test("judge() gives a window its share of the tolerance", () => {
  const quarter = { ...RULE, share: 0.25 };
  assertEquals(verdicts([2, 1], quarter), [false, false], "ρ = 0.5: 1 is left to come");
  assertEquals(verdicts([2, 1, 0.25], quarter), [false, false, true], "ρ = 0.5: 0.25");
  assertEquals(verdicts([0.1], quarter, 2), [true], "two updates of 0.1");
  assertEquals(verdicts([0.1], quarter, 3), [false], "three");
});

Deno.test("judge() counts no more updates than steps that are not exact", () => {
  assertEquals(verdicts([0.1], RULE, 10), [true], "ten updates of 0.1");
  assertEquals(verdicts([0.1], RULE, 11), [false], "eleven");
  assertEquals(verdicts([0.5, 0.5], RULE, 2), [true, true]);
  assertEquals(verdicts([0.5, 0.5], RULE, 3), [false, false]);
  assertEquals(verdicts([0.5, 0.8], RULE, 1), [true, true], "one step may change once");
  assertEquals(verdicts([2, 1.5], RULE, 1), [false, false], "but not by more than a tolerance");
});

Deno.test("judge() accepts the first sweep of an affine step, unless cancelling the guess cost digits", () => {
  const affine = { ...RULE, affine: true };
  // An update of e tolerances leaves a rounding of e · 1.2e-7 tolerances: up to 8.4e6 is less than one.
  assertEquals(verdicts([1e6], affine), [true]);
  assertEquals(verdicts([8e6], affine), [true]);
  assertEquals(verdicts([9e6, 2], affine), [false, true]);
  assertEquals(verdicts([-5, 5], affine), [false, true]);
  assertEquals(verdicts([NaN], affine), [false]);
  assertEquals(verdicts([Infinity, 0], affine), [false, true]);
});

Deno.test("judge() bounds what is still to come of every geometric series", () => {
  for (const rate of [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999]) {
    const history = createHistory();
    let e = 1e6;
    let sweeps = 0;
    while (!judge({ ...RULE, floor: 0 }, history, e, 0, Infinity)) {
      e *= rate;
      sweeps++;
      assert(sweeps < 100000, `rate ${rate} never stops`);
    }
    const rest = e * rate / (1 - rate);
    assert(rest <= 1 + 1e-9 && e <= 1, `rate ${rate} stopped with ${rest} to come`);
    // And not a sweep later than needed.
    assert(e === 0 || rest / rate > 1 || e / rate > 1, `rate ${rate} stopped late, with ${rest} to come`);
  }
});

Deno.test("judge() keeps what it has seen", () => {
  const history = createHistory();
  assertEquals([history.sweeps, history.last, history.ratio], [0, NaN, NaN]);
  judge(RULE, history, 8, 0, 1);
  assertEquals([history.sweeps, history.last, history.ratio], [1, 8, NaN]);
  judge(RULE, history, 2, 3, 1);
  assertEquals([history.sweeps, history.last, history.ratio], [2, 2, 0.25]);
});

Deno.test("judge() tells apart what is settled but for replaced entries", () => {
  const history = createHistory();
  const seen = [[8, 1], [4, 1], [0.5, 1], [0, 0]].map(([e, resets]) => {
    const solved = judge(RULE, history, e!, resets!, 5);
    return [solved, history.settled];
  });
  assertEquals(seen, [[false, false], [false, false], [false, true], [true, false]]);
});
