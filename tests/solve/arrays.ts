import { assert, assertEquals } from "@std/assert";
import { type HostTensor, readNpy, readSafetensors, type Shape, type Tensor, toHost } from "../../mod.ts";

/** A host tensor in double precision. */
export function host(values: Iterable<number>, shape: Shape): HostTensor {
  return { data: Float64Array.from(values), shape };
}

/** Reproducible numbers in [-bound, bound], each a short binary fraction: f32 and f64 devices get the same problem. */
export function numbers(count: number, bound = 1, seed = 1): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(bound * ((state >>> 8) / 2 ** 23 - 1));
  });
}

/** The elements of a device tensor in double precision. */
export async function read(tensor: Tensor): Promise<Float64Array> {
  return Float64Array.from((await toHost(tensor)).data);
}

/** Row `b` of the first axis. */
export function rowOf({ data, shape }: HostTensor, b: number): HostTensor {
  const length = data.length / shape[0]!;
  return { data: data.slice(b * length, (b + 1) * length), shape: shape.slice(1) };
}

/** The arrays of tests/golden/`path`.safetensors. */
export function goldenTensors(path: string): Record<string, HostTensor> {
  return readSafetensors(Deno.readFileSync(new URL(`../golden/${path}.safetensors`, import.meta.url))).tensors;
}

/** The array of tests/golden/`path`.npy. */
export function goldenArray(path: string): HostTensor {
  return readNpy(Deno.readFileSync(new URL(`../golden/${path}.npy`, import.meta.url)));
}

/** The largest |actual - expected|; Infinity where either is not finite and the other differs. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertEquals(actual.length, expected.length, "lengths");
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    const error = Math.abs(actual[i]! - expected[i]!);
    worst = Math.max(worst, Number.isNaN(error) ? Infinity : error);
  }
  return worst;
}

/** Fails unless every |actual - expected| is at most `tolerance`. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  const error = largestError(actual, expected);
  assert(error <= tolerance, `${what}: off by ${error}, allowed are ${tolerance}`);
}

/** Fails unless both are the same numbers, bit for bit but for the sign of zero and the payload of NaN. */
export function assertSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assertEquals(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const same = actual[i] === expected[i] || Object.is(actual[i], expected[i]);
    assert(same, `${what}: element ${i} is ${actual[i]}, expected ${expected[i]}`);
  }
}

/** The three forms of a product. */
export const MATMUL_FORMS = ["ab", "abt", "atb"] as const;

/** The transpose of a row-major matrix. */
export function flipped(matrix: Float64Array, rows: number, columns: number): Float64Array {
  return matrix.map((_, e) => matrix[(e % rows) * columns + Math.floor(e / rows)]!);
}

/** `a b` of row-major matrices, by three loops. */
export function plainProduct(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  rows: number,
  inner: number,
  columns: number,
): number[] {
  return Array.from({ length: rows * columns }, (_, e) => {
    const [i, j] = [Math.floor(e / columns), e % columns];
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a[i * inner + k]! * b[k * columns + j]!;
    return sum;
  });
}
