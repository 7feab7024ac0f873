// The Kalman example as its users run it, beside plain loops in double precision and what the literature says of the Nile.

import { assert, assertAlmostEquals, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { NILE } from "../../examples/lib/nile.ts";
import type { Matrix } from "../kalman/matrices.ts";
import { recursion } from "../kalman/reference.ts";
import { runExample, withFolder } from "./run_example.ts";

const SKIP_ECG = ["--length", "0"];

interface Known {
  readonly mean: number;
  readonly sd: number;
}

/** The level of a series by plain loops. */
function plainLevel(f: Matrix, q: Matrix, r: number, unknown: number, ys: readonly number[]) {
  const n = f.length;
  const constant = <T>(value: T) => (): T => value;
  const found = recursion({
    mean: new Array<number>(n).fill(0),
    covariance: f.map((row, i) => row.map((_, j) => i === j ? unknown : 0)),
    f: constant(f),
    u: constant(new Array<number>(n).fill(0)),
    q: constant(q),
    h: constant([f.map((_, j) => Number(j === 0))]),
    d: constant([0]),
    r: constant([[r]]),
  }, ys.map((y) => [y]));
  const level = (means: readonly (readonly number[])[], covariances: readonly Matrix[]): Known[] =>
    means.map((mean, t) => ({ mean: mean[0]!, sd: Math.sqrt(covariances[t]![0]![0]!) }));
  return {
    logLik: found.logLik,
    filtered: level(found.filteredMeans, found.filteredCovariances),
    smoothed: level(found.smoothedMeans, found.smoothedCovariances),
  };
}

function assertKnown(actual: readonly Known[], expected: readonly Known[]): void {
  assertEquals(actual.length, expected.length);
  for (const [t, { mean, sd }] of expected.entries()) {
    // The loops subtract covariances of size 1e7.
    assertAlmostEquals(actual[t]!.mean, mean, 1e-5, `mean ${t}`);
    assertAlmostEquals(actual[t]!.sd, sd, 1e-4, `sd ${t}`);
  }
}

/** The flows as the example has them, checked by their sum and extremes. */
function readFlows(): number[] {
  const flows: number[] = [...NILE];
  assertEquals([flows.length, Math.min(...flows), Math.max(...flows)], [100, 456, 1370]);
  // The mean flow is 919.35.
  assertEquals(flows.reduce((a, b) => a + b, 0), 91935);
  return flows;
}

Deno.test("kalman example --json: the Nile by plain loops, with years missing and without", async () => {
  const flows = readFlows();
  const models = {
    level: { f: [[1]], q: [[1469.1]] },
    trend: { f: [[1, 1], [0, 1]], q: [[1469.1, 0], [0, 10]] },
  };
  for (const [model, gap] of [["level", "none"], ["level", "1871,1891-1910,1970"], ["trend", "1900-1950"]] as const) {
    await withFolder(async (folder) => {
      const svg = `${folder}/new/nile.svg`;
      const flags = ["--model", model, "--missing", gap, "--backend", "cpu", "--svg", svg, "--json", ...SKIP_ECG];
      const { code, stdout, stderr } = await runExample("kalman.ts", ...flags);
      assertEquals([code, stderr], [0, ""]);
      const { device, nile, ecg, figure } = JSON.parse(stdout);
      assertEquals([device.backend, device.dtype, ecg, figure], ["cpu", "f64", null, svg]);
      const isMissing = (year: number): boolean =>
        gap !== "none" && gap.split(",").some((part) => {
          const [from = 0, to = from] = part.split("-").map(Number);
          return year >= from && year <= to;
        });
      const ys = flows.map((flow, i) => isMissing(1871 + i) ? NaN : flow);
      const { f, q } = models[model];
      const expected = plainLevel(f, q, 15099, 1e7, ys);
      assertEquals([nile.years, nile.missing], [100, ys.filter(Number.isNaN).length]);
      assertAlmostEquals(nile.logLik, expected.logLik, 1e-6);
      assertKnown(nile.filtered, expected.filtered);
      assertKnown(nile.smoothed, expected.smoothed);
      assertLess(nile.maxDeviation, 1e-9);
      const drawing = await Deno.readTextFile(svg);
      assertStringIncludes(drawing, `${nile.missing} of 100 years are missing`);
      // A circle for each year that is not missing, and one in the legend.
      assertEquals(drawing.match(/<circle/g)?.length, 101 - nile.missing);
    });
  }
});

Deno.test("kalman example: the Nile as Durbin and Koopman have it", async () => {
  await withFolder(async (folder) => {
    const flags = ["--missing", "none", "--backend", "cpu", "--svg", `${folder}/nile.svg`, "--json", ...SKIP_ECG];
    const { nile } = JSON.parse((await runExample("kalman.ts", ...flags)).stdout);
    // "Time Series Analysis by State Space Methods", 2012, section 2.2: the filtered level of 1871 is 1118, its variance
    // 15076; the log-likelihood of all years is that of this prior.
    assertAlmostEquals(nile.filtered[0].mean, 1118.31, 0.005);
    assertAlmostEquals(nile.filtered[0].sd ** 2, 15076.24, 0.005);
    assertAlmostEquals(nile.logLik, -641.5856, 5e-5);
    // The smoothed level falls from 1111 to 798.
    assertEquals([nile.smoothed[0].mean, nile.smoothed[99].mean].map(Math.round), [1111, 798]);
  });
});

Deno.test("kalman example: a table; smoothing takes noise from the electrocardiogram", async () => {
  await withFolder(async (folder) => {
    const common = ["--backend", "cpu", "--svg", `${folder}/ecg.svg`, "--length", "3000", "--seed", "3"];
    const { code, stdout, stderr } = await runExample("kalman.ts", ...common);
    assertEquals([code, stderr], [0, ""]);
    const rows = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
    assertEquals(rows.filter(([year]) => /^\d{4}$/.test(year!)).map(([year]) => Number(year)), [
      ...[1871, 1880, 1890, 1900, 1910, 1920, 1930, 1940, 1950, 1960, 1970],
    ]);
    for (const [name, time] of [["Nile", "100"], ["ECG", "3,000"]] as const) {
      const row = rows.find(([first, second]) => first === name && second === time);
      assert(row?.length === 5 && Number(row[4]) < 1e-9, stdout);
    }
    assertStringIncludes(await Deno.readTextFile(`${folder}/ecg.svg`), "An electrocardiogram");

    assert(!stdout.includes("further apart"), stdout);
    const hopeless = await runExample("kalman.ts", ...common, "--dtype", "f32", "--noise", "1e-9");
    assertStringIncludes(hopeless.stdout, "The answers are further apart than 0.01 standard deviations");

    const { ecg } = JSON.parse((await runExample("kalman.ts", ...common, "--dtype", "f32", "--json")).stdout);
    const { noisy, filtered, smoothed } = ecg.rmseMv;
    assertAlmostEquals(noisy, 0.1, 0.005);
    assert(smoothed < 0.7 * filtered && filtered < noisy, JSON.stringify(ecg.rmseMv));
    const best = Math.max(...ecg.tried.map(({ logLik }: { logLik: number }) => logLik));
    assertEquals(ecg.tried.find(({ logLik }: { logLik: number }) => logLik === best).slopeWander, ecg.slopeWander);
    assertLess(ecg.maxDeviation, 1e-4);
  });
});

Deno.test("kalman example --help, and flags that are wrong", async () => {
  const { code, stdout } = await runExample("kalman.ts", "--help");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "--missing");
  const table: [flags: string[], message: string][] = [
    [["--model", "cycle"], '--model must be one of level, trend, got "cycle"'],
    [["--missing", "1870"], '--missing must be years from 1871 to 1970, such as 1891-1910, got "1870"'],
    [["--missing", "1900-1890"], '--missing must be years from 1871 to 1970, such as 1891-1910, got "1900-1890"'],
    [["--missing", "all"], '--missing must be years from 1871 to 1970, such as 1891-1910, got "all"'],
    [["--length", "1000000"], '--length must be at most 108000, the length of the record, got "1000000"'],
    [["--noise", "0"], '--noise must be greater than 0, got "0"'],
    [["--seed", "-1"], '--seed must be a whole number from 0 to 4294967295, got "-1"'],
    [["--length", "-3"], '--length must be a whole number of at least 0, got "-3"'],
    [["--noise", "-.5"], '--noise must be greater than 0, got "-.5"'],
    [["--seed", "--json"], "--seed needs a value"],
    [["--json", "-3"], "Unknown option '-3'"],
    [["--dtype", "f64", "--backend", "webgpu"], "--dtype f64 needs --backend cpu or auto"],
    [["--svg", "/dev/null/x.svg"], "the figure cannot be written"],
    [["--states", "3"], "Unknown option '--states'"],
  ];
  for (const [flags, message] of table) {
    const { code, stdout, stderr } = await runExample("kalman.ts", ...flags);
    assertEquals([code, stdout], [2, ""], flags.join(" "));
    assert(stderr.startsWith(`Cannot run the example: ${message}`), stderr);
    assertStringIncludes(stderr, "; --help lists the flags");
  }
});
