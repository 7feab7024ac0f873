import type { HostTensor } from "../core/types.ts";
import { checkKeys, describe } from "../core/describe.ts";
import { checkHostTensor, isCount } from "../core/host.ts";
import { formatShape } from "../core/shape.ts";

/** How {@linkcode padCases} fills. */
export interface PadOptions {
  /** T of the answer; the longest series by default. Longer ones are cut. */
  time?: number;
  /** What follows the end of a series; 0 by default. What a model is to read must be finite there, too. */
  fill?: number;
  /**
   * What becomes of NaN: `keep` (default); `forward`, the last value of the channel that is there, `fill` before the first;
   * `fill`.
   */
  missing?: "keep" | "forward" | "fill";
}

/** Series of different lengths as one array. */
export interface PaddedCases {
  /** `(N, T, C)`: f32 if all series are, else f64. */
  readonly xs: HostTensor;
  /** How many steps of each are its own, `(N)`. */
  readonly lengths: Uint32Array<ArrayBuffer>;
}

const PAD = "Cannot pad";

/**
 * Series `(T_i, C)` of different lengths as one array `(N, T, C)`, with their lengths: what comes after the end of a series
 * is `fill`. Pick cases with `indices.map((i) => cases[i])` for a batch. Costs one copy.
 *
 * Throws a TypeError if a series is no float tensor of two axes or they differ in C, and a RangeError for a `time` or a
 * `fill` that cannot be.
 *
 * @example
 * ```ts
 * import { padCases } from "@cervid/cervid/io";
 *
 * const short = { data: new Float32Array([1, 2]), shape: [2, 1] };
 * const long = { data: new Float32Array([3, NaN, 5]), shape: [3, 1] };
 * const { xs, lengths } = padCases([short, long], { missing: "forward" });
 * console.log(xs.shape, xs.data, lengths); // [2, 3, 1], 1 2 0 3 3 5, and 2 3
 * ```
 */
export function padCases(cases: readonly HostTensor[], options: PadOptions = {}): PaddedCases {
  checkKeys(PAD, "options", options, ["time", "fill", "missing"]);
  const width = checkCases(cases);
  const longest = cases.reduce((most, { shape }) => Math.max(most, shape[0]!), 0);
  const { time = longest, fill = 0, missing = "keep" } = options;
  if (!isCount(time)) throw new RangeError(`${PAD}: time must be a whole number of at least 0, got ${describe(time)}`);
  if (typeof fill !== "number") throw new RangeError(`${PAD}: fill must be a number, got ${describe(fill)}`);
  if (!["keep", "forward", "fill"].includes(missing)) {
    throw new RangeError(`${PAD}: missing must be "keep", "forward" or "fill", got ${describe(missing)}`);
  }
  const single = cases.every(({ data }) => data instanceof Float32Array);
  const data = new (single ? Float32Array : Float64Array)(cases.length * time * width).fill(fill);
  for (const [k, { data: series }] of cases.entries()) {
    const own = data.subarray(k * time * width, (k + 1) * time * width);
    own.set(series.subarray(0, own.length));
    if (missing === "keep") continue;
    const end = Math.min(series.length, own.length);
    for (let i = 0; i < end; i++) {
      if (!Number.isNaN(own[i]!)) continue;
      own[i] = missing === "fill" || i < width ? fill : own[i - width]!;
    }
  }
  const lengths = Uint32Array.from(cases, ({ shape }) => Math.min(time, shape[0]!));
  return { xs: { data, shape: [cases.length, time, width] }, lengths };
}

/** C; throws unless all series are `(T_i, C)` of floats. */
function checkCases(cases: readonly HostTensor[]): number {
  if (!Array.isArray(cases) || cases.length === 0) {
    throw new TypeError(`${PAD}: cases must be a list of at least one series, got ${describe(cases)}`);
  }
  let width: number | undefined;
  for (const [k, series] of cases.entries()) {
    const type = checkHostTensor(PAD, `case ${k}`, series);
    if (type !== "F32" && type !== "F64") throw new TypeError(`${PAD}: case ${k} must hold floats, got ${type}`);
    const { shape } = series as HostTensor;
    if (shape.length !== 2 || (width !== undefined && shape[1] !== width)) {
      throw new TypeError(`${PAD}: case ${k} must have shape (T, ${width ?? "C"}), got ${formatShape(shape)}`);
    }
    width = shape[1]!;
  }
  return width!;
}
