import type { HostTensor, LinearGaussianModel } from "../../mod.ts";
import { host } from "../solve/arrays.ts";

// A model that nothing is special of, for what is refused.

/** Ones of a shape. */
export const ones = (...shape: number[]): HostTensor =>
  host(new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(1), shape);
/** The identity. */
export const eye = (n: number): HostTensor =>
  host(Array.from({ length: n * n }, (_, e) => Number(e % (n + 1) === 0)), [n, n]);

export const MODEL: LinearGaussianModel = {
  initialMean: ones(2),
  initialCovariance: eye(2),
  dynamics: ones(2, 2),
  dynamicsCovariance: eye(2),
  emission: ones(3, 2),
  emissionCovariance: eye(3),
};
