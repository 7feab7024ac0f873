// The demo as its users run it: a process of its own, compared with a plain loop in double precision over the same files.

import { assert, assertAlmostEquals, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { EXAMPLES, runExampleIn, withFolder } from "./run_example.ts";

const DATA = new URL("data/", EXAMPLES);
const LENGTH = 2000;

function floats(bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** The samples of the record: a .npy file of version 1.0 that holds float32. */
async function readSamples(): Promise<Float64Array> {
  const bytes = await Deno.readFile(new URL("ecg_mitbih208_360hz.npy", DATA));
  const start = 10 + new DataView(bytes.buffer).getUint16(8, true);
  assertMatch(new TextDecoder().decode(bytes.subarray(10, start)), /'descr': '<f4', 'fortran_order': False/);
  return floats(bytes.subarray(start));
}

interface Weights {
  readonly tensors: Readonly<Record<string, Float64Array>>;
  readonly mean: number;
  readonly std: number;
}

async function readWeights(): Promise<Weights> {
  const bytes = await Deno.readFile(new URL("ecg_gru16.safetensors", DATA));
  const start = 8 + new DataView(bytes.buffer).getUint32(0, true);
  const { __metadata__: { mean, std }, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const tensors = Object.entries(entries as Record<string, { data_offsets: [number, number] }>).map(
    ([name, { data_offsets: [from, to] }]) => [name, floats(bytes.subarray(start + from, start + to))] as const,
  );
  return { tensors: Object.fromEntries(tensors), mean: Number(mean), std: Number(std) };
}

/** RMSE in mV of the GRU's predictions of samples 1 to T - 1, by PyTorch's equations, step after step. */
function plainRmse(samples: Float64Array, { tensors, mean, std }: Weights): number {
  const [w, u] = [tensors["rnn.weight_ih_l0"]!, tensors["rnn.weight_hh_l0"]!];
  const [b, c] = [tensors["rnn.bias_ih_l0"]!, tensors["rnn.bias_hh_l0"]!];
  const [readout, bias] = [tensors["readout.weight"]!, tensors["readout.bias"]![0]!];
  const size = readout.length;
  const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
  let h = new Float64Array(size);
  let squares = 0;
  for (let t = 0; t + 1 < samples.length; t++) {
    const x = (samples[t]! - mean) / std;
    const fromInput = (row: number): number => w[row]! * x + b[row]!;
    const fromState = (row: number): number => h.reduce((sum, value, k) => sum + u[row * size + k]! * value, c[row]!);
    h = h.map((value, i) => {
      const r = sigmoid(fromInput(i) + fromState(i));
      const z = sigmoid(fromInput(size + i) + fromState(size + i));
      const n = Math.tanh(fromInput(2 * size + i) + r * fromState(2 * size + i));
      return (1 - z) * n + z * value;
    });
    const predicted = samples[t]! + std * h.reduce((sum, value, i) => sum + readout[i]! * value, bias);
    squares += (predicted - samples[t + 1]!) ** 2;
  }
  return Math.sqrt(squares / (samples.length - 1));
}

function lastValueRmse(samples: Float64Array): number {
  let squares = 0;
  for (let t = 1; t < samples.length; t++) squares += (samples[t]! - samples[t - 1]!) ** 2;
  return Math.sqrt(squares / (samples.length - 1));
}

/** Fails unless every element is closed in its turn, every attribute is quoted once, and there is one root. */
function assertWellFormed(xml: string): void {
  const open: string[] = [];
  let roots = 0;
  const rest = xml.replace(
    /<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g,
    (_, closing: string, name: string, attributes: string, empty: string) => {
      const names = [...attributes.matchAll(/\s([\w:-]+)=/g)].map(([, attribute]) => attribute);
      assertEquals(new Set(names).size, names.length, `<${name}> has an attribute twice`);
      if (closing) assertEquals(open.pop(), name, "closed out of turn");
      else {
        if (open.length === 0) roots++;
        if (!empty) open.push(name);
      }
      return "";
    },
  );
  assertEquals(open, []);
  assertEquals(roots, 1);
  assertEquals(rest.match(/[<>]|&(?!(?:amp|lt|gt|quot);)/), null, "a tag or an entity that XML does not know");
}

Deno.test("demo --json: times, sweeps, deviations and errors that agree with a plain loop; a figure", async () => {
  const samples = (await readSamples()).subarray(0, LENGTH);
  const rmse = plainRmse(samples, await readWeights());
  await withFolder(async (folder) => {
    const { code, stdout, stderr } = await runExampleIn(
      folder,
      "ecg.ts",
      "--json",
      "--length",
      `${LENGTH}`,
      "--svg",
      "new/a.svg",
    );
    assertEquals([code, stderr], [0, ""]);
    const report = JSON.parse(stdout);
    assertEquals([report.time, report.state, report.trained], [LENGTH, 16, true]);
    assertEquals(report.device.dtype, "f32");
    assertEquals(
      report.methods.map(({ method }: { method: string }) => method),
      ["sequential", "deer", "quasi-deer", "jacobi"],
    );
    for (const { method, result, ms, runs, sweeps, residuals, maxDeviation, rmseMv } of report.methods) {
      assert(ms > 0 && runs >= 1 && runs <= 5, `${method}: ${ms} ms, ${runs} runs`);
      assertEquals(sweeps, residuals.length);
      // Jacobi is cut off after 30 sweeps.
      if (result !== "successful") assertEquals([method, result, sweeps], ["jacobi", "max-sweeps-reached", 30]);
      // The tolerance of f32, 1e-5 of states below 1; every step contracts, so errors do not grow.
      else assertLess(maxDeviation, 2e-5, method);
      // A state that is off by 1e-5 moves one prediction by about 1e-5 mV, and the mean over all by far less.
      if (result === "successful") assertAlmostEquals(rmseMv, rmse, 1e-6, method);
    }
    const [sequential, deer, quasi] = report.methods;
    assertEquals([sequential.sweeps, sequential.maxDeviation], [0, 0]);
    assert(deer.sweeps >= 2 && deer.sweeps < quasi.sweeps, `${deer.sweeps} and ${quasi.sweeps} sweeps`);
    assertEquals([report.prediction.method, report.prediction.heldOutRmseMv], ["deer", null]);
    assertAlmostEquals(report.prediction.rmseMv.gru, rmse, 1e-6);
    assertAlmostEquals(report.prediction.rmseMv.lastValue, lastValueRmse(samples), 1e-12);
    assertLess(rmse, lastValueRmse(samples) / 2);

    assertEquals(await Deno.realPath(report.figure), await Deno.realPath(`${folder}/new/a.svg`));
    const svg = await Deno.readTextFile(report.figure);
    assertWellFormed(svg);
    const axes = [
      "ECG (mV)",
      "error (mV)",
      "time in the record (s)",
      "largest update (tolerances)",
      "largest error in h",
    ];
    for (const label of [...axes, "sweep", "deer", "quasi-deer", "jacobi"]) {
      assertStringIncludes(svg, `>${label}</text>`);
    }
    assertEquals(svg.match(/NaN|Infinity|undefined/), null);
  });
});

Deno.test("demo --hidden 6 --dtype f64: another size is not trained, and no prediction is judged", async () => {
  await withFolder(async (folder) => {
    const flags = ["--hidden=6", "--seed=3", "--dtype=f64", "--length=700", "--svg=a.svg", "--method=auto,block-deer"];
    const { code, stdout, stderr } = await runExampleIn(folder, "ecg.ts", ...flags);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^Device {2}.*f64$/m);
    assertMatch(stdout, /^Model .*D = 6 .*not trained$/m);
    assertMatch(stdout, /^auto +[\d.]+ +\d +- +- +- +successful$/m);
    assertMatch(stdout, /^block-deer +[\d.]+ +\d +\d+ +[\d.]+ +\d.*successful$/m);
    assertStringIncludes(stdout, "The GRU is not trained");
    assert(!stdout.includes("RMSE"), stdout);
    assertWellFormed(await Deno.readTextFile(`${folder}/a.svg`));
  });
});

Deno.test("demo --help: every flag, and nothing is run", async () => {
  await withFolder(async (folder) => {
    const { code, stdout, stderr } = await runExampleIn(folder, "ecg.ts", "--help");
    assertEquals([code, stderr], [0, ""]);
    for (
      const flag of ["method", "length", "hidden", "seed", "backend", "dtype", "max-sweeps", "svg", "json", "help"]
    ) {
      assertMatch(stdout, new RegExp(`^  --${flag} `, "m"));
    }
  });
});

Deno.test("demo: a flag or a value that is unknown is one line and exit code 2", async (t) => {
  const cases: [flags: string, message: string][] = [
    ["--nope", "'--nope'"],
    ["extra", "'extra'"],
    ["--method newton", 'got "newton"'],
    ["--method deer,", 'got ""'],
    ["--length 9", "at least 10"],
    ["--length 1e3", 'got "1e3"'],
    ["--length 108001", "at most 108000"],
    ["--hidden 0", "from 1 to 512"],
    ["--backend cuda", "auto, cpu, webgpu"],
    ["--dtype f16", "f32, f64"],
    ["--seed -1", '--seed must be a whole number from 0 to 4294967295, got "-1"'],
    ["--max-sweeps", "--max-sweeps needs a value"],
    ["--svg .", "the figure cannot be written"],
  ];
  await withFolder(async (folder) => {
    for (const [flags, message] of cases) {
      await t.step(flags, async () => {
        const { code, stdout, stderr } = await runExampleIn(folder, "ecg.ts", ...flags.split(" "));
        assertEquals([code, stdout], [2, ""]);
        assertMatch(stderr, /^Cannot run the demo: .*; --help lists the flags\n$/);
        assertStringIncludes(stderr, message);
      });
    }
  });
});
