/**
 * The task of Martin & Cundy (ICLR 2018, arXiv 1709.04057), problem 2b of Hochreiter & Schmidhuber (1997): only the first
 * element of a sequence says which of two classes it is of, all others are noise.
 *
 *     x[0] = ±e_1, the sign at random;  x[t] = e_k, k uniform in 1 .. p, for t > 0;  the answer: the sign
 *
 * Sequences are made piece by piece: one of a million steps of 128 numbers is never in memory as a whole. Each sequence has
 * a random stream of its own, so that it is the same whatever the pieces and the batch.
 */

import type { HostTensor } from "@cervid/cervid";
import { createRandom, type Random } from "../../src/core/random.ts";

/** Which sequences, and how much of them at a time. */
export interface TaskOptions {
  /** T: steps of each sequence. */
  readonly time: number;
  /** p: numbers of each step; 128 in the paper. */
  readonly features?: number;
  /** B: sequences. */
  readonly batch: number;
  readonly seed?: number;
  /** W: steps of a piece; the last one may be shorter. All steps by default. */
  readonly piece?: number;
}

/** Steps `first` to `first + W` of all sequences. */
export interface Piece {
  readonly first: number;
  /** `(B, W, p)` */
  readonly xs: HostTensor;
}

/** The same as indices: the k of e_k, from 0. */
export interface SymbolPiece {
  readonly first: number;
  /** `(B, W)`: a Uint32Array */
  readonly symbols: HostTensor & { readonly data: Uint32Array<ArrayBuffer> };
}

/** The answers: the sign of x[0] of each sequence, `(B)`; 1 or -1. */
export function drawSigns({ batch, seed = 0 }: Pick<TaskOptions, "batch" | "seed">): Float32Array<ArrayBuffer> {
  return Float32Array.from(openStreams(batch, seed), ({ sign }) => sign);
}

/** The sequences as vectors, piece after piece. */
export function* pieces(options: TaskOptions): Generator<Piece> {
  const { features = 128 } = options;
  const signs = drawSigns(options);
  for (const { first, symbols } of symbolPieces(options)) {
    yield { first, xs: encodeSymbols(symbols, features, first === 0 ? signs : undefined) };
  }
}

/** The sequences as indices, piece after piece: a 128th of the memory, for a table of embeddings. */
export function* symbolPieces(options: TaskOptions): Generator<SymbolPiece> {
  const { time, features = 128, batch, seed = 0, piece = time } = options;
  for (const [name, value] of Object.entries({ time, features, batch, piece })) {
    const least = name === "time" || name === "batch" ? 0 : Math.min(1, time);
    if (!Number.isSafeInteger(value) || value < least) {
      throw new RangeError(`Cannot make the task: ${name} must be a whole number of at least ${least}, got ${value}`);
    }
  }
  const streams = openStreams(batch, seed);
  for (let first = 0; first < time; first += piece) {
    const width = Math.min(piece, time - first);
    const data = new Uint32Array(batch * width);
    for (const [b, { random }] of streams.entries()) {
      for (let t = first === 0 ? 1 : 0; t < width; t++) data[b * width + t] = Math.floor(features * random.uniform());
    }
    yield { first, symbols: { data, shape: [batch, width] } };
  }
}

/** Symbols `(B, W)` as one-hot vectors `(B, W, p)`; with `signs` the first of each sequence is multiplied by its own. */
export function encodeSymbols({ data, shape }: HostTensor, features: number, signs?: ArrayLike<number>): HostTensor {
  const [batch = 0, width = 0] = shape;
  const xs = new Float32Array(batch * width * features);
  for (let i = 0; i < data.length; i++) xs[i * features + data[i]!] = 1;
  if (signs !== undefined && width > 0) {
    for (let b = 0; b < batch; b++) xs[b * width * features + data[b * width]!]! *= signs[b]!;
  }
  return { data: xs, shape: [batch, width, features] };
}

/** A sequence's random numbers, of which the first has made its sign. */
interface Stream {
  readonly random: Random;
  readonly sign: 1 | -1;
}

function openStreams(batch: number, seed: number): Stream[] {
  return Array.from({ length: batch }, (_, b) => {
    // Seeds that differ in their high half, so that no sequence is that of another seed's batch.
    const random = createRandom(seed + b * 2 ** 32);
    return { random, sign: random.uniform() < 0.5 ? 1 : -1 };
  });
}
