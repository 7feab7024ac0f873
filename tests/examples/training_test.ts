// The examples of training as their users run them: short runs, whose results are checked by other code.

import { assert, assertAlmostEquals, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { readSafetensors, writeUea } from "../../mod.ts";
import { generateMotion } from "../../examples/lib/generated_motion.ts";
import { EXAMPLES, type Point, runExample, runJson, withFolder } from "./run_example.ts";

Deno.test("digits --compare: deer trains as the sequential method does, and warm starts save sweeps", async () => {
  await withFolder(async (folder) => {
    const flags = ["--compare", "--epochs", "5", "--hidden", "6", "--out", folder];
    const { trainings, perEpoch } = await runJson("digits.ts", ...flags) as {
      perEpoch: number;
      trainings: { name: string; points: Point[]; alike: number; seconds: number }[];
    };
    assertEquals(perEpoch, 89);
    const [sequential, deer, warm, double] = trainings as [typeof trainings[0], ...typeof trainings];
    assertEquals(trainings.map(({ name }) => name), ["sequential", "deer", "deer-warm", "sequential-f64"]);
    // So few units amplify little: all losses stay alike.
    for (const { name, alike } of [deer!, warm!, double!]) assertEquals(alike, 5 * 89, name);
    assert(sequential.points.every(({ sweeps }) => sweeps === 0));
    assertEquals(warm!.points[0]!.sweeps, deer!.points[0]!.sweeps, "in the first epoch nothing is known");
    assertLess(warm!.points[4]!.sweeps, 0.8 * deer!.points[4]!.sweeps);
    assertStringIncludes(await Deno.readTextFile(`${folder}/digits-compared.svg`), ">deer-warm</text>");
  });
});

Deno.test("ecg_train: its weights, in a plain loop, have the errors it tells", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/not/there/weights.safetensors`;
    const report = await runJson("ecg_train.ts", "--steps", "4", "--seed", "3", "--out", folder, "--save", file) as {
      rmseMv: { gru: number; lastValue: number };
      heldOutRmseMv: { gru: number; lastValue: number };
    };
    const { tensors, metadata } = readSafetensors(await Deno.readFile(file));
    const bytes = await Deno.readFile(new URL("data/ecg_mitbih208_360hz.npy", EXAMPLES));
    const samples = new Float32Array(bytes.slice(10 + new DataView(bytes.buffer).getUint16(8, true)).buffer);
    const [mean, std] = [Number(metadata.mean), Number(metadata.std)];
    const own = Float64Array.from(samples.subarray(0, 80_000));
    const average = own.reduce((total, x) => total + x, 0) / 80_000;
    assertAlmostEquals(mean, average, 1e-7);
    assertAlmostEquals(std, Math.sqrt(own.reduce((total, x) => total + (x - average) ** 2, 0) / 80_000), 1e-7);
    const [w, u, b, c] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map((name) =>
      tensors[`rnn.${name}_l0`]!.data
    );
    const [readout, bias] = [tensors["readout.weight"]!.data, tensors["readout.bias"]!.data[0]!];
    const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
    let h = new Float64Array(16);
    const errors: number[] = [];
    for (let t = 0; t + 1 < samples.length; t++) {
      const x = (samples[t]! - mean) / std;
      const [input, state] = [new Float64Array(48), new Float64Array(48)];
      for (let row = 0; row < 48; row++) {
        input[row] = w![row]! * x + b![row]!;
        state[row] = c![row]!;
        for (let k = 0; k < 16; k++) state[row]! += u![row * 16 + k]! * h[k]!;
      }
      h = h.map((value, i) => {
        const r = sigmoid(input[i]! + state[i]!);
        const z = sigmoid(input[16 + i]! + state[16 + i]!);
        return (1 - z) * Math.tanh(input[32 + i]! + r * state[32 + i]!) + z * value;
      });
      let predicted = samples[t]! + std * bias;
      for (let k = 0; k < 16; k++) predicted += std * readout[k]! * h[k]!;
      errors.push(predicted - samples[t + 1]!);
    }
    const rmse = (values: number[]): number => Math.sqrt(values.reduce((sum, e) => sum + e * e, 0) / values.length);
    // States in f32, whose roundings a contracting step does not enlarge.
    assertAlmostEquals(report.rmseMv.gru, rmse(errors), 1e-6);
    assertAlmostEquals(report.heldOutRmseMv.gru, rmse(errors.slice(79_999)), 1e-6);
    // Four steps from the last-value predictor are not far from it.
    assertAlmostEquals(report.rmseMv.gru, report.rmseMv.lastValue, 0.05);
  });
});

Deno.test("million steps --train: each length until five minibatches in a row are right", async () => {
  await withFolder(async (folder) => {
    const flags = ["--train", "--length", "16,4", "--features", "4", "--hidden", "6", "--out", folder];
    const { stages, forgetBias } = await runJson("million_step.ts", ...flags) as {
      forgetBias: number;
      stages: { time: number; batch: number; steps: number; learnt: boolean }[];
    };
    assertEquals(forgetBias, 2.77);
    assertEquals(stages.map(({ time, batch, learnt }) => [time, batch, learnt]), [[4, 8, true], [16, 8, true]]);
    const { steps } = JSON.parse(await Deno.readTextFile(`${folder}/million_step.json`)) as {
      steps: { time: number; loss: number; inRow: number; stepOfStage: number }[];
    };
    for (const { time, steps: count } of stages) {
      const own = steps.filter((step) => step.time === time);
      assertEquals(own.map(({ stepOfStage }) => stepOfStage), own.map((_, k) => k + 1));
      assertEquals(own.length, count);
      assert(own.slice(-5).every(({ loss }) => loss < Math.LN2 / 8));
      assertEquals(own.at(-1)!.inRow, 5);
      assert(own.slice(0, -1).every(({ inRow }) => inRow < 5));
    }
    assertStringIncludes(await Deno.readTextFile(`${folder}/million_step.svg`), ">log2 T</text>");
  });
});

Deno.test("long sequences: generated ones, and sets in files with gaps and of unequal lengths", async () => {
  await withFolder(async (folder) => {
    const sizes = ["--width", "4", "--blocks", "1", "--steps", "6", "--log-every", "2", "--out", folder];
    const generated = await runJson("long_sequences.ts", ...sizes, "--time", "40");
    assertEquals([generated.problem, generated.time, generated.channels, generated.classes], [
      "GeneratedMotion",
      40,
      6,
      4,
    ]);
    const points = generated.points as Point[];
    assertEquals(points.map(({ step }) => step), [2, 4, 6]);
    assertEquals(points.map(({ accuracy }) => accuracy === undefined), [true, false, false]);
    for (const [name, seed] of [["train", 1], ["test", 2]] as const) {
      const set = generateMotion({ cases: 10, time: 30, seed });
      const cases = set.cases.map(({ data, shape: [, width = 0] }, k) => {
        const time = 30 - k;
        return {
          data: Float64Array.from(data.subarray(0, time * width), (x, i) => (i + k) % 7 === 0 ? NaN : x),
          shape: [time, width],
        };
      });
      await Deno.writeTextFile(`${folder}/${name}.ts`, writeUea({ ...set, cases }));
    }
    const files = ["--train", `${folder}/train.ts`, "--test", `${folder}/test.ts`, "--batch", "3"];
    const read = await runJson("long_sequences.ts", ...sizes, ...files, "--method", "deer", "--warm-starts");
    assertEquals([read.time, read.channels, read.classes], [30, 6, 4]);
    const found = read.points as Point[];
    assert(found.every(({ loss }) => Number.isFinite(loss)) && found.every(({ sweeps }) => sweeps >= 1));
    assertEquals(Math.round(10 * found.at(-1)!.accuracy) / 10, found.at(-1)!.accuracy);
  });
});

Deno.test("generated motion: reproducible, of unit strength under noise, every class as often", () => {
  const options = { cases: 8, time: 4000, seed: 5 };
  const set = generateMotion(options);
  assertEquals(set, generateMotion(options));
  assertEquals([...set.labels!], [0, 1, 2, 3, 0, 1, 2, 3]);
  assertEquals(set.cases.map(({ shape }) => shape), Array(8).fill([4000, 6]));
  for (const { data } of set.cases) {
    // The mean square of (1 + 0.8 sin) sin is (1 + 0.32) / 2; that of the noise 1.
    const power = Float64Array.from(data).reduce((sum, x) => sum + x * x, 0) / data.length;
    assertAlmostEquals(power, 1.66, 0.1);
  }
  assert(set.cases[0]!.data[0] !== set.cases[4]!.data[0]);
});

Deno.test("examples of training: --help, and flags that are wrong", async (t) => {
  for (const name of ["digits.ts", "ecg_train.ts", "long_sequences.ts"]) {
    const { code, stdout, stderr } = await runExample(name, "--help");
    assertEquals([code, stderr], [0, ""]);
    for (const flag of ["method", "warm-starts", "seed", "backend", "dtype", "out", "checkpoint", "json"]) {
      assertMatch(stdout, new RegExp(`^  --${flag} `, "m"), `${name} ${flag}`);
    }
  }
  const cases: [name: string, flags: string, message: string][] = [
    ["digits.ts", "--nope", "'--nope'"],
    ["digits.ts", "--steps 3", "use --epochs"],
    ["digits.ts", "--hidden 0", "from 1 to 512"],
    ["digits.ts", "--method newton", 'got "newton"'],
    ["digits.ts", "--dtype f64 --backend webgpu", "--dtype f64 needs --backend cpu or auto"],
    ["ecg_train.ts", "--warm-starts", "chunks are drawn at random"],
    ["ecg_train.ts", "--steps 0", "--steps must be a whole number from 1"],
    ["long_sequences.ts", "--train a.ts", "--train and --test must come together"],
    ["long_sequences.ts", "--train no.ts --test no.ts", "--train no.ts cannot be read"],
    ["long_sequences.ts", "--train no.ts --test no.ts --time 3", "--time is for sequences that are generated"],
    ["long_sequences.ts", "--rate fast", '--rate must be a number, got "fast"'],
  ];
  for (const [name, flags, message] of cases) {
    await t.step(`${name} ${flags}`, async () => {
      const { code, stdout, stderr } = await runExample(name, ...flags.split(" "));
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, /^Cannot run the example: .*; --help lists the flags\n$/);
      assertStringIncludes(stderr, message);
    });
  }
});
