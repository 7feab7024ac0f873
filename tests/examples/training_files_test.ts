// The files that examples of training read and write: curves, checkpoints, sets, and what is wrong with their paths.

import { assert, assertAlmostEquals, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { readSafetensors } from "../../mod.ts";
import { countEvents, type Point, runExample, runJson, withFolder } from "./run_example.ts";

Deno.test("digits: curves in four forms, and a training that goes on from its checkpoint", async () => {
  await withFolder(async (folder) => {
    const small = ["--hidden", "6", "--out", folder];
    const { points } = await runJson("digits.ts", ...small, "--epochs", "2") as unknown as { points: Point[] };
    assertEquals(points.map(({ step }) => step), [89, 178]);
    // From the loss of a guess among ten, log(10) = 2.30, downward.
    assertAlmostEquals(points[0]!.loss, Math.log(10), 0.1);
    assertLess(points[1]!.loss, points[0]!.loss);
    assert(points.every(({ accuracy, sweeps }) => accuracy >= 0 && accuracy <= 1 && sweeps === 0));
    assertEquals(Math.round(359 * points[1]!.accuracy) / 359, points[1]!.accuracy);

    const lines = (await Deno.readTextFile(`${folder}/digits.jsonl`)).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(lines.map(({ step, loss }) => [step, loss]), points.map(({ step, loss }) => [step, loss]));
    const curve = JSON.parse(await Deno.readTextFile(`${folder}/digits.json`));
    assertEquals(curve.points, points);
    const svg = await Deno.readTextFile(`${folder}/digits.svg`);
    assertMatch(svg, /^<svg [^>]*>[^]*<\/svg>\n$/);
    for (const label of ["loss", "accuracy", "epoch"]) assertStringIncludes(svg, `>${label}</text>`);
    assertEquals(svg.match(/NaN|Infinity|undefined/), null);
    // A record for the version and one for each point.
    assertEquals(await countEvents(`${folder}/events.out.tfevents.digits`), 3);
    const checkpoint = `${folder}/new/checkpoint.safetensors`;
    // The schedule of two epochs, of which the first is made by another process.
    await runJson("digits.ts", ...small, "--epochs", "2", "--checkpoint", checkpoint);
    const full = readSafetensors(await Deno.readFile(checkpoint));
    assertEquals(full.metadata.step, "178");
    const log = `${folder}/digits.jsonl`;
    const before = await Deno.readTextFile(log);
    const done = await runExample("digits.ts", ...small, "--epochs", "2", "--checkpoint", checkpoint);
    assertEquals(done.code, 2);
    assertStringIncludes(done.stderr, "nothing is left to train");
    const other = await runExample("digits.ts", ...small, "--hidden", "5", "--epochs", "3", "--checkpoint", checkpoint);
    assertEquals([other.code, other.stdout], [2, ""]);
    assertStringIncludes(other.stderr, "is of another model: layer0.bias (18) there, layer0.bias (15) here");
    assertEquals(await Deno.readTextFile(log), before, "a run that trains nothing leaves the files");
    // A line of a step that will be made again, and one that an interrupt has cut.
    await Deno.writeTextFile(log, '{"step":200,"loss":7}\n{"step":26', { append: true });
    const more = await runJson("digits.ts", ...small, "--epochs", "3", "--checkpoint", checkpoint);
    const whole = more.points as Point[];
    assertEquals(whole.map(({ step }) => step), [89, 178, 267]);
    assertEquals(whole.slice(0, 2).map(({ loss }) => loss), points.map(({ loss }) => loss));
    const text = await Deno.readTextFile(log);
    assert(text.startsWith(before) && text.trim().split("\n").length === 3, text);
    assertEquals(JSON.parse(await Deno.readTextFile(`${folder}/digits.json`)).points, whole);
    assertEquals(await countEvents(`${folder}/events.out.tfevents.digits`), 4);
    // Logs in another folder begin there.
    const elsewhere = `${folder}/elsewhere`;
    const flags = ["--hidden", "6", "--out", elsewhere, "--epochs", "4", "--checkpoint", checkpoint];
    const last = await runJson("digits.ts", ...flags);
    assertEquals((last.points as Point[]).map(({ step }) => step), [356]);
    assertEquals(await countEvents(`${elsewhere}/events.out.tfevents.digits`), 2);
  });
});

Deno.test("digits --epochs 1: the least that the flag allows is trained, without a checkpoint from the beginning", async () => {
  await withFolder(async (folder) => {
    const once = async (): Promise<number[]> => {
      const { points } = await runJson("digits.ts", "--hidden", "4", "--epochs", "1", "--out", folder);
      assertEquals((await Deno.readTextFile(`${folder}/digits.jsonl`)).trim().split("\n").length, 1);
      assertEquals(await countEvents(`${folder}/events.out.tfevents.digits`), 2);
      return (points as Point[]).map(({ step }) => step);
    };
    assertEquals(await once(), [89]);
    assertEquals(await once(), [89], "its own logs do not go on");
  });
});

Deno.test("long sequences: classes are told by their names, and sets that do not fit are refused", async (t) => {
  await withFolder(async (folder) => {
    const header = (classes: string, channels = 1): string =>
      `@problemName X\n@timeStamps false\n@univariate false\n@dimensions ${channels}\n@classLabel true ${classes}\n@data\n`;
    const near = (k: number): string => Array.from({ length: 5 }, (_, t) => ((7 * k + 3 * t) % 10) / 100 - 0.05).join();
    const line = (k: number, name: string): string =>
      `${near(k).split(",").map((x) => Number(x) + (name === "a" ? 1 : -1)).join()}:${name}\n`;
    const cases = Array.from({ length: 12 }, (_, k) => line(k, k % 2 === 0 ? "a" : "b")).join("");
    const files: Readonly<Record<string, string>> = {
      "train": header("a b") + cases,
      "same": header("a b") + cases,
      "swapped": header("b a") + cases,
      "wider": header("c a b") + cases,
      "stranger": header("a b c") + cases + line(0, "c"),
      "empty": header("a b"),
      "two-channels": header("a b", 2) + `1,2:3,4:a\n`,
    };
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}.ts`, text);
    const run = (test: string, ...flags: string[]): string[] => [
      ...["--train", `${folder}/train.ts`, "--test", `${folder}/${test}.ts`, "--width", "4", "--blocks", "1"],
      ...["--batch", "6", "--steps", "30", "--log-every", "15", "--rate", "0.03", "--out", folder, ...flags],
    ];
    for (const name of ["same", "swapped", "wider"]) {
      const { accuracy } = await runJson("long_sequences.ts", ...run(name));
      assertEquals(accuracy, 1, `${name}: classes that lie far apart`);
    }
    const refused: readonly [args: string[], message: string][] = [
      [run("stranger"), 'stranger.ts must have the classes of --train, a, b, got a case of "c"'],
      [run("empty"), "empty.ts cannot be read: it has no cases"],
      [run("two-channels"), "two-channels.ts must have as many channels as --train, 1, got 2"],
      [run("same", "--batch", "13"), "--batch must be at most the 12 cases of --train, got 13"],
      [["--batch", "49"], "--batch must be at most the 48 cases, got 49"],
    ];
    for (const [args, message] of refused) {
      await t.step(message, async () => {
        const { code, stdout, stderr } = await runExample("long_sequences.ts", ...args);
        assertEquals([code, stdout], [2, ""]);
        assertMatch(stderr, /^Cannot run the example: .*; --help lists the flags\n$/);
        assertStringIncludes(stderr, message);
      });
    }
  });
});

Deno.test("examples of training: files that cannot be written or read are told before anything is trained", async (t) => {
  await withFolder(async (folder) => {
    const file = `${folder}/file`;
    await Deno.writeTextFile(file, "text");
    const cases: readonly [name: string, flags: string[], message: string][] = [
      ["ecg_train.ts", ["--save", folder], `--save must be a file, got the folder ${folder}`],
      ["ecg_train.ts", ["--save", `${file}/weights`], `--save: the folder ${file} cannot be made: `],
      ["digits.ts", ["--checkpoint", folder], `--checkpoint must be a file, got the folder ${folder}`],
      ["digits.ts", ["--checkpoint", file], `--checkpoint ${file} cannot be read: `],
      ["digits.ts", ["--out", file], `--out: the folder ${file} cannot be made: `],
      ["million_step.ts", ["--train", "--length", "16", "--out", file], `--out: the folder ${file} cannot be made: `],
      ["long_sequences.ts", ["--train", folder, "--test", file], `--train ${folder} cannot be read: Is a directory`],
    ];
    for (const [k, [name, flags, message]] of cases.entries()) {
      await t.step(`${name} ${flags[0]}, case ${k}`, async () => {
        // So many steps would take hours.
        const long = name === "digits.ts" ? ["--epochs", "10000"] : ["--steps", "1000000"];
        const most = name === "million_step.ts" ? [] : long;
        const { code, stdout, stderr } = await runExample(name, "--backend", "cpu", ...most, ...flags);
        assertEquals([code, stdout], [2, ""]);
        assertMatch(stderr, /^Cannot run the example: .*; --help lists the flags\n$/);
        assertStringIncludes(stderr, message);
      });
    }
    assertEquals(await Deno.readTextFile(file), "text");
  });
});
