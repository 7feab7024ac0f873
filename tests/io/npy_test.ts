import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { type HostArray, type HostTensor, readNpy, writeNpy } from "../../src/io/mod.ts";
import golden from "../golden/io/npy.json" with { type: "json" };
import { assertSurvivesDamage, assertTensor, concatBytes, type Expectation, fromBase64 } from "./helpers.ts";

const files = golden.read as Record<string, Expectation & { file: string }>;
const file = (name: string): Uint8Array => fromBase64(files[name]!.file);

/** A .npy file of version 1.0 with this header as it stands. */
function npy(header: string, data: ArrayLike<number> = []): Uint8Array {
  return concatBytes("\x93NUMPY\x01\x00", [header.length & 0xff, header.length >> 8], header, data);
}

const f4 = (shape: string): string => `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`;
const typed = (descr: string): string => `{'descr': ${descr}, 'fortran_order': False, 'shape': (2,), }`;

Deno.test("readNpy() reads what NumPy writes", () => {
  for (const [name, expected] of Object.entries(files)) assertTensor(readNpy(file(name)), expected, name);
});

Deno.test("writeNpy() writes the bytes of numpy.save", () => {
  const plain = ["<f4", "<f8", "<i4", "<u4", "scalar", "one element", "empty", "extremes <f4", "extremes <u4"];
  for (const name of plain) assertEquals(writeNpy(readNpy(file(name))), file(name), name);
});

Deno.test("writeNpy() and readNpy() are inverse for every dtype and rank", () => {
  const arrays: HostArray[] = [
    new Float32Array([1.5, -0, NaN, Infinity, 1e-45, 3]),
    new Float64Array([1 / 3, -0, NaN, -Infinity, 5e-324, 3]),
    new Int32Array([0, -1, 2147483647, -2147483648, 4, 5]),
    new Uint32Array([0, 1, 4294967295, 3, 4, 5]),
  ];
  for (const data of arrays) {
    for (const shape of [[6], [2, 3], [3, 1, 2], [1, 1, 6, 1, 1]]) {
      assertEquals(readNpy(writeNpy({ data, shape })), { data, shape });
    }
    assertEquals(readNpy(writeNpy({ data: data.slice(0, 1), shape: [] })), { data: data.slice(0, 1), shape: [] });
    assertEquals(readNpy(writeNpy({ data: data.slice(0, 0), shape: [4, 0] })), {
      data: data.slice(0, 0),
      shape: [4, 0],
    });
  }
  const part = new Float64Array([9, 1, 2, 9]).subarray(1, 3);
  assertEquals(readNpy(writeNpy({ data: part, shape: [2] })).data, new Float64Array([1, 2]));
});

Deno.test("readNpy() copies: from any offset, from a Buffer, and without keeping the file", () => {
  for (const name of ["<f8", ">f8", "<i8"]) {
    for (const offset of [1, 2, 3, 5]) {
      const moved = concatBytes(new Uint8Array(offset), file(name), [1, 2, 3]).subarray(offset, -3);
      assertTensor(readNpy(moved), files[name]!, `${name} at ${offset}`);
    }
    assertTensor(readNpy(Buffer.from(file(name))), files[name]!, `${name} in a Buffer`);
    const bytes = file(name);
    const { data } = readNpy(bytes);
    bytes.fill(0xff);
    assertTensor({ data, shape: [2, 3] }, files[name]!, `${name} after a change of the file`);
    assertEquals(data.buffer.byteLength, data.byteLength);
  }
});

Deno.test("readNpy() reads what Python's literal allows", () => {
  const data = new Uint8Array(8);
  const headers = [
    "{'descr':'<f4','fortran_order':False,'shape':(2,)}",
    '{"shape": (2,), "fortran_order": False, "descr": "<f4"}   \n',
    " { 'fortran_order' : False , 'descr' : '<f4' , 'shape' : ( 2 , 1 , ) , } \n",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }",
    "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }",
  ];
  for (const header of headers) assertEquals(readNpy(npy(header, data)).data, new Float32Array(2), header);
  assertEquals(readNpy(npy(typed("'<b1'"), [1, 0])).data, new Uint32Array([1, 0]));
  assertEquals(readNpy(npy(f4("(9007199254740991, 9007199254740991, 0)"))).data.length, 0);
});

Deno.test("readNpy() refuses malformed files", () => {
  const refused = golden.refused;
  const table: [what: string, bytes: Uint8Array, fragment: string][] = [
    ["nothing", new Uint8Array(0), 'expected the signature 147 78 85 77 80 89 ("\\x93NUMPY"), got an empty file'],
    ["a short signature", concatBytes("\x93NUM"), "got 147 78 85 77"],
    ["another signature", concatBytes("PK\x03\x04 and so on"), "got 80 75 3 4 32 97"],
    ["no version", concatBytes("\x93NUMPY"), "expected 12 bytes before the header, got 6"],
    ["version 0", concatBytes("\x93NUMPY\x00\x00", new Uint8Array(200)), "expected version 1.0, 2.0 or 3.0, got 0.0"],
    ["version 4", concatBytes("\x93NUMPY\x04\x00", new Uint8Array(200)), "got 4.0"],
    ["version 1.1", concatBytes("\x93NUMPY\x01\x01", new Uint8Array(200)), "got 1.1"],
    ["no header length", concatBytes("\x93NUMPY\x02\x00\x01"), "expected 12 bytes before the header, got 9"],
    ["a cut header", file("<f4").slice(0, 50), "expected 118 bytes of header, got 40"],
    ["a huge header", concatBytes("\x93NUMPY\x02\x00\xff\xff\xff\xff{"), "expected 4294967295 bytes of header, got 1"],
    ["bad UTF-8", concatBytes("\x93NUMPY\x03\x00\x02\x00\x00\x00\xff\xff"), "expected a header in UTF-8"],
    ["cut data", npy(f4("(3, 4)"), new Uint8Array(40)), "expected 48 bytes of data for (3, 4) <f4, got 40"],
    ["trailing bytes", npy(f4("(2,)"), new Uint8Array(9)), "expected 8 bytes of data for (2,) <f4, got 9"],
    ["a huge shape", npy(f4("(9007199254740991, 9007199254740991)")), "got 0"],
    ["a larger axis", npy(f4("(9007199254740992,)")), "axis 0 of the shape must be a whole number from 0 to 2^53 - 1"],
    ["a negative axis", npy(f4("(2, -3)"), new Uint8Array(24)), "axis 1 of the shape must be a whole number from 0"],
    ["a negative zero", npy(f4("(-0,)")), "got -0"],
    ["a fraction", npy(f4("(2.5,)")), 'expected a whole number at character 51 of the header, got "2.5,), }"'],
    ["hexadecimal", npy(f4("(0x2,)")), "expected a whole number"],
    ["leading zeros", npy(f4("(02,)")), "expected a whole number"],
    ["an axis in words", npy(f4("(two,)")), "expected a whole number"],
    ["a list", npy(f4("[2]")), 'expected a tuple of whole numbers at character 50 of the header, got "[2], }"'],
    ["a number", npy(f4("2")), "expected a tuple of whole numbers"],
    ["a number in brackets", npy(f4("(2)")), 'expected "," at character'],
    ["a lone comma", npy(f4("(,)")), "expected a whole number"],
    ["two commas", npy(f4("(2,,)")), "expected a whole number"],
    ["no comma", npy(f4("(2 3)")), 'expected "," or ")"'],
    ["an open tuple", npy(f4("(2, ")), "expected a whole number"],
    ["no dict", npy("[1, 2]"), 'expected a Python dict at character 0 of the header, got "[1, 2]"'],
    ["an empty header", npy(""), "expected a Python dict at character 0 of the header, got its end"],
    ["an empty dict", npy("{}"), "got none named descr, fortran_order, shape"],
    ["no descr", npy("{'fortran_order': False, 'shape': ()}"), "got none named descr"],
    ["no order", npy("{'descr': '<f4', 'shape': ()}"), "got none named fortran_order"],
    ["another key", npy("{'descr': '<f4', 'colour': 1}"), 'got "colour"'],
    ["a prototype's key", npy("{'toString': 1}"), 'got "toString"'],
    ["a repeated key", npy("{'descr': '<f4', 'descr': '<f8'}"), 'expected the key "descr" once, got it twice'],
    ["a key without quotes", npy("{descr: '<f4'}"), "expected a key"],
    ["a key without a colon", npy("{'descr' '<f4'}"), 'expected ":"'],
    ["an open dict", npy(f4("()").slice(0, -1), new Uint8Array(4)), "expected a key at character"],
    ["an open string", npy("{'descr': '<f4}"), "expected a type such as '<f4'"],
    ["an escape", npy("{'descr': '\\x3cf4'}"), "expected a type such as '<f4'"],
    ["something behind", npy(f4("()") + "; import os", new Uint8Array(4)), "expected nothing after the dict"],
    ["no comma between keys", npy("{'descr': '<f4' 'shape': ()}"), 'expected "," or "}"'],
    ["an order in numbers", npy("{'fortran_order': 0}"), "expected True or False"],
    ["an order in JavaScript", npy("{'fortran_order': false}"), "expected True or False"],
    ["an order with a tail", npy("{'fortran_order': Falsehood}"), "expected True or False"],
    ["an unknown type", npy(typed("'<g4'")), 'got "<g4"'],
    ["no byte order", npy(typed("'f4'")), 'expected a type made of "<" or ">" and one of f2, f4, f8'],
    ["native order", npy(typed("'=f4'")), 'got "=f4"'],
    ["no order of many bytes", npy(typed("'|f4'")), 'got "|f4"'],
    ["an empty type", npy(typed("''")), 'got ""'],
    ["a prototype's type", npy(typed("'<constructor'")), 'got "<constructor"'],
    ["a long double", npy(typed("'<f16'")), 'floats of 128 bits; save array.astype("float64")'],
    ["a boolean of 2", npy(typed("'|b1'"), [1, 2]), "element 1 must be a boolean, 0 or 1, got 2"],
    ["objects", fromBase64(refused.objects), 'got "|O": Python objects; save numbers instead'],
    ["strings", fromBase64(refused.strings), 'got "<U2": strings; save whole numbers'],
    ["bytes", fromBase64(refused.bytes), 'got "|S2": byte strings'],
    ["complex", fromBase64(refused.complex), 'got "<c16": complex numbers; save the real and the imaginary part'],
    ["structured", fromBase64(refused.structured), "structured arrays are not supported; save each field"],
    ["dates", fromBase64(refused.dates), 'got "<M8[D]": dates; save numbers'],
    ["durations", fromBase64(refused.durations), 'got "<m8[s]": durations; save numbers'],
    ["raw bytes", fromBase64(refused.raw), 'got "|V2": raw bytes'],
    ["u8", fromBase64(refused.u8), 'unsigned integers of 64 bits; save array.astype("uint32")'],
    ["a large i8", fromBase64(refused["large i8"]), "element 2 must fit a 32-bit integer, got 2147483648"],
    ["a small i8", fromBase64(refused["small i8"]), "element 0 must fit a 32-bit integer, got -1099511627776"],
  ];
  for (const [what, bytes, fragment] of table) {
    const error = assertThrows(() => readNpy(bytes), SyntaxError, fragment, what);
    assert(error.message.startsWith("Cannot read .npy: ") && !error.message.endsWith("."), error.message);
  }
});

Deno.test("readNpy() and writeNpy() refuse wrong arguments with a TypeError", () => {
  const notBytes: [bytes: unknown, got: string][] = [[new ArrayBuffer(8), "ArrayBuffer"], ["x", "String"], [
    null,
    "Null",
  ], [[1], "Array"]];
  for (const [bytes, got] of notBytes) {
    assertThrows(
      () => readNpy(bytes as Uint8Array),
      TypeError,
      `expected the bytes of a file as a Uint8Array, got ${got}`,
    );
  }
  const data = new Float32Array(6);
  const table: [value: unknown, fragment: string][] = [
    [undefined, "the value must be { data, shape }, got Undefined"],
    [data, "the value must be { data, shape }, got Float32Array"],
    [{ data: [1, 2], shape: [2] }, "the data of the value must be a Float32Array, Float64Array"],
    [{ data: new Uint8Array(2), shape: [2] }, "got Uint8Array"],
    [{ data }, "the shape of the value must be a list of whole numbers of at least 0, got Undefined"],
    [{ data, shape: 6 }, "got Number"],
    [{ data, shape: [-6] }, "got (-6,)"],
    [{ data, shape: [1.5, 4] }, "got (1.5, 4)"],
    [{ data, shape: ["6"] }, "the shape of the value must be a list of whole numbers"],
    [{ data, shape: [2, 2] }, "the value must have 4 elements for its shape (2, 2), got 6"],
    [{ data, shape: [] }, "the value must have 1 elements for its shape (), got 6"],
    [{ data: data.slice(0, 1), shape: new Array(65).fill(1) }, "NumPy reads at most 64 axes, got 65"],
  ];
  for (const [value, fragment] of table) assertThrows(() => writeNpy(value as HostTensor), TypeError, fragment);
});

Deno.test("readNpy() survives damage at every byte", () => {
  for (const name of ["<f4", ">i8", ">i2 Fortran", "|b1", "version 3"]) {
    assertSurvivesDamage(file(name), (bytes) => [readNpy(bytes)]);
  }
});
