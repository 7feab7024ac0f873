// The example of unstable recurrences as its users run it, beside plain loops in double precision.

import { assert, assertAlmostEquals, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { createRandom } from "../../src/core/random.ts";
import { goldenTensors } from "../solve/arrays.ts";
import { lorenzLoop } from "../solve/elk_cases.ts";
import { runExample, withFolder } from "./run_example.ts";

const METHODS = ["deer", "quasi-deer", "elk", "quasi-elk", "scale-deer"];

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

/** States of the autoregressive GRU by plain loops, from the weights of the tests. */
function loopArGru(time: number, start: number, noise: number, seed: number): number[][] {
  const tensors = goldenTensors("elk/argru");
  const row = (name: string, i: number, v: readonly number[]): number =>
    v.reduce((sum, value, j) => sum + tensors[name]!.data[i * v.length + j]! * value, 0);
  const random = createRandom(seed);
  let [x, h] = [start, [0.00515, 0.00512, -0.28719]];
  return Array.from({ length: time }, () => {
    const gate = (i: number, own: number): number =>
      row("weight_ih", i, [x]) + tensors.bias!.data[i]! + own * row("weight_hh", i, h);
    h = h.map((value, i) => {
      const [r, z] = [sigmoid(gate(i, 1)), sigmoid(gate(3 + i, 1))];
      const n = Math.tanh(gate(6 + i, 0) + r * (row("weight_hh", 6 + i, h) + tensors.bias_n!.data[i]!));
      return n + z * (value - n);
    });
    const out = h.map((value) => value + x);
    const [mean, spread] = [0, 1].map((i) => row("dec_w", i, out) + tensors.dec_b!.data[i]!) as [number, number];
    x = mean + Math.log1p(Math.exp(spread)) * noise * random.normal();
    return [x, ...h];
  });
}

/** States of Lorenz 96 by plain loops, from a state on its attractor. */
function loopLorenz(time: number, seed: number, nudge = 0): number[][] {
  const random = createRandom(seed);
  const far = Float64Array.from({ length: 5 }, () => 8 + 2 * random.uniform() - 1);
  const start = lorenzLoop({ data: far, shape: [1, 5] }, 500).data.slice(-5);
  start[0]! += nudge;
  const { data } = lorenzLoop({ data: start, shape: [1, 5] }, time);
  return Array.from({ length: time }, (_, t) => Array.from(data.slice(5 * t, 5 * t + 5)));
}

/** The mean over the steps of the largest |state|: the error of a guess of zeros. */
const meanSize = (states: readonly number[][]): number =>
  states.reduce((sum, state) => sum + Math.max(...state.map(Math.abs)), 0) / states.length;

Deno.test("unstable example --json: trajectories of plain loops, and every method comes to them", async () => {
  await withFolder(async (folder) => {
    const svg = `${folder}/new/figure.svg`;
    const flags = ["--length", "120", "--start", "12", "--noise", "0.5", "--seed", "3", "--dtype", "f64", "--svg", svg];
    const { code, stdout, stderr } = await runExample("unstable.ts", ...flags, "--json");
    assertEquals([code, stderr], [0, ""]);
    const { device, cases, figure } = JSON.parse(stdout);
    assertEquals([device.backend, device.dtype, figure], ["cpu", "f64", svg]);
    assertEquals(cases.map(({ name }: { name: string }) => name), ["ar-gru", "lorenz-96"]);
    for (const [i, states] of [loopArGru(120, 12, 0.5, 3), loopLorenz(120, 3)].entries()) {
      const { name, time, runs, sequentialMs } = cases[i];
      assertEquals([time, runs.map(({ label }: { label: string }) => label)], [120, METHODS]);
      assert(sequentialMs > 0);
      for (const { label, result, sweeps, ms, maxDeviation, errors } of runs) {
        const what = `${name} by ${label}`;
        assertEquals([result, errors.length], ["successful", sweeps + 1], what);
        // Both amplify roundings of 1e-16 a few hundred times, and sizes are 10.
        assertAlmostEquals(errors[0], meanSize(states), 1e-10, what);
        assert(sweeps > 3 && sweeps <= 120 && ms > 0, `${what}: ${sweeps} sweeps`);
        assertLess(maxDeviation, 1e-8, what);
        assertLess(errors.at(-1), 1e-8, what);
      }
    }
    // A nudge shows by how much differences grow: over 120 steps, to a tenth.
    const [there, nudged] = [loopLorenz(120, 3), loopLorenz(120, 3, 1e-7)].map((states) => states.at(-1)!);
    const distance = Math.hypot(...there!.map((value, k) => value - nudged![k]!));
    assertAlmostEquals(cases[1].exponent, Math.log(distance / 1e-7) / 120, 0.02);
    const drawing = await Deno.readTextFile(svg);
    for (const label of [...METHODS, "from x = 12, noise 0.5", "Lorenz 96, five places"]) {
      assertStringIncludes(drawing, label);
    }
    // Lines of the legend, two trajectories, and a line for each method of each case; crosses are paths too.
    assertEquals(drawing.match(/<path[^>]* fill="none" stroke-linejoin/g)?.length, 5 + 2 + 2 * 5);
  });
});

Deno.test("unstable example: its settings reach the methods", async () => {
  await withFolder(async (folder) => {
    const run = async (...flags: string[]) => {
      const common = ["--case", "lorenz-96", "--length", "80", "--svg", `${folder}/a.svg`, "--json"];
      const { code, stdout, stderr } = await runExample("unstable.ts", ...common, ...flags);
      assertEquals([code, stderr], [0, ""]);
      const [{ runs }] = JSON.parse(stdout).cases;
      return Object.fromEntries(runs.map((one: { label: string }) => [one.label, one]));
    };
    const few = await run("--max-sweeps", "3", "--damping", "1e6", "--quasi-damping", "1e6", "--scale", "0");
    for (const label of METHODS) assertEquals([few[label].result, few[label].sweeps], ["max-sweeps-reached", 3]);
    // A damping that large keeps the iterate, but for the steps that are exact.
    for (const label of ["elk", "quasi-elk"]) assertLess(0.9, few[label].errors[3] / few[label].errors[0]);
    assertEquals(few["scale-deer"].errors, few.deer.errors);
    const fromStart = await run("--max-sweeps", "3", "--guess", "h0");
    assert(fromStart.deer.errors[0] !== few.deer.errors[0]);
    assert(fromStart["scale-deer"].errors[1] !== fromStart.deer.errors[1]);
  });
});

Deno.test("unstable example: a table, and the figure where it is wanted", async () => {
  await withFolder(async (folder) => {
    const flags = ["--case", "ar-gru", "--length", "60", "--svg", `${folder}/a.svg`];
    const { code, stdout, stderr } = await runExample("unstable.ts", ...flags);
    assertEquals([code, stderr], [0, ""]);
    const rows = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
    for (const label of ["sequential", ...METHODS]) {
      const row = rows.find(([first]) => first === label);
      assert(row?.length === 6 && row[5] === "successful", stdout);
      if (label !== "sequential") assert(Number(row[1]) > 3 && Number(row[4]) < 1e-3, stdout);
    }
    assertStringIncludes(stdout, "from x = 30: T = 60, Lyapunov exponent ");
    assertStringIncludes(stdout, `Figure  ${folder}/a.svg`);
  });
});

Deno.test("unstable example --help, and flags that are wrong", async () => {
  const { code, stdout } = await runExample("unstable.ts", "--help");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "--quasi-damping");
  const table: [flags: string[], message: string][] = [
    [["--case", "henon"], '--case must be one of ar-gru, lorenz-96, got "henon"'],
    [["--length", "9"], '--length must be a whole number from 10 to 100000, got "9"'],
    [["--noise", "-1"], '--noise must be at least 0, got "-1"'],
    [["--noise=-1"], '--noise must be at least 0, got "-1"'],
    [["--start", "far"], '--start must be a number, got "far"'],
    [["--scale", "2"], '--scale must be from 0 to 1, got "2"'],
    [["--damping", "much"], '--damping must be a number, got "much"'],
    [["--quasi-damping=-3"], '--quasi-damping must be at least 0, got "-3"'],
    [["--guess", "f1"], '--guess must be one of zeros, f0, h0, got "f1"'],
    [["--dtype", "f64", "--backend", "webgpu"], "--dtype f64 needs --backend cpu or auto"],
    [["--svg", "/dev/null/x.svg"], "the figure cannot be written"],
  ];
  for (const [flags, message] of table) {
    const { code, stdout, stderr } = await runExample("unstable.ts", ...flags);
    assertEquals([code, stdout], [2, ""], flags.join(" "));
    assert(stderr.startsWith(`Cannot run the example: ${message}`), stderr);
    assertStringIncludes(stderr, "; --help lists the flags");
  }
});
