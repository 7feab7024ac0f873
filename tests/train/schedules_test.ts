import { assertEquals, assertThrows } from "@std/assert";
import {
  constantSchedule,
  cosineDecaySchedule,
  exponentialDecay,
  piecewiseConstantSchedule,
  warmupCosineDecaySchedule,
} from "../../mod.ts";
import { assertClose } from "../solve/arrays.ts";

interface Case {
  readonly name: string;
  readonly options: unknown;
  readonly counts: readonly number[];
  readonly values: readonly number[];
}

type Maker = (options: never) => (count: number) => number;

const MAKERS: Readonly<Record<string, Maker>> = {
  constantSchedule,
  cosineDecaySchedule,
  exponentialDecay,
  piecewiseConstantSchedule,
  warmupCosineDecaySchedule,
};

const CASES = JSON.parse(
  Deno.readTextFileSync(new URL("../golden/optimizers/schedules.json", import.meta.url)),
) as Case[];

for (const { name, options, counts, values } of CASES) {
  Deno.test(`${name}(${JSON.stringify(options)}) equals optax's`, () => {
    const schedule = MAKERS[name]!(options as never);
    // optax computes some of them in f32.
    assertClose(counts.map(schedule), values, 1e-7, name);
  });
}

Deno.test("schedules: every maker is compared", () => {
  assertEquals(new Set(CASES.map(({ name }) => name)), new Set(Object.keys(MAKERS)));
});

Deno.test("schedules: wrong settings are refused", () => {
  const table: [name: string, options: unknown, message: string][] = [
    ["constantSchedule", NaN, "value must be a finite number, got NaN"],
    ["cosineDecaySchedule", { initValue: 1 }, "decaySteps must be a finite number above 0, got undefined"],
    ["cosineDecaySchedule", { initValue: 1, decaySteps: 0 }, "decaySteps must be a finite number above 0, got 0"],
    [
      "cosineDecaySchedule",
      { init: 1, decaySteps: 5 },
      "options may have initValue, decaySteps, alpha, exponent, got init",
    ],
    [
      "warmupCosineDecaySchedule",
      { initValue: 0, peakValue: 1, warmupSteps: 10, decaySteps: 10 },
      "decaySteps must be a finite number above 10, got 10",
    ],
    [
      "warmupCosineDecaySchedule",
      { initValue: 0, peakValue: 1, warmupSteps: -1, decaySteps: 10 },
      "warmupSteps must be a finite number at least 0, got -1",
    ],
    [
      "exponentialDecay",
      { initValue: 1, transitionSteps: 5, decayRate: 0 },
      "decayRate must be a finite number above 0, got 0",
    ],
    [
      "exponentialDecay",
      { initValue: 1, transitionSteps: 5, decayRate: 0.5, staircase: 1 },
      "staircase must be true or false, got 1",
    ],
    [
      "exponentialDecay",
      { initValue: 1, transitionSteps: 5, decayRate: 0.5, endValue: "low" },
      'endValue must be a finite number, got "low"',
    ],
    [
      "piecewiseConstantSchedule",
      { initValue: 1, boundariesAndScales: { soon: 0.5 } },
      'the boundary "soon" must be a finite number, got NaN',
    ],
    [
      "piecewiseConstantSchedule",
      { initValue: 1, boundariesAndScales: { 5: -0.5 } },
      "the scale of 5 must be a finite number at least 0, got -0.5",
    ],
  ];
  for (const [name, options, message] of table) {
    assertThrows(() => MAKERS[name]!(options as never), Error, `Cannot make a schedule by ${name}(): ${message}`);
  }
});
