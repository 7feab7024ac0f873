// The example of a million steps as its users run it, beside a plain loop in double precision written from the paper.

import { assert, assertAlmostEquals, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { type HostTensor, openDevice, type Tensor, toHost, type Tree } from "@cervid/cervid";
import { symbolPieces } from "../../examples/lib/first_element_task.ts";
import { defineTwoLayers } from "../../examples/lib/two_layers.ts";
import { runExample } from "./run_example.ts";

interface Weights {
  readonly surrogate: { readonly weight_ih: HostTensor; readonly bias: HostTensor };
  readonly weight_ih: HostTensor;
  readonly weight_hh: HostTensor;
  readonly bias: HostTensor;
}

/** The parameters that the example starts from. */
async function initialise(features: number, hidden: number, forgetBias: number, seed: number): Promise<Weights[]> {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const params = defineTwoLayers(features, hidden, forgetBias).layer.init(device, { seed });
  const read = async (tree: Tree<Tensor>): Promise<unknown> =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(tree).map(async ([name, value]) =>
          [name, "dtype" in value ? await toHost(value as Tensor) : await read(value)] as const
        ),
      ),
    );
  return Object.values(await read(params) as Record<string, Weights>);
}

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

/** Outputs of two layers after every step, `(T, H)`: g h̃ + (1 - g) j, then f c + i z, and o c. */
function plainLoop(layers: readonly Weights[], inputs: readonly number[][], hidden: number): number[][] {
  return layers.reduce((xs, { surrogate, weight_ih, weight_hh, bias }) => {
    const row = (weights: HostTensor, k: number, vector: readonly number[]): number =>
      vector.reduce((sum, value, i) => sum + weights.data[k * vector.length + i]! * value, 0);
    let [before, c] = [Array<number>(hidden).fill(0), Array<number>(hidden).fill(0)];
    return xs.map((x) => {
      const gate = (n: number, k: number): number =>
        row(weight_ih, n * hidden + k, x) + row(weight_hh, n * hidden + k, before) + bias.data[n * hidden + k]!;
      c = c.map((value, k) => sigmoid(gate(0, k)) * value + sigmoid(gate(1, k)) * Math.tanh(gate(3, k)));
      const y = c.map((value, k) => sigmoid(gate(2, k)) * value);
      before = before.map((value, k) => {
        const g = sigmoid(row(surrogate.weight_ih, k, x) + surrogate.bias.data[k]!);
        return g * value +
          (1 - g) * Math.tanh(row(surrogate.weight_ih, hidden + k, x) + surrogate.bias.data[hidden + k]!);
      });
      return y;
    });
  }, inputs as number[][]);
}

Deno.test("million steps --json: what a plain loop gives, whatever the pieces", async () => {
  const [features, hidden, bias, seed] = [6, 4, 3, 5];
  const layers = await initialise(features, hidden, bias, seed);
  const flags = ["--features", "6", "--hidden", "4", "--forget-bias", "3", "--seed", "5", "--dtype", "f64", "--json"];
  for (const piece of ["300", "64"]) {
    const { code, stdout, stderr } = await runExample(
      "million_step.ts",
      ...flags,
      "--length",
      "40,300",
      "--piece",
      piece,
    );
    assertEquals([code, stderr], [0, ""]);
    const { device, readings, ...settings } = JSON.parse(stdout);
    assertEquals([device.backend, device.dtype], ["cpu", "f64"]);
    assertEquals(settings, { hidden, features, forgetBias: bias });
    assertEquals(readings.map(({ time }: { time: number }) => time), [40, 300]);
    for (const { time, layerMs, cellMs, maxDeviation, largest, left } of readings) {
      const { symbols } = [...symbolPieces({ time, features, batch: 1, seed })][0]!;
      const [plus, minus] = [1, -1].map((sign) =>
        plainLoop(
          layers,
          Array.from(symbols.data, (symbol, t) =>
            Array.from({ length: features }, (_, k) => k !== symbol ? 0 : t === 0 ? sign : 1)),
          hidden,
        )
      ) as [number[][], number[][]];
      const all = Math.max(...[...plus, ...minus].flat().map(Math.abs));
      const rest = Math.max(...plus.at(-1)!.map((value, k) => Math.abs(value - minus.at(-1)![k]!)));
      // A few roundings a step, and states that are forgotten after some twenty: 1e-12 is far above both.
      assertAlmostEquals(largest, all, 1e-12, `largest at ${time}`);
      assertAlmostEquals(left, rest, 1e-12, `left at ${time}`);
      assert(time > 40 || left > 1e-6, `${left} of x[0] left after ${time} steps: too little to compare`);
      assertLess(maxDeviation, 1e-12);
      assert(layerMs > 0 && cellMs > 0);
    }
  }
});

Deno.test("million steps: a table; the cell reads only up to the length asked for", async () => {
  const sizes = ["--features", "6", "--hidden", "3", "--backend", "cpu"];
  const { code, stdout, stderr } = await runExample(
    "million_step.ts",
    ...sizes,
    "--length",
    "100,2000",
    "--cell-up-to",
    "100",
  );
  assertEquals([code, stderr], [0, ""]);
  const rows = stdout.split("\n").filter((line) => /^ *[\d,]+ {2}/.test(line)).map((line) =>
    line.trim().split(/ {2,}/)
  );
  assertEquals(rows.map(([time, , , ...rest]) => [time, ...rest.slice(0, 3).map((text) => text === "-")]), [
    ["100", false, false, false],
    ["2,000", true, true, true],
  ]);
  assert(rows.every((row) => row.length === 8), stdout);
  // In f32, two layers of 3 units forget within a few hundred steps: their sums have that many roundings.
  assertLess(Number(rows[0]![5]), 100 * 2 ** -24 * 4);
  assertStringIncludes(stdout, "x[0] = ±e_1 in 6 dimensions");
});

Deno.test("million steps --help, and flags that are wrong", async () => {
  const { code, stdout } = await runExample("million_step.ts", "--help");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "--forget-bias");
  const table: [flags: string[], message: string][] = [
    [["--length", "10,x"], '--length must be a whole number from 1 to 67108864, got "x"'],
    [["--length", "0"], "--length must be a whole number from 1"],
    [["--hidden", "0"], "--hidden must be a whole number from 1 to 512"],
    [["--forget-bias", "much"], '--forget-bias must be a number, got "much"'],
    [["--forget-bias"], "--forget-bias needs a value"],
    [["--backend", "tpu"], '--backend must be one of auto, cpu, webgpu, got "tpu"'],
    [["--dtype", "f64", "--backend", "webgpu"], "--dtype f64 needs --backend cpu or auto"],
    [["--steps", "3"], "Unknown option '--steps'"],
  ];
  for (const [flags, message] of table) {
    const { code, stdout, stderr } = await runExample("million_step.ts", ...flags);
    assertEquals([code, stdout], [2, ""], flags.join(" "));
    assert(stderr.startsWith(`Cannot run the example: ${message}`), stderr);
    assertStringIncludes(stderr, "; --help lists the flags");
  }
});
