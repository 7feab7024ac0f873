import type { HostArray } from "../../core/types.ts";
import type { MonoidKind, ScanJob } from "../engine.ts";
import { arrayOf } from "./memory.ts";

/** `y = A before + b` at one place: what distinguishes one monoid of affine maps from another. */
type Apply = (
  a: HostArray,
  ai: number,
  before: HostArray,
  bi: number,
  b: HostArray,
  ci: number,
  out: HostArray,
  oi: number,
) => void;

/** Words of A at one (b, t). */
const WIDTH: Readonly<Record<MonoidKind, (state: number, block: number) => number>> = {
  scalar: () => 1,
  diagonal: (state) => state,
  block: (state, block) => state * block,
  dense: (state) => state * state,
};

function applyScalar(state: number): Apply {
  return (a, ai, before, bi, b, ci, out, oi) => {
    const factor = a[ai]!;
    for (let i = 0; i < state; i++) out[oi + i] = factor * before[bi + i]! + b[ci + i]!;
  };
}

function applyDiagonal(state: number): Apply {
  return (a, ai, before, bi, b, ci, out, oi) => {
    for (let i = 0; i < state; i++) out[oi + i] = a[ai + i]! * before[bi + i]! + b[ci + i]!;
  };
}

/** Blocks of `block` rows, side by side; one block is the dense case. */
function applyBlocks(state: number, block: number): Apply {
  return (a, ai, before, bi, b, ci, out, oi) => {
    for (let i = 0; i < state; i++) {
      const first = i - i % block;
      let total = b[ci + i]!;
      for (let j = 0; j < block; j++) total += a[ai + i * block + j]! * before[bi + first + j]!;
      out[oi + i] = total;
    }
  };
}

/**
 * The scan over affine maps, folded from the start: on one thread that is the least work, and no product of matrices is
 * ever formed. Reads A, b once and writes y once.
 */
export function scan({ monoid, a, b, h0, out, batch, time, state, block = 1, reverse }: ScanJob): void {
  const [av, bv, ov] = [arrayOf(a), arrayOf(b), arrayOf(out)];
  const size = monoid === "dense" ? state : block;
  const apply = monoid === "scalar"
    ? applyScalar(state)
    : monoid === "diagonal"
    ? applyDiagonal(state)
    : applyBlocks(state, size);
  const width = WIDTH[monoid](state, size);
  const start = h0 === null ? new Float64Array(batch * state) : arrayOf(h0);
  for (let s = 0; s < batch; s++) {
    let [before, at]: [HostArray, number] = [start, s * state];
    for (let r = 0; r < time; r++) {
      const row = s * time + (reverse ? time - 1 - r : r);
      apply(av, row * width, before, at, bv, row * state, ov, row * state);
      before = ov;
      at = row * state;
    }
  }
}
