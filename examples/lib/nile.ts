/** The flow of the Nile, and two models of it. */

import type { HostTensor, LinearGaussianModel } from "@cervid/cervid";

/** The year of the first flow. */
export const FIRST_YEAR = 1871;

/** The annual flow at Aswan in 10⁸ m³, 1871 to 1970 (Cobb, "The problem of the Nile", Biometrika 65, 1978). */
export const NILE: readonly number[] = [
  ...[1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140],
  ...[1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969],
  ...[831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759],
  ...[781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890],
  ...[744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740],
];

/** The models, by name. */
export const MODEL_NAMES = ["level", "trend"] as const;
/** One of them. */
export type ModelName = (typeof MODEL_NAMES)[number];

/** The variance of a state of which nothing is known. */
const UNKNOWN = 1e7;

const array = (data: readonly number[], ...shape: number[]): HostTensor => ({ data: Float64Array.from(data), shape });

/** A level that wanders, measured with noise: variances as Durbin & Koopman estimate them for the Nile. */
export function localLevel(noise: number = 15099, wander: number = 1469.1): LinearGaussianModel {
  return {
    initialMean: array([0], 1),
    initialCovariance: array([UNKNOWN], 1, 1),
    dynamics: array([1], 1, 1),
    dynamicsCovariance: array([wander], 1, 1),
    emission: array([1], 1, 1),
    emissionCovariance: array([noise], 1, 1),
  };
}

/** A level with a slope, both of which wander. */
export function localTrend(
  noise: number,
  wander: number,
  slopeWander: number,
  unknown: number = UNKNOWN,
): LinearGaussianModel {
  return {
    initialMean: array([0, 0], 2),
    initialCovariance: array([unknown, 0, 0, unknown], 2, 2),
    dynamics: array([1, 1, 0, 1], 2, 2),
    dynamicsCovariance: array([wander, 0, 0, slopeWander], 2, 2),
    emission: array([1, 0], 1, 2),
    emissionCovariance: array([noise], 1, 1),
  };
}

/** A model of the Nile by its name; the level is the first state of each. */
export function nileModel(name: ModelName): LinearGaussianModel {
  return name === "level" ? localLevel() : localTrend(15099, 1469.1, 10);
}

/** Years of which nothing is measured, from one to another. */
export type Gap = readonly [from: number, to: number];

/** The flows as measurements `(T, 1)`: NaN in gaps. */
export function measureNile(gaps: readonly Gap[]): HostTensor {
  const missing = (year: number): boolean => gaps.some(([from, to]) => from <= year && year <= to);
  return array(NILE.map((flow, i) => missing(FIRST_YEAR + i) ? NaN : flow), NILE.length, 1);
}
