/**
 * What a solve knows of each sequence of its batch, `STATE_WORDS` words of `array<atomic<u32>>`; floats are kept as bits,
 * which for numbers that are not negative have the order of the numbers, NaN and infinity above all of them.
 */
export const STATE = {
  /** One of `STATUS`. */
  status: 0,
  /** Rows of the window that are exact. */
  exact: 1,
  /** Sweeps over all windows. */
  sweeps: 2,
  /** The first t at which the true trajectory is not finite. */
  failed: 3,
  /** The first t of the window that was entered last. */
  unsolvedFrom: 4,
  /** f32: iterates beyond it are replaced by the guess. */
  limit: 5,
  /** f32: the last update, and the ratio of the last two. */
  last: 6,
  ratio: 7,
  /** Sweeps in this window. */
  count: 8,
  /** Left by the kernels of a sweep for the verdict, as all that follow. f32, by atomicMax: the largest update in units of the tolerance. */
  worst: 9,
  /** By atomicMax: 1 if entries were replaced. */
  resets: 10,
  /** By atomicMin: the first row that did not repeat bit for bit. */
  changed: 11,
  /** By atomicMin: an exact row at which f is not finite. */
  bad: 12,
  /** f32, by atomicMax: the largest entry of the guess; of an error scan the largest |e|. */
  largest: 13,
  error: 14,
  /** By atomicMin: the first row, not known to be exact, at which f is not finite. */
  lost: 15,
} as const;

export const STATE_WORDS = 16;

/** No row. */
export const NONE = 0xffffffff;

export const STATUS = { running: 0, converged: 1, maxSweeps: 2, nonfinite: 3 } as const;

/** WGSL of a word of sequence `b`. */
export function stateWord(field: keyof typeof STATE, b: string): string {
  return `S[${b} * ${STATE_WORDS}u + ${STATE[field]}u]`;
}
