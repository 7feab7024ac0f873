import { assert, assertEquals, assertThrows } from "@std/assert";
import { openDevice, shuffleBatches, train, warmStarts } from "../../mod.ts";
import { type Settings, settingsOf } from "./train_model.ts";

Deno.test("train: settings that do not fit are told at once", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const settings = settingsOf(device);
  using store = warmStarts({ capacityBytes: 1 });
  const cases: [Record<string, unknown>, ErrorConstructor, string][] = [
    [{ epochs: 3 }, TypeError, "settings may have params, loss, optimizer"],
    [{ params: {} }, TypeError, "params must have at least one tensor, got none"],
    [{ params: null }, TypeError, "params must be a record of tensors, got null"],
    [{ loss: 3 }, TypeError, "Cannot train: loss must be a function, got 3"],
    [{ batches: [] }, TypeError, "batches must be a function, got an empty list"],
    [{ evaluate: {} }, TypeError, "evaluate must be a function"],
    [{ optimizer: {} }, TypeError, "Cannot train: expected an optimizer, such as adam(1e-3)"],
    [{ steps: -1 }, RangeError, "steps must be a whole number of at least 0, got -1"],
    [{ steps: undefined }, RangeError, "steps must be a whole number of at least 0, got undefined"],
    [{ logEvery: 0 }, RangeError, "logEvery must be a whole number of at least 1, got 0"],
    [{ evaluateEvery: 1.5 }, RangeError, "evaluateEvery must be a whole number of at least 1, got 1.5"],
    [{ seed: 0.5 }, RangeError, "seed must be a whole number of at least 0, got 0.5"],
    [{ onFailure: "ignore" }, RangeError, 'onFailure must be "throw", "skip" or "sequential", got "ignore"'],
    [{ warmStarts: {}, ids: () => [] }, TypeError, "warmStarts must be made by warmStarts()"],
    [{ warmStarts: store }, TypeError, "warmStarts and ids must come together, got one of them"],
    [{ ids: () => [] }, TypeError, "warmStarts and ids must come together, got one of them"],
    [{ signal: {} }, TypeError, "signal must be an AbortSignal"],
  ];
  for (const [change, error, message] of cases) {
    assertThrows(() => train({ ...settings, ...change } as Settings), error, message);
  }
});

Deno.test("shuffleBatches: every epoch visits all but the rest once, in another order", () => {
  for (const [count, size] of [[12, 4], [13, 4], [5, 5], [7, 1]] as const) {
    const perEpoch = Math.floor(count / size);
    const batchAt = shuffleBatches({ count, size, seed: 3 });
    const epochs = Array.from(
      { length: 30 },
      (_, epoch) => Array.from({ length: perEpoch }, (_, k) => [...batchAt(epoch * perEpoch + k)]).flat(),
    );
    for (const epoch of epochs) {
      assertEquals(epoch.length, perEpoch * size);
      assertEquals(new Set(epoch).size, epoch.length);
      assert(epoch.every((index) => index >= 0 && index < count));
    }
    assert(new Set(epochs.map(String)).size > 25, "epochs are alike");
    assertEquals(new Set(epochs.flat()).size, count, "some index never comes");
    // A function of the step: in any order, and from a function made anew.
    const again = shuffleBatches({ count, size, seed: 3 });
    for (const step of [20, 3, 3, 21, 0]) assertEquals(again(step), batchAt(step));
    assert(String(shuffleBatches({ count, size, seed: 4 })(0)) !== String(batchAt(0)) || size === count);
  }
});

Deno.test("shuffleBatches: the first of a permutation is as often any of them", () => {
  const batchAt = shuffleBatches({ count: 8, size: 8 });
  const counts = new Array<number>(8).fill(0);
  const trials = 8000;
  for (let epoch = 0; epoch < trials; epoch++) counts[batchAt(epoch)[0]!]!++;
  // Chi-squared of 7 degrees of freedom: above 24.3 in one of a thousand.
  const chi = counts.reduce((sum, count) => sum + (count - trials / 8) ** 2 / (trials / 8), 0);
  assert(chi < 24.3, `chi-squared ${chi}: ${counts}`);
});

Deno.test("shuffleBatches: arguments that do not fit", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ count: 0, size: 1 }, "count must be a whole number of at least 1, got 0"],
    [{ count: 3, size: 4 }, "size must be at most count, 3, got 4"],
    [{ count: 3, size: 1, seed: 2 ** 32 }, "seed must be below 2^32, got 4294967296"],
    [{ count: 3, size: 1, seed: -1 }, "seed must be a whole number of at least 0, got -1"],
  ];
  for (const [options, message] of cases) assertThrows(() => shuffleBatches(options as never), RangeError, message);
  assertThrows(() => shuffleBatches({ count: 3, size: 1 })(-1), RangeError, "step must be a whole number");
});
