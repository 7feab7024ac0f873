// Sets of series written and read again, and padded to arrays.

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { padCases, readUea, type UeaDataset, writeUea } from "../../src/io/mod.ts";
import { series } from "./uea_series.ts";

const sets: Record<string, UeaDataset> = {
  classes: {
    problemName: "Some problem",
    description: "Several lines.\n\n# of comment",
    dimensions: 2,
    cases: [series([0.1, -0, 1e-300], [1 / 3, NaN, 5e-324]), series([Infinity, -1e21], [-Infinity, 123456789])],
    channelLengths: [[3, 3], [2, 2]],
    classNames: ["one", "2", "drei#@,é"],
    labels: new Uint32Array([2, 0]),
  },
  "unequal channels": {
    problemName: "",
    description: "",
    dimensions: 3,
    cases: [series([1, 2, 3], [4], [NaN, 5]), series([], [1], []), series([], [], [])],
    channelLengths: [[3, 1, 2], [0, 1, 0], [0, 0, 0]],
    targets: new Float64Array([0.1, NaN, -Infinity]),
  },
  "no labels": {
    problemName: "p",
    description: "",
    dimensions: 2,
    cases: [series([1], []), series([], []), series([], [2])],
    channelLengths: [[1, 0], [0, 0], [0, 1]],
  },
  "one channel, no labels": {
    problemName: "p",
    description: "",
    dimensions: 1,
    cases: [series([]), series([1, 2])],
    channelLengths: [[0], [2]],
  },
  stamps: {
    problemName: "p",
    description: "",
    dimensions: 2,
    cases: [series([1, NaN], [3]), series([], [])],
    channelLengths: [[2, 1], [0, 0]],
    timestamps: [series([0.5, 1e9], [-3]), series([], [])],
    classNames: ["a"],
    labels: new Uint32Array([0, 0]),
  },
  empty: {
    problemName: "p",
    description: "",
    dimensions: 4,
    cases: [],
    channelLengths: [],
    classNames: ["a", "b"],
    labels: new Uint32Array(0),
  },
};

Deno.test("writeUea() and readUea() are inverse, to the last bit", () => {
  for (const [name, set] of Object.entries(sets)) {
    const text = writeUea(set);
    const read = readUea(text);
    assertEquals(read, set, name);
    for (const [k, { data }] of set.cases.entries()) {
      data.forEach((value, i) =>
        assertStrictEquals(Object.is(read.cases[k]!.data[i], value), true, `${name} ${k} ${i}`)
      );
    }
    assertEquals(writeUea(read), text, name);
  }
});

Deno.test("writeUea() writes this text", () => {
  const single = { data: new Float32Array([0.5, NaN, 3]), shape: [3, 1] };
  const text = writeUea({
    problemName: "P",
    dimensions: 1,
    cases: [single],
    classNames: ["x"],
    labels: new Uint32Array(1),
  });
  const head =
    "@problemName P\n@timeStamps false\n@missing true\n@univariate true\n@equalLength true\n@seriesLength 3\n";
  assertEquals(text, `${head}@classLabel true x\n@data\n0.5,?,3:x\n`);
  assertEquals(
    writeUea(sets["stamps"]!),
    "@problemName p\n@timeStamps true\n@missing true\n@univariate false\n@dimensions 2\n@equalLength false\n" +
      "@classLabel true a\n@data\n(0.5,1),(1000000000,?):(-3,3):a\n::a\n",
  );
});

Deno.test("writeUea() refuses what no file can hold", () => {
  const good = sets["classes"]!;
  const table: [change: Partial<Record<keyof UeaDataset, unknown>>, message: string][] = [
    [{ problemName: "two\nlines" }, 'problemName must be one line without space around it, got "two\\nlines"'],
    [{ problemName: undefined }, "problemName must be one line without space around it, got nothing"],
    [{ description: 7 }, "description must be a string, got Number"],
    [{ dimensions: 1.5 }, "dimensions must be a whole number of at least 0, got 1.5"],
    [{ dimensions: 3 }, "case 0 must have shape (T, 3), got (3, 2)"],
    [{ cases: {} }, "cases must be a list of tensors, got Object"],
    [{ cases: [good.cases[0], { data: [1], shape: [1, 1] }] }, "the data of case 1 must be a Float32Array"],
    [{ dimensions: 0, cases: [series(), series()] }, "dimensions must be at least 1 where there are cases, got 0"],
    [{ channelLengths: [[3, 3]] }, "channelLengths must be as many as there are cases, 2, got 1"],
    [{ channelLengths: [[3, 4], [2, 2]] }, "the channelLengths of case 0 must be 2 whole numbers up to 3, got [3,4]"],
    [{ channelLengths: [[3, 3], [2]] }, "the channelLengths of case 1 must be 2 whole numbers up to 2, got [2]"],
    [{ timestamps: [good.cases[0]] }, "timestamps must be as many as there are cases, 2, got 1"],
    [{ timestamps: good.cases.toReversed() }, "the timestamps of case 0 must have shape (3, 2), got (2, 2)"],
    [{ timestamps: good.cases }, "the timestamps of case 0 must be finite, got NaN at (t, channel) = (1, 1)"],
    [{ labels: new Uint32Array(3) }, "labels must be as many as there are cases, 2, got 3"],
    [{ labels: new Uint32Array([0, 3]) }, "the label of case 1 must be a class from 0 to 2, got 3"],
    [{ targets: new Float64Array(2) }, "expected labels or targets, got both"],
    [{ targets: new Float64Array(1), labels: undefined }, "targets must be as many as there are cases, 2, got 1"],
    [{ classNames: undefined }, "classNames must be a list of the classes beside labels, got nothing"],
    [{ classNames: ["a", "b", "c d"] }, 'without white space, ":", "(" and ")", got "c d"'],
    [{ classNames: ["a", "b", "c:"] }, 'got "c:"'],
    [{ classNames: ["a", "b", "a"] }, 'got "a"'],
    [{ classNames: ["a", "b", ""] }, 'got ""'],
  ];
  for (const [change, message] of table) {
    const error = assertThrows(() => writeUea({ ...good, ...change } as UeaDataset), TypeError, message);
    assert(error.message.startsWith("Cannot write .ts: "), error.message);
  }
  assertThrows(() => writeUea(undefined as never), TypeError, "Cannot write .ts: expected a record, got Undefined");
});

Deno.test("padCases() pads and cuts, with the lengths", () => {
  const cases = [series([1, 2, 3], [4, 5, 6]), series([7], [8]), series([], [])];
  assertEquals(padCases(cases), {
    xs: { data: new Float64Array([1, 4, 2, 5, 3, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), shape: [3, 3, 2] },
    lengths: new Uint32Array([3, 1, 0]),
  });
  assertEquals(padCases(cases, { time: 2, fill: -1 }), {
    xs: { data: new Float64Array([1, 4, 2, 5, 7, 8, -1, -1, -1, -1, -1, -1]), shape: [3, 2, 2] },
    lengths: new Uint32Array([2, 1, 0]),
  });
  assertEquals(padCases(cases, { time: 0 }).xs, { data: new Float64Array(0), shape: [3, 0, 2] });
  assertEquals(padCases([series([], [])]).xs, { data: new Float64Array(0), shape: [1, 0, 2] });
});

Deno.test("padCases() keeps, carries forward or fills what is missing, in single precision where all series are", () => {
  const gaps = { data: new Float32Array([NaN, 1, 2, NaN, NaN, NaN]), shape: [3, 2] };
  const expected = { keep: gaps.data, forward: [9, 1, 2, 1, 2, 1], fill: [9, 1, 2, 9, 9, 9] };
  for (const missing of ["keep", "forward", "fill"] as const) {
    const { xs } = padCases([gaps], { missing, fill: 9, time: 4 });
    assertEquals(xs, { data: Float32Array.from([...expected[missing], 9, 9]), shape: [1, 4, 2] }, missing);
  }
  assertEquals(gaps.data[0], NaN);
  // What is carried forward ends with the series, also where the filling is NaN.
  const open = padCases([gaps], { missing: "forward", fill: NaN, time: 4 });
  assertEquals(open.xs.data, new Float32Array([NaN, 1, 2, 1, 2, 1, NaN, NaN]));
  const mixed = padCases([gaps, { data: new Float64Array(2), shape: [1, 2] }]);
  assert(mixed.xs.data instanceof Float64Array);
});

Deno.test("padCases() refuses what it cannot pad", () => {
  const one = series([1]);
  const types: [cases: unknown, options: unknown, message: string][] = [
    [[], {}, "cases must be a list of at least one series, got an empty list"],
    [one, {}, "cases must be a list of at least one series, got an object of Object"],
    [[one, series([1], [2])], {}, "case 1 must have shape (T, 1), got (1, 2)"],
    [[{ data: new Float32Array(1), shape: [1] }], {}, "case 0 must have shape (T, C), got (1,)"],
    [[{ data: new Int32Array(1), shape: [1, 1] }], {}, "case 0 must hold floats, got I32"],
    [[one], { length: 3 }, "options may have time, fill, missing, got length"],
  ];
  for (const [cases, options, message] of types) {
    assertThrows(() => padCases(cases as never, options as never), TypeError, `Cannot pad: ${message}`);
  }
  const ranges: [options: unknown, message: string][] = [
    [{ time: -1 }, "time must be a whole number of at least 0, got -1"],
    [{ time: 1.5 }, "time must be a whole number of at least 0, got 1.5"],
    [{ fill: "0" }, 'fill must be a number, got "0"'],
    [{ missing: "zero" }, 'missing must be "keep", "forward" or "fill", got "zero"'],
  ];
  for (const [options, message] of ranges) {
    assertThrows(() => padCases([one], options as never), RangeError, `Cannot pad: ${message}`);
  }
});
