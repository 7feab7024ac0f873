// Files in the format that aeon and sktime document, written here by hand, beside what is in them; and files that break it.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { readUea } from "../../src/io/mod.ts";
import { series } from "./uea_series.ts";

/** A file with these tags and cases: univariate with the classes a and b where the tags say nothing else. */
function file(cases: string, tags: Record<string, string> = {}): string {
  const all = { problemName: "Made", timeStamps: "false", univariate: "true", classLabel: "true a b", ...tags };
  const head = Object.entries(all).filter(([, value]) => value !== "").map(([tag, value]) => `@${tag} ${value}`);
  return [...head, "@data", cases].join("\n");
}

Deno.test("readUea() reads several channels of equal length with classes", () => {
  const text = `#The data was made for a test.
#
# It has two classes.
@problemName BasicMotions
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength true
@seriesLength 4
@classLabel true Standing Running
@data
-0.740653,-0.740653,10.208449,2.867009:-0.194301,-0.194301,-0.249618,0.516079:Running
-0.247409,-0.247409,-0.77129,-0.576154:-0.368484,-0.020851,-0.020851,-0.465607:Standing
`;
  assertEquals(readUea(text), {
    problemName: "BasicMotions",
    description: "The data was made for a test.\n\nIt has two classes.",
    dimensions: 2,
    cases: [
      series([-0.740653, -0.740653, 10.208449, 2.867009], [-0.194301, -0.194301, -0.249618, 0.516079]),
      series([-0.247409, -0.247409, -0.77129, -0.576154], [-0.368484, -0.020851, -0.020851, -0.465607]),
    ],
    channelLengths: [[4, 4], [4, 4]],
    classNames: ["Standing", "Running"],
    labels: new Uint32Array([1, 0]),
  });
});

Deno.test("readUea() reads tags in any case, other names and orders, blank lines, comments, and ends of lines of Windows", () => {
  const lines = [
    "\uFEFF# a comment",
    "",
    "@PROBLEMNAME  Two words ",
    "@classlabel TRUE  1   2",
    "@Missing False",
    "@frequency daily",
    "@dimension 1",
    " @data ",
    "# between",
    "% as in Weka",
    " 1 , 2.5e-3 ,+.5,-7. : 2 ",
    "",
    "#1,2:1",
    "1e3:1",
  ];
  const { problemName, description, cases, classNames, labels, dimensions } = readUea(lines.join("\r\n"));
  assertEquals({ problemName, description }, { problemName: "Two words", description: "a comment" });
  assertEquals(cases, [series([1, 0.0025, 0.5, -7]), series([1000])]);
  assertEquals({ classNames, labels, dimensions }, {
    classNames: ["1", "2"],
    labels: new Uint32Array([1, 0]),
    dimensions: 1,
  });
});

Deno.test("readUea() reads missing values, infinities, and lengths that differ by case and by channel", () => {
  const tags = { univariate: "false", dimensions: "3", equalLength: "false", seriesLength: "99" };
  const { cases, channelLengths, labels } = readUea(file("1,?,NaN:4:nan,-inf,+Infinity,INF:a\n:5,6::b\n::: a", tags));
  assertEquals(cases, [
    series([1, NaN, NaN], [4], [NaN, -Infinity, Infinity, Infinity]),
    series([], [5, 6], []),
    { data: new Float64Array(0), shape: [0, 3] },
  ]);
  assertEquals(channelLengths, [[3, 1, 4], [0, 2, 0], [0, 0, 0]]);
  assertEquals(labels, new Uint32Array([0, 1, 0]));
});

Deno.test("readUea() reads targets, sets without labels, and files without a case", () => {
  const regression = readUea(file("1,2:0.25\n3,4:?\n5,6:-1e2", { classLabel: "false", targetLabel: "true" }));
  assertEquals(regression.targets, new Float64Array([0.25, NaN, -100]));
  assertEquals(regression.labels, undefined);
  assertEquals(regression.classNames, undefined);
  assertEquals(readUea(file("1:2", { classLabel: "", targetLabel: "true" })).cases, [series([1])]);
  const plain = readUea(file("1,2:3\n4:5,6", { classLabel: "false", univariate: "false" }));
  assertEquals(plain.cases, [series([1, 2], [3]), series([4], [5, 6])]);
  assertEquals([plain.labels, plain.targets, plain.dimensions], [undefined, undefined, 2]);
  // As aeon writes them: a colon after each channel.
  assertEquals(readUea(file("1,2:3,4:", { classLabel: "false", univariate: "false" })).dimensions, 2);
  assertEquals(readUea(file("1,2::", { classLabel: "false", univariate: "false" })).channelLengths, [[2, 0]]);
  for (const cases of ["", "\n# nothing\n"]) {
    const empty = readUea(file(cases));
    assertEquals([empty.cases, empty.dimensions, empty.labels], [[], 1, new Uint32Array(0)]);
  }
  assertEquals(readUea(file("", { univariate: "" })).dimensions, 0);
});

Deno.test("readUea() matches classes as they are, and else without regard to case", () => {
  assertEquals(readUea(file("1:B\n1:a", { classLabel: "true a b" })).labels, new Uint32Array([1, 0]));
  assertEquals(readUea(file("1:B\n1:b", { classLabel: "true b B" })).labels, new Uint32Array([1, 0]));
  assertThrows(() => readUea(file("1:C", { classLabel: "true a c cC CC" })), SyntaxError, 'got "C"');
});

Deno.test("readUea() reads time stamps: numbers, and dates as seconds", () => {
  const tags = { timeStamps: "true", univariate: "false" };
  const { cases, timestamps, labels } = readUea(
    file("(0,1.5),(2.5,?):( 7 , -2 ):a\n:(2016-01-18 22:20:00,3),(1970-01-02,4),(2024-02-29T00:00:00.5,5) : b", tags),
  );
  assertEquals(cases, [series([1.5, NaN], [-2]), series([], [3, 4, 5])]);
  // date -u -d "2016-01-18 22:20:00" +%s, and so on
  assertEquals(timestamps, [series([0, 2.5], [7]), series([], [1453155600, 86400, 1709164800.5])]);
  assertEquals(labels, new Uint32Array([0, 1]));
  const univariate = { timeStamps: "true", classLabel: "false" };
  assertEquals(readUea(file("(2020-01-01 00:00:01,9)", univariate)).timestamps, [series([1577836801])]);
});

Deno.test("readUea() refuses malformed files, with the line", () => {
  const many = { univariate: "false", dimensions: "2" };
  const stamped = { timeStamps: "true" };
  const table: [what: string, text: string, message: string][] = [
    ["nothing", "", "expected a line @data before the cases, got none in 1 lines"],
    ["no data", "@classLabel false\n", "expected a line @data before the cases, got none in 2 lines"],
    ["data too early", "1,2:a", 'expected a comment (#), a tag (@) or @data in line 1, got "1,2:a"'],
    ["an empty tag", "@ data", 'expected a comment (#), a tag (@) or @data in line 1, got "@ data"'],
    ["words after data", "@classLabel false\n@data here", 'expected nothing after @data in line 2, got "here"'],
    ["no labels", "\n@data", "expected @classLabel or @targetLabel before @data in line 2, got neither"],
    ["twice", "@classLabel false\n@ClassLabel false\n@data", "expected @classlabel once in line 2, got it again after"],
    ["a boolean", file("", { timeStamps: "yes" }), 'expected "true" or "false" after @timestamps in line 2, got "yes"'],
    ["no boolean", file("", { missing: " " }), 'expected "true" or "false" after @missing in line 5, got ""'],
    ["a count", file("", { ...many, dimensions: "0" }), "a whole number of at least 1 after @dimensions in line 5"],
    ["a count", file("", { ...many, dimensions: "2.0" }), 'got "2.0"'],
    ["a length", file("", { equalLength: "true", seriesLength: "-4" }), "after @serieslength in line 6"],
    ["univariate", file("", { dimensions: "3" }), "@dimensions 1 beside @univariate true in line 5, got 3"],
    ["classes", file("", { classLabel: "true" }), '"false", or "true" and the names of the classes after @classLabel'],
    ["classes", file("", { classLabel: "false a b" }), 'got "false a b"'],
    ["classes", file("", { classLabel: "a b" }), 'got "a b"'],
    ["a class twice", file("", { classLabel: "true a b a" }), 'expected every class once in line 4, got "a" twice'],
    ["both", file("", { targetLabel: "true" }), "@targetLabel false beside @classLabel true in line 5, got true"],
    ["a tag below", file("1:a\n@missing true"), "a case, as @data has come before in line 7"],
    ["no label", file("1,2,3"), 'channels and a class after ":" in line 6, got "1,2,3"'],
    ["no target", file("1,2,3", { classLabel: "", targetLabel: "true" }), 'channels and a target after ":" in line 6'],
    ["a class", file("1:a\n2:c"), 'one of the classes "a b" in line 7, got "c"'],
    ["an empty class", file("1:"), 'one of the classes "a b" in line 6, got ""'],
    ["a target", file("1:up", { classLabel: "", targetLabel: "true" }), 'a number as target, "?" or "NaN" in line 6'],
    ["channels", file("1:2:a"), 'expected 1 channels, separated by ":", in line 6, got 2'],
    ["channels", file("1:a", many), 'expected 2 channels, separated by ":", in line 7, got 1'],
    [
      "channels",
      file("1:2:a\n\n1:2:3:a", { univariate: "" }),
      'expected 2 channels, separated by ":", in line 7, got 3',
    ],
    ["a word", file("1,two:a"), '"?" or "NaN" at (t, channel) = (1, 0) in line 6, got "two"'],
    ["a gap", file("1:1,,2:a", many), 'at (t, channel) = (1, 1) in line 7, got ""'],
    ["a comma at the end", file("1,2,:a"), 'at (t, channel) = (2, 0) in line 6, got ""'],
    ["other numbers", file("0x1f:a"), 'got "0x1f"'],
    ["other numbers", file("1_000:a"), 'got "1_000"'],
    ["other numbers", file("1e:a"), 'got "1e"'],
    ["other numbers", file("--1:a"), 'got "--1"'],
    ["other numbers", file(".:a"), 'got "."'],
    ["other numbers", file("infinit:a"), 'got "infinit"'],
    [
      "lengths",
      file("1,2:a\n1:a", { equalLength: "true" }),
      "2 values in channel 0 (@equalLength true) in line 8, got 1",
    ],
    ["lengths", file("1,2:1:a", { ...many, equalLength: "true" }), "2 values in channel 1 (@equalLength true)"],
    ["lengths", file("1,2:a", { equalLength: "true", seriesLength: "3" }), "expected 3 values in channel 0"],
    ["stamps", file("(0,1):a"), 'got "(0"; a file with time stamps says @timeStamps true'],
    ["no stamps", file("1,2:a", stamped), "(stamp,value) at (t, channel) = (0, 0), the stamp a number or a date,"],
    ["stamps", file("(0,1),:a", stamped), 'at (t, channel) = (1, 0), the stamp a number or a date, in line 6, got ""'],
    ["stamps", file("(0,1),(1,x):a", stamped), 'got "(1,x)"'],
    ["stamps", file("(0,1)(1,2):a", stamped), 'got "(0,1)(1,2)"'],
    ["stamps", file("(0,1,2):a", stamped), 'got "(0,1,2)"'],
    ["stamps", file("(?,1):a", stamped), 'got "(?,1)"'],
    ["dates", file("(2023-02-29,1):a", stamped), 'got "(2023-02-29,1)"'],
    ["dates", file("(2023-02-28 24:00:00,1):a", stamped), 'got "(2023-02-28 24:00:00,1)"'],
    ["dates", file("(28.2.2023,1):a", stamped), 'got "(28.2.2023,1)"'],
    ["open brackets", file("(0,1:a", stamped), 'channels and a class after ":" in line 6'],
  ];
  for (const [what, text, message] of table) {
    const error = assertThrows(() => readUea(text), SyntaxError, message, what);
    assert(error.message.startsWith("Cannot read .ts: expected ") && !error.message.endsWith("."), error.message);
  }
});

Deno.test("readUea() takes text only, and says how to decode bytes", () => {
  for (const wrong of [new Uint8Array(3), undefined, null, 7]) {
    assertThrows(() => readUea(wrong as never), TypeError, "Cannot read .ts: expected the text of a file as a string");
  }
});

Deno.test("readUea() refuses or reads every damaged file, and fails with nothing but a SyntaxError", () => {
  const tags = { univariate: "false", dimensions: "2", equalLength: "true", seriesLength: "2" };
  const files = [
    file("1.5,-2e3:?,4:a\n1,2:3,4:b\n", tags),
    file("(2020-01-01 00:00:00,1),(5,2):b\n", { timeStamps: "true" }),
    file("1:2.5", { classLabel: "", targetLabel: "true" }),
  ];
  let refused = 0;
  for (const text of files) {
    const damaged = [...text].flatMap((_, at) => [
      text.slice(0, at),
      ...["", ":", ",", "(", ")", "@", "\n", "?", "x", "0"].map((char) =>
        text.slice(0, at) + char + text.slice(at + 1)
      ),
    ]);
    for (const broken of damaged) {
      try {
        for (const { data, shape } of readUea(broken).cases) assertEquals(data.length, shape[0]! * shape[1]!, broken);
      } catch (error) {
        assert(error instanceof SyntaxError, `${broken}: ${error}`);
        assert(error.message.startsWith("Cannot read .ts: ") && !error.message.endsWith("."), error.message);
        refused++;
      }
    }
  }
  assert(refused > 1000, `only ${refused} were refused`);
});
