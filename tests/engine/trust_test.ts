import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  createTrust,
  FIRST_DAMPING,
  LEAST_DAMPING,
  MOST_DAMPING,
  type TrustSums,
  weigh,
} from "../../src/engine/trust.ts";

const WHOLE = { whole: true, floor: 0.05 };
const PART = { whole: false, floor: 0.05 };
const LARGE = 1e6;

const sums = (merit: number, nonlinear: number, predicted: number): TrustSums => ({ merit, nonlinear, predicted });

// By hand. Each row: the sums of a sweep after one that left a merit of 6 and predicted 4 of the next.
const TABLE: readonly [of: TrustSums, rule: typeof WHOLE, accepted: boolean, factor: number, why: string][] = [
  [sums(4, 3, 1), WHOLE, true, 1, "q = 0.3 is the balance"],
  [sums(4, 6, 1), WHOLE, true, 2, "q = 0.6, twice the balance"],
  [sums(4, 12, 1), WHOLE, true, 4, "q = 1.2, four times"],
  [sums(4, 3 / 16, 1), WHOLE, true, 0.5, "a sixteenth, to the power of a quarter"],
  [sums(4, 3e-9, 1), WHOLE, true, 0.1, "at most ten times down"],
  [sums(4, 0, 1), WHOLE, true, 0.1, "f is what was predicted"],
  [sums(6, 200, 1), WHOLE, true, 10, "at most ten times up; q = 20, but the merit did not grow"],
  [sums(7, 20, 1), WHOLE, true, 2 / 0.3, "q = 2 is still accepted"],
  [sums(7, 21, 1), WHOLE, false, 10, "q = 2.1 and a merit that grew"],
  [sums(7, NaN, 1), WHOLE, false, 10, "not a number is no proof"],
  [sums(Infinity, Infinity, 1), WHOLE, false, 10, "overflow"],
  [sums(NaN, 3, 1), WHOLE, true, 1, "a merit that is none does not refuse what was predicted"],
  [sums(4, 10, 1), PART, true, 1, "q = 1 is the balance of a part"],
  [sums(4, 3, 1), PART, true, 0.3 ** 0.25, "q = 0.3 of a part"],
  [sums(7, 21, 1), PART, false, 10, "refused"],
];

for (const [of, rule, accepted, factor, why] of TABLE) {
  Deno.test(`a damping: ${why}`, () => {
    const trust = createTrust();
    assert(weigh(trust, sums(6, 1e9, 4), LARGE, rule), "the first iterate has nothing to be compared with");
    assertEquals([trust.damping, trust.predicted, trust.merit], [FIRST_DAMPING, 4, 6]);
    assertEquals(weigh(trust, of, LARGE, rule), accepted);
    assertAlmostEquals(trust.damping / FIRST_DAMPING, factor, 1e-12);
  });
}

Deno.test("a damping: after a refusal the iterate that comes back is compared with nothing", () => {
  const trust = createTrust();
  weigh(trust, sums(6, 0, 4), LARGE, WHOLE);
  assert(!weigh(trust, sums(1e9, 1e9, 1e9), LARGE, WHOLE));
  const { damping } = trust;
  assert(weigh(trust, sums(6, 1e9, 5), LARGE, WHOLE));
  assertEquals([trust.damping, trust.predicted, trust.merit], [damping, 5, 6]);
  assert(!weigh(trust, sums(1e9, 1e9, 1e9), LARGE, WHOLE), "the next one is compared again");
});

Deno.test("a damping: what is within tolerance is never refused", () => {
  for (const largest of [0, 0.5, 1]) {
    const trust = createTrust();
    weigh(trust, sums(6, 0, 4), LARGE, WHOLE);
    assert(weigh(trust, sums(1e9, 1e9, 1), largest, WHOLE), `${largest}`);
  }
});

Deno.test("a damping: near rounding that of a part stays", () => {
  for (const [largest, rule, factor] of [[50, PART, 1], [51, PART, 0.1], [50, WHOLE, 0.1]] as const) {
    const trust = createTrust();
    weigh(trust, sums(6, 0, 4), LARGE, rule);
    weigh(trust, sums(4, 0, 1), largest, rule);
    assertAlmostEquals(trust.damping / FIRST_DAMPING, factor, 1e-12);
  }
});

Deno.test("a damping: it stays within its bounds", () => {
  const [up, down] = [createTrust(), createTrust()];
  for (let k = 0; k < 60; k++) {
    weigh(up, sums(1, 1e6, 1), LARGE, WHOLE);
    weigh(down, sums(1, 0, 1), LARGE, WHOLE);
  }
  assertEquals([up.damping, down.damping], [MOST_DAMPING, LEAST_DAMPING]);
  const refused = createTrust();
  for (let k = 0; k < 60; k++) {
    weigh(refused, sums(1, 0, 1), LARGE, WHOLE);
    assert(!weigh(refused, sums(1e9, 1e9, 1), LARGE, WHOLE));
  }
  assert(refused.damping <= MOST_DAMPING);
});
