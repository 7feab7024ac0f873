/** Handwritten digits of 8 x 8 pixels, read pixel by pixel: a sequence of 64 steps each. */

import { type HostTensor, readNpy } from "@cervid/cervid";
import { createRandom } from "../../src/core/random.ts";

const DATA = new URL("../data/", import.meta.url);
/** The brightest pixel of the file. */
const WHITE = 16;

/** Images as sequences, with what they show. */
export interface Digits {
  /** `(N, 64, 1)`: pixels in reading order, from 0 to 1. */
  readonly xs: HostTensor;
  /** `(N)`: the digits 0 to 9. */
  readonly labels: Uint32Array<ArrayBuffer>;
}

/** Digits to train with, and others to test with. */
export interface SplitDigits {
  readonly train: Digits;
  readonly test: Digits;
}

/** All 1797 digits, in the order of the file. */
export async function readDigits(): Promise<Digits> {
  const images = readNpy(await Deno.readFile(new URL("digits_8x8_images.npy", DATA)));
  const labels = readNpy(await Deno.readFile(new URL("digits_8x8_labels.npy", DATA)));
  const [count = 0, pixels = 0] = images.shape;
  return {
    xs: { data: Float32Array.from(images.data, (value) => value / WHITE), shape: [count, pixels, 1] },
    labels: Uint32Array.from(labels.data),
  };
}

/** The digits at `indices`, in that order: also for drawing minibatches. */
export function pickDigits({ xs, labels }: Digits, indices: ArrayLike<number>): Digits {
  const [, pixels = 0] = xs.shape;
  const data = new Float32Array(indices.length * pixels);
  const picked = new Uint32Array(indices.length);
  for (let k = 0; k < indices.length; k++) {
    const index = indices[k]!;
    data.set(xs.data.subarray(index * pixels, (index + 1) * pixels), k * pixels);
    picked[k] = labels[index]!;
  }
  return { xs: { data, shape: [indices.length, pixels, 1] }, labels: picked };
}

/**
 * Splits at random, but always alike for one seed: of each digit's images the same share, rounded, is held out. Both parts
 * keep the order of the file; the same people have written both.
 */
export function splitDigits(digits: Digits, share: number = 0.2, seed: number = 0): SplitDigits {
  const random = createRandom(seed);
  const held = new Set<number>();
  for (let digit = 0; digit < 10; digit++) {
    const own = [...digits.labels.keys()].filter((index) => digits.labels[index] === digit);
    const wanted = Math.round(share * own.length);
    // The first steps of Fisher and Yates's shuffle.
    for (let k = 0; k < wanted; k++) {
      const other = k + Math.floor((own.length - k) * random.uniform());
      [own[k], own[other]] = [own[other]!, own[k]!];
      held.add(own[k]!);
    }
  }
  const part = (wanted: boolean): Digits =>
    pickDigits(digits, [...digits.labels.keys()].filter((index) => held.has(index) === wanted));
  return { train: part(false), test: part(true) };
}
