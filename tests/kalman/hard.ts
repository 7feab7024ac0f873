// Models of tests/golden/kalman_hard, and their posteriors by 100 digits.

import type { HostTensor, LinearGaussianModel } from "../../mod.ts";
import { goldenTensors } from "../solve/arrays.ts";
import type { Numbers } from "./posteriors.ts";

const GOLDEN = goldenTensors("kalman_hard/models");

/** Their names. */
export const HARD_NAMES: readonly string[] = [
  ...new Set(Object.keys(GOLDEN).map((path) => path.slice(0, path.lastIndexOf("/")))),
];

/** A model by its name, its measurements, and what is true of its states. */
export function hardModel(name: string): { model: LinearGaussianModel; ys: HostTensor; truth: Numbers } {
  const part = (key: string): HostTensor => GOLDEN[`${name}/${key}`]!;
  const f64 = (key: string): Float64Array => Float64Array.from(part(key).data);
  return {
    model: {
      initialMean: part("m0"),
      initialCovariance: part("p0"),
      dynamics: part("f"),
      dynamicsBias: part("b"),
      dynamicsCovariance: part("q"),
      emission: part("h"),
      emissionCovariance: part("r"),
    },
    ys: part("ys"),
    truth: {
      logLik: f64("log_lik"),
      filteredMeans: f64("filtered_means"),
      filteredCovariances: f64("filtered_covariances"),
      smoothedMeans: f64("smoothed_means"),
      smoothedCovariances: f64("smoothed_covariances"),
    },
  };
}
