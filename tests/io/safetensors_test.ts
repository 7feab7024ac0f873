import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { type HostTensor, readSafetensors, type Safetensors, writeSafetensors } from "../../src/io/mod.ts";
import golden from "../golden/io/safetensors.json" with { type: "json" };
import { assertSurvivesDamage, assertTensor, concatBytes, type Expectation, fromBase64 } from "./helpers.ts";

interface Case {
  file: string;
  metadata: Record<string, string>;
  tensors: Record<string, Expectation>;
}
const cases = golden as Record<string, Case>;

/** A file with this header, as it stands or as JSON, and `data` behind it. */
function file(header: unknown, data: ArrayLike<number> = []): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  return concatBytes(new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer), text, data);
}

const f32 = (begin: number, end: number): object => ({
  dtype: "F32",
  shape: [(end - begin) / 4],
  data_offsets: [begin, end],
});
const matrix = { data: new Float32Array([1, 2, 3, 4, 5, 6]), shape: [2, 3] };

function assertReads({ tensors, metadata }: Safetensors, expected: Case): void {
  assertEquals(Object.keys(tensors).sort(), Object.keys(expected.tensors).sort());
  for (const [name, tensor] of Object.entries(expected.tensors)) {
    assertTensor(Object.getOwnPropertyDescriptor(tensors, name)?.value, tensor, name);
  }
  assertEquals(metadata, expected.metadata);
}

Deno.test("readSafetensors() reads what the reference implementation writes", () => {
  for (const expected of Object.values(cases)) assertReads(readSafetensors(fromBase64(expected.file)), expected);
});

Deno.test("writeSafetensors() writes the bytes of the reference implementation", () => {
  for (const name of ["numpy", "nothing"]) {
    const bytes = fromBase64(cases[name]!.file);
    const { tensors, metadata } = readSafetensors(bytes);
    assertEquals(writeSafetensors(tensors, metadata), bytes, name);
  }
});

Deno.test("readSafetensors() copies: from any offset, from a Buffer, and without keeping the file", () => {
  const expected = cases.torch!;
  const bytes = fromBase64(expected.file);
  for (const offset of [1, 2, 3, 5]) {
    assertReads(readSafetensors(concatBytes(new Uint8Array(offset), bytes).subarray(offset)), expected);
  }
  assertReads(readSafetensors(Buffer.from(bytes)), expected);
  const read = readSafetensors(bytes);
  bytes.fill(0xff);
  assertReads(read, expected);
});

Deno.test("readSafetensors() reads unaligned offsets and headers of any length", () => {
  const data = concatBytes([7], new Uint8Array(new Float64Array([0.1, -2]).buffer), new Uint8Array(4));
  for (const padding of ["", " ", "   \n\t"]) {
    const header = JSON.stringify({
      wide: { dtype: "F64", shape: [2], data_offsets: [1, 17] },
      byte: { dtype: "U8", shape: [], data_offsets: [0, 1] },
      nothing: { dtype: "I64", shape: [0, 9], data_offsets: [17, 17] },
      last: { dtype: "BF16", shape: [2, 1], data_offsets: [17, 21] },
    });
    const { tensors } = readSafetensors(file(header + padding, data));
    assertEquals(tensors.wide, { data: new Float64Array([0.1, -2]), shape: [2] });
    assertEquals(tensors.byte, { data: new Uint32Array([7]), shape: [] });
    assertEquals(tensors.nothing, { data: new Int32Array(0), shape: [0, 9] });
    assertEquals(tensors.last, { data: new Float32Array(2), shape: [2, 1] });
  }
});

Deno.test("names of prototypes are names like any other", () => {
  const names = ["__proto__", "constructor", "toString", "", "hasOwnProperty", "0"];
  const tensors = Object.fromEntries(names.map((name, i) => [name, { data: new Uint32Array([i]), shape: [] }]));
  const metadata = Object.fromEntries(names.map((name) => [name, `text of ${name}`]));
  const read = readSafetensors(writeSafetensors(tensors, metadata));
  assertEquals(Object.getPrototypeOf(read.tensors), Object.prototype);
  for (const [i, name] of names.entries()) {
    const tensor: HostTensor = Object.getOwnPropertyDescriptor(read.tensors, name)?.value;
    assertEquals(tensor.data[0], i, name);
    assertEquals(Object.getOwnPropertyDescriptor(read.metadata, name)?.value, `text of ${name}`);
  }
  assertEquals(({} as Record<string, unknown>)["data"], undefined);
});

Deno.test("readSafetensors() refuses malformed files", () => {
  const good = file({ a: f32(0, 8) }, new Uint8Array(8));
  const entry = (changes: object): Uint8Array => file({ a: { ...f32(0, 8), ...changes } }, new Uint8Array(8));
  const large = new Uint8Array(new BigInt64Array([1n, -(2n ** 31n) - 1n]).buffer);
  const table: [what: string, bytes: Uint8Array, fragment: string][] = [
    ["nothing", new Uint8Array(0), "expected 8 bytes for the length of the header, got 0"],
    ["a cut length", good.slice(0, 7), "expected 8 bytes for the length of the header, got 7"],
    ["a cut header", good.slice(0, 20), "bytes of header, got 12"],
    ["cut data", good.slice(0, -1), 'tensor "a" must end within 7 bytes of data, got 8'],
    ["trailing bytes", concatBytes(good, [0]), "expected 8 bytes of data, got 9"],
    ["data without tensors", file("{}", [1]), "expected 0 bytes of data, got 1"],
    [
      "a huge length",
      concatBytes(new Uint8Array(8).fill(255), "{}"),
      "at most 100000000 bytes, got 18446744073709551615",
    ],
    ["a length above the limit", concatBytes([1, 225, 245, 5, 0, 0, 0, 0], "{}"), "bytes, got 100000001"],
    ["an empty header", file(""), 'expected a header that starts with "{", got ""'],
    ["white space first", file(" {}"), 'starts with "{", got " {}"'],
    ["a byte order mark", file("\ufeff{}"), 'starts with "{"'],
    ["bad UTF-8", concatBytes([3, 0, 0, 0, 0, 0, 0, 0], '{"\xff'), "expected a header in UTF-8"],
    ["bad JSON", file("{'a': 1}"), "the header: expected JSON, got an error"],
    ["an open object", file('{"a": {'), "the header: expected JSON, got an error"],
    ["text behind", file("{} x"), "the header: expected JSON, got an error"],
    ["zeros behind", file("{}\0\0"), "the header: expected JSON, got an error"],
    ["a list", file("[]"), 'starts with "{", got "[]"'],
    ["a repeated name", file('{"a":{},"b":{"a":1},"a":{}}'), 'expected every name once, got "a" twice'],
    ["a repeated name, escaped", file('{"a\\"":1,"\\u0061\\"":1}'), 'expected every name once, got "a\\"" twice'],
    ["a repeated dtype", file('{"x":{"dtype":"F32","shape":[{}],"dtype":"F64"}}'), 'got "dtype" twice'],
    ["repeated metadata", file('{"__metadata__":{"k":"{,","k":""}}'), 'got "k" twice'],
    ["a repeated __proto__", file('{"__proto__":1,"__proto__":2}'), 'got "__proto__" twice'],
    ["metadata in a list", file({ __metadata__: [] }), "__metadata__ must be an object, got Array"],
    ["metadata null", file({ __metadata__: null }), "__metadata__ must be an object, got Null"],
    ["a number in the metadata", file({ __metadata__: { k: 1 } }), 'metadata "k" must be a string, got Number'],
    ["an object in the metadata", file({ __metadata__: { k: {} } }), 'metadata "k" must be a string, got Object'],
    ["a number for a tensor", file({ a: 1 }), 'tensor "a" must be an object, got Number'],
    ["null for a tensor", file({ a: null }), 'tensor "a" must be an object, got Null'],
    ["no dtype", file({ a: { shape: [], data_offsets: [0, 0] } }), "dtype must be one of F32, F16, BF16"],
    ["an unknown dtype", entry({ dtype: "F8_E4M3" }), 'BOOL, U8, got "F8_E4M3"'],
    ["a dtype in lower case", entry({ dtype: "f32" }), 'got "f32"'],
    ["a dtype in a list", entry({ dtype: ["F32"] }), 'got ["F32"]'],
    ["a dtype in an object", entry({ dtype: { F32: 1 } }), "got Object"],
    ["a deep shape", file(`{"a":{"dtype":"F32","shape":${"[".repeat(1e6)}${"]".repeat(1e6)}}}`), "got Array"],
    ["no shape", entry({ shape: undefined }), "shape must be a list of whole numbers of at least 0, got nothing"],
    ["a negative axis", entry({ shape: [-2] }), "of at least 0, got [-2]"],
    ["a broken axis", entry({ shape: [2.5] }), "got [2.5]"],
    ["an axis in quotes", entry({ shape: ["2"] }), 'got ["2"]'],
    ["a huge axis", entry({ shape: [2 ** 53] }), "got [9007199254740992]"],
    ["an infinite axis", file('{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,0]}}'), "got [null]"],
    ["a shape in words", entry({ shape: "2" }), 'got "2"'],
    ["a huge product", entry({ shape: [2 ** 50, 2 ** 50] }), "got data_offsets for 8"],
    ["a wrong size", entry({ shape: [3] }), 'tensor "a": expected 12 bytes for (3,) F32, got data_offsets for 8'],
    ["no offsets", entry({ data_offsets: undefined }), "data_offsets must be [begin, end] with 0 <= begin <= end"],
    ["one offset", entry({ data_offsets: [8] }), "got [8]"],
    ["three offsets", entry({ data_offsets: [0, 8, 8] }), "got [0,8,8]"],
    ["falling offsets", entry({ data_offsets: [8, 0] }), "got [8,0]"],
    ["a negative offset", entry({ data_offsets: [-8, 0] }), "got [-8,0]"],
    ["a broken offset", entry({ data_offsets: [0.5, 8.5] }), "got [0.5,8.5]"],
    ["offsets outside", entry({ shape: [4], data_offsets: [0, 16] }), "must end within 8 bytes of data, got 16"],
    [
      "a hole at first",
      file({ a: f32(4, 8) }, new Uint8Array(8)),
      '"a" leaves a hole: expected it to begin at 0, got 4',
    ],
    ["a hole within", file({ a: f32(0, 4), b: f32(8, 12) }, new Uint8Array(12)), '"b" leaves a hole'],
    ["an overlap", file({ a: f32(0, 8), b: f32(4, 12) }, new Uint8Array(12)), '"b" overlaps another tensor'],
    ["the same data twice", file({ a: f32(0, 8), b: f32(0, 8) }, new Uint8Array(8)), '"b" overlaps another tensor'],
    [
      "a boolean of 2",
      file({ a: { dtype: "BOOL", shape: [2], data_offsets: [0, 2] } }, [1, 2]),
      'tensor "a": element 1',
    ],
    [
      "an I64 out of range",
      file({ a: { dtype: "I64", shape: [2], data_offsets: [0, 16] } }, large),
      'tensor "a": element 1 must fit a 32-bit integer, got -2147483649',
    ],
  ];
  for (const [what, bytes, fragment] of table) {
    const error = assertThrows(() => readSafetensors(bytes), SyntaxError, fragment, what);
    assert(error.message.startsWith("Cannot read safetensors: ") && !error.message.endsWith("."), error.message);
  }
});

Deno.test("readSafetensors() keeps messages short", () => {
  const name = "n".repeat(100_000);
  const bytes = file({ [name]: { ...f32(0, 4), shape: new Array(10_000).fill(-1) } });
  const { message } = assertThrows(() => readSafetensors(bytes), SyntaxError, "nnn…: shape must be");
  assert(message.length < 300, message);
});

Deno.test("writeSafetensors() refuses wrong arguments with a TypeError", () => {
  const data = new Float32Array(6);
  const table: [tensors: unknown, metadata: unknown, fragment: string][] = [
    [undefined, {}, "tensors must be a record, got Undefined"],
    [null, {}, "tensors must be a record, got Null"],
    [[matrix], {}, "tensors must be a record, got Array"],
    [new Map([["a", matrix]]), {}, "tensors must be a record, got Map"],
    [{ a: data }, {}, 'tensor "a" must be { data, shape }, got Float32Array'],
    [{ a: null }, {}, 'tensor "a" must be { data, shape }, got Null'],
    [{ a: { data: [1], shape: [1] } }, {}, 'the data of tensor "a" must be a Float32Array, Float64Array'],
    [{ a: { data: new Uint8Array(1), shape: [1] } }, {}, "got Uint8Array"],
    [{ a: { data } }, {}, 'the shape of tensor "a" must be a list of whole numbers of at least 0, got Undefined'],
    [{ a: { data, shape: [-6] } }, {}, "got (-6,)"],
    [{ a: { data, shape: [2, 2] } }, {}, 'tensor "a" must have 4 elements for its shape (2, 2), got 6'],
    [{ __metadata__: matrix }, {}, "no tensor can have the name __metadata__"],
    [{ "\ud800": matrix }, {}, "a tensor's name must be whole Unicode"],
    [{}, null, "metadata must be a record, got Null"],
    [{}, "text", "metadata must be a record, got String"],
    [{}, { k: 1 }, 'metadata "k" must be a string, got Number'],
    [{}, { "\udfff": "" }, "a name in the metadata must be whole Unicode"],
    [{}, { k: "\udfff" }, 'metadata "k" must be whole Unicode'],
  ];
  for (const [tensors, metadata, fragment] of table) {
    const wrong = [tensors, metadata] as Parameters<typeof writeSafetensors>;
    assertThrows(() => writeSafetensors(...wrong), TypeError, `Cannot write safetensors: `);
    assertThrows(() => writeSafetensors(...wrong), TypeError, fragment);
  }
  for (const bytes of [new ArrayBuffer(8), "{}", undefined, [8]]) {
    assertThrows(() => readSafetensors(bytes as unknown as Uint8Array), TypeError, "as a Uint8Array");
  }
});

Deno.test("readSafetensors() survives damage at every byte", () => {
  const read = (bytes: Uint8Array): HostTensor[] => Object.values(readSafetensors(bytes).tensors);
  for (const { file } of Object.values(cases)) assertSurvivesDamage(fromBase64(file), read);
});
