import { assertEquals, assertThrows } from "@std/assert";
import {
  formatJsonLine,
  formatProgress,
  scalarsOf,
  writeTensorboardHeader,
  writeTensorboardScalars,
} from "../../mod.ts";
import { crc32c, maskedCrc32c } from "../../src/train/log_crc32c.ts";

const hex = (bytes: Uint8Array): string => bytes.toHex();

Deno.test("crc32c: the known answers of RFC 3720, and the check of the polynomial", () => {
  const cases: [bytes: ArrayLike<number>, crc: number][] = [
    [[], 0],
    [new TextEncoder().encode("123456789"), 0xe3069283],
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ];
  for (const [bytes, crc] of cases) assertEquals(crc32c(Uint8Array.from(bytes)), crc);
  // Rotated by 15 bits to the right, plus 0xa282ead8.
  const rotated = (0x8a9136aan >> 15n) | ((0x8a9136aan << 17n) & 0xffffffffn);
  assertEquals(maskedCrc32c(new Uint8Array(32)), Number((rotated + 0xa282ead8n) & 0xffffffffn));
});

// Written by TensorBoard 2.21.0, which has also read what this library writes:
//   from tensorboard.summary.writer.record_writer import RecordWriter
//   from tensorboard.compat.proto.event_pb2 import Event; from tensorboard.compat.proto.summary_pb2 import Summary
//   RecordWriter(f).write(Event(wall_time=1700000000.25, file_version="brain.Event:2").SerializeToString())
//   value = lambda tag, x: Summary.Value(tag=tag, simple_value=x)
//   RecordWriter(f).write(Event(wall_time=1700000001.5, step=300, summary=Summary(value=[value("loss", 0.1),
//     value("digits/Genauigkeit für zwölf", float("nan"))])).SerializeToString())
//   RecordWriter(f).write(Event(wall_time=0.5, step=2**40 + 5, summary=Summary(value=[value("x", -1e-3)])).SerializeToString())
const GOLDEN = [
  "1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9",
  "420000000000000079f36eaa0900006040fc54d94110ac022a340a0b0a046c6f737315cdcccc3d0a250a1e6469676974732f47656e617569676b6569742066c3bc72207a77c3b66c66150000c07f792ad83e",
  "1c00000000000000c8c1951d09000000000000e03f108580808080202a0a0a080a0178156f1283baa40074fd",
] as const;

Deno.test("TensorBoard: the bytes that its own writer makes", () => {
  assertEquals(hex(writeTensorboardHeader(1700000000.25)), GOLDEN[0]);
  const scalars = { "loss": 0.1, "digits/Genauigkeit für zwölf": NaN };
  assertEquals(hex(writeTensorboardScalars(300, scalars, 1700000001.5)), GOLDEN[1]);
  assertEquals(hex(writeTensorboardScalars(2 ** 40 + 5, { x: -1e-3 }, 0.5)), GOLDEN[2]);
});

Deno.test("TensorBoard: what does not fit", () => {
  assertThrows(() => writeTensorboardScalars(-1, {}), RangeError, "step must be a whole number of at least 0, got -1");
  assertThrows(() => writeTensorboardScalars(0.5, {}), RangeError, "got 0.5");
  assertThrows(() => writeTensorboardScalars(1, { a: "1" as unknown as number }), TypeError, '"a" must be a number');
  assertThrows(() => writeTensorboardScalars(1, [] as never), TypeError, "scalars must be a record");
  assertThrows(() => writeTensorboardHeader(NaN), RangeError, "wallTime must be seconds since 1970, got NaN");
});

Deno.test("the line of progress: what is known, in the order of interest", () => {
  const cases: [Parameters<typeof formatProgress>, string][] = [
    [[{ step: 7, loss: 0.123456 }], "step 7  loss 0.1235"],
    [[{ step: 7, loss: 12345.678, sweeps: 0 }], "step 7  loss 12350"],
    [[{ step: 7, loss: 1.23456e-5, sweeps: 1 }], "step 7  loss 1.23e-5  1 sweep"],
    [[{ step: 7, loss: NaN, sweeps: 4.5, milliseconds: 250 }], "step 7  loss NaN  4.5 sweeps  4 it/s"],
    [[{ step: 7, loss: 0, milliseconds: 250 }, { steps: 1000 }], "   7/1000  loss 0  4 it/s  4:08 left"],
    [[{ step: 7, loss: -2, milliseconds: 4e4 }, { steps: 1000 }], "   7/1000  loss -2  0.025 it/s  11:02:00 left"],
    [[{ step: 9, loss: 1, milliseconds: 1 }, { steps: 9 }], "9/9  loss 1  1000 it/s"],
    [
      [{ step: 9, loss: 1, evaluation: { accuracy: 0.96875, rmse: 1e-4 } }],
      "step 9  loss 1  accuracy 0.9688  rmse 1.00e-4",
    ],
  ];
  for (const [args, line] of cases) assertEquals(formatProgress(...args), line);
});

Deno.test("JSON lines: one object a line, numbers that JSON has not as texts", () => {
  const record = { step: 3, loss: Infinity, sweeps: 2.5, milliseconds: 1e-7, evaluation: { "a b": NaN, c: -0.5 } };
  const line = formatJsonLine(record);
  assertEquals(line.indexOf("\n"), line.length - 1);
  assertEquals(JSON.parse(line), { step: 3, loss: "Infinity", sweeps: 2.5, milliseconds: 1e-7, "a b": "NaN", c: -0.5 });
  assertEquals(formatJsonLine({ step: 3, loss: 1 }), '{"step":3,"loss":1}\n');
});

Deno.test("the numbers of a step: each under a name of its own", () => {
  assertEquals(scalarsOf({ step: 1, loss: 2, evaluation: { accuracy: 1 } }), { loss: 2, accuracy: 1 });
  assertEquals(scalarsOf({ step: 1, loss: 2 }, { step: true }), { step: 1, loss: 2 });
  const twice = { step: 1, loss: 2, evaluation: { loss: 3 } };
  assertThrows(
    () => scalarsOf(twice),
    TypeError,
    'Cannot log the step: expected numbers, each under a name of its own, got "loss" twice',
  );
  const text = { step: 1, loss: 2, evaluation: { a: "b" as unknown as number } };
  assertThrows(() => scalarsOf(text), TypeError, 'got "b" for "a"');
});
