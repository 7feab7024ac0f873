// The digits of the examples, against the bytes of their files and counts made with NumPy.

import { assert, assertEquals } from "@std/assert";
import { pickDigits, readDigits, splitDigits } from "../../examples/lib/digits.ts";

const digits = await readDigits();

Deno.test("digits: 1797 sequences of 64 pixels from 0 to 1, in the order of the file", async () => {
  const { xs: { data, shape }, labels } = digits;
  assertEquals(shape, [1797, 64, 1]);
  assert(data instanceof Float32Array);
  // numpy: images.sum(), labels[:12], bincount(labels)
  assertEquals(16 * data.reduce((sum, value) => sum + value, 0), 561718);
  assertEquals([...labels.subarray(0, 12)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
  const counts = Array.from({ length: 10 }, (_, digit) => labels.filter((label) => label === digit).length);
  assertEquals(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
  // The upper two rows of the first image, a zero, in reading order.
  assertEquals(
    Array.from(data.subarray(0, 16), (value) => value * 16),
    [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0],
  );
  // The file holds one byte a pixel after its header, so that its end is known without a reader.
  const bytes = await Deno.readFile(new URL("../../examples/data/digits_8x8_images.npy", import.meta.url));
  const pixels = bytes.subarray(bytes.length - 1797 * 64);
  assert(data.every((value, i) => value === pixels[i]! / 16));
});

Deno.test("digits: a fifth of each digit is held out, and the parts make up the whole", () => {
  const { train, test } = splitDigits(digits);
  assertEquals([train.xs.shape, test.xs.shape], [[1438, 64, 1], [359, 64, 1]]);
  for (let digit = 0; digit < 10; digit++) {
    const count = (labels: Uint32Array): number => labels.filter((label) => label === digit).length;
    assertEquals(count(test.labels), Math.round(count(digits.labels) / 5), `held out of ${digit}`);
  }
  const list = ({ xs, labels }: typeof train): string[] =>
    Array.from(labels, (label, k) => `${label}: ${xs.data.subarray(64 * k, 64 * (k + 1))}`);
  // Each part in the order of the file, so that merging them by that order gives the file.
  const [trained, held] = [list(train), list(test)];
  const whole = list(digits);
  const order = [trained[Symbol.iterator](), held[Symbol.iterator]()];
  const next = order.map((part) => part.next());
  for (const image of whole) {
    const from = next.findIndex(({ value }) => value === image);
    assert(from >= 0, "an image is in neither part, or out of order");
    next[from] = order[from]!.next();
  }
  assert(next.every(({ done }) => done));
});

Deno.test("digits: the split is that of its seed and share", () => {
  assertEquals(splitDigits(digits), splitDigits(digits, 0.2, 0));
  const other = splitDigits(digits, 0.2, 1);
  assertEquals(other.test.labels.length, 359);
  assert(other.test.xs.data.some((value, i) => value !== splitDigits(digits).test.xs.data[i]));
  assertEquals(splitDigits(digits, 0).test.xs.shape, [0, 64, 1]);
  assertEquals(splitDigits(digits, 1).test, digits);
  // Where in the file the held out ones stand must not follow from the order: with 36 of about 180 of each digit held out,
  // their mean position has a standard deviation of 520 / sqrt(359) = 27 about 898.
  const held = new Set(
    Array.from({ length: 359 }, (_, k) => String(other.test.xs.data.subarray(64 * k, 64 * (k + 1)))),
  );
  let total = 0;
  for (let k = 0; k < 1797; k++) if (held.has(String(digits.xs.data.subarray(64 * k, 64 * (k + 1))))) total += k;
  assert(Math.abs(total / 359 - 898) < 4 * 27, `mean position ${total / 359}`);
});

Deno.test("digits: a minibatch is picked in the order of its indices, with repetitions", () => {
  const { xs, labels } = pickDigits(digits, [3, 0, 3]);
  assertEquals([xs.shape, [...labels]], [[3, 64, 1], [3, 0, 3]]);
  assertEquals(xs.data.subarray(0, 64), digits.xs.data.subarray(192, 256));
  assertEquals(xs.data.subarray(64, 128), digits.xs.data.subarray(0, 64));
  assertEquals(xs.data.subarray(128), digits.xs.data.subarray(192, 256));
});
