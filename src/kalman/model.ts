import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { HostArray, HostTensor, Shape } from "../core/types.ts";
import { shapeOf } from "../place.ts";
import { isTensorLike, type TensorLike } from "../tensor.ts";
import { checkCovariance } from "./covariance.ts";

/**
 * A linear Gaussian state-space model of D states, of which E numbers are measured at each step:
 *
 *     x[0] ~ N(initialMean, initialCovariance)
 *     x[t] = dynamics[t] x[t-1] + dynamicsBias[t] + N(0, dynamicsCovariance[t])
 *     y[t] = emission[t] x[t] + emissionBias[t] + N(0, emissionCovariance[t])
 *
 * Each part is one array for all steps, or has a row for each, the same for all sequences. Row t of the dynamics leads *to*
 * step t, from the one before it, as everywhere in cervid; row 0 is not used. (In dynamax row t leads away from t.) Rows that
 * are not used may hold anything, NaN too; so may those of the emission where no sequence is measured.
 *
 * Covariances may be singular. In host arrays they are checked: finite, symmetric and positive semidefinite but for rounding,
 * else a `RangeError` says which row and pivot is not.
 */
export interface LinearGaussianModel {
  /** `(D)`: the mean of the state at the first measurement, before it is seen. */
  initialMean: TensorLike;
  /** `(D, D)` */
  initialCovariance: TensorLike;
  /** `(D, D)` or `(T, D, D)` */
  dynamics: TensorLike;
  /** `(D)` or `(T, D)`; zeros if absent. */
  dynamicsBias?: TensorLike | undefined;
  /** `(D, D)` or `(T, D, D)`; may be singular. */
  dynamicsCovariance: TensorLike;
  /** `(E, D)` or `(T, E, D)` */
  emission: TensorLike;
  /** `(E)` or `(T, E)`; zeros if absent. */
  emissionBias?: TensorLike | undefined;
  /** `(E, E)` or `(T, E, E)` */
  emissionCovariance: TensorLike;
}

/** The parts of a model that may change from step to step, in the order of their rows. */
export const PARTS = [
  "dynamics",
  "dynamicsBias",
  "dynamicsCovariance",
  "emission",
  "emissionBias",
  "emissionCovariance",
] as const;

/** One of them. */
export type PartName = (typeof PARTS)[number];

/** A part of a model that is there. */
export interface ModelPart {
  readonly name: PartName;
  readonly shape: Shape;
  /** Its first word in a row, behind the measurement; null of what is the same at all steps. */
  readonly offset: number | null;
}

/** What programs need to know of a model: sizes, and which parts change. */
export interface ModelLayout {
  /** D */
  readonly states: number;
  /** E */
  readonly measured: number;
  readonly parts: readonly ModelPart[];
  /** Words of a row: the measurement, and all that changes with it. */
  readonly width: number;
  /** Equal for equal layouts. */
  readonly key: string;
}

/** How many rows there are. */
export interface Rows {
  readonly batch: number;
  readonly time: number;
  readonly batched: boolean;
}

const SYMMETRIC: ReadonlySet<string> = new Set([
  "initialCovariance",
  "dynamicsCovariance",
  "emissionCovariance",
]);

function partShape(name: PartName, d: number, e: number): Shape {
  switch (name) {
    case "dynamics":
    case "dynamicsCovariance":
      return [d, d];
    case "dynamicsBias":
      return [d];
    case "emission":
      return [e, d];
    case "emissionBias":
      return [e];
    case "emissionCovariance":
      return [e, e];
  }
}

/** Checks shapes, names, and of host arrays that covariances are some. */
export function checkModel(context: string, model: LinearGaussianModel, ys: TensorLike): [ModelLayout, Rows] {
  checkKeys(context, "the model", model, ["initialMean", "initialCovariance", ...PARTS]);
  const given = (name: keyof LinearGaussianModel): Shape => {
    const value = model[name];
    if (isTensorLike(value)) return shapeOf(context, name, value);
    throw new TypeError(`${context}: ${name} must be a tensor or { data, shape }, got ${describe(value)}`);
  };
  const [d, ...more] = given("initialMean");
  if (d === undefined || d === 0 || more.length > 0) {
    throw new TypeError(
      `${context}: initialMean must have shape (D,) with D of at least 1, got ${formatShape(given("initialMean"))}`,
    );
  }
  const emission = given("emission");
  const e = emission.at(-2) ?? 0;
  if ((emission.length !== 2 && emission.length !== 3) || emission.at(-1) !== d || e === 0) {
    throw new TypeError(
      `${context}: emission must have shape (E, ${d}) or (T, E, ${d}), as initialMean has ${d} states, got ${
        formatShape(emission)
      }`,
    );
  }
  const rows = checkRows(context, ys, e);
  const check = (name: keyof LinearGaussianModel, ...shapes: readonly Shape[]): void => {
    const shape = given(name);
    if (!shapes.some((wanted) => sameShape(shape, wanted))) {
      throw new TypeError(
        `${context}: ${name} must have shape ${shapes.map(formatShape).join(" or ")}, got ${formatShape(shape)}`,
      );
    }
    const value = model[name]!;
    if (SYMMETRIC.has(name) && "data" in value) checkCovariance(context, name, value, usesRow(name, ys, value, rows));
  };
  check("initialCovariance", [d, d]);
  const parts: ModelPart[] = [];
  let width = e;
  for (const name of PARTS) {
    if (model[name] === undefined && name.endsWith("Bias")) continue;
    const shape = partShape(name, d, e);
    check(name, shape, [rows.time, ...shape]);
    const varies = given(name).length > shape.length;
    parts.push({ name, shape, offset: varies ? width : null });
    if (varies) width += sizeOf(shape);
  }
  const key = `D ${d}, E ${e}, ${parts.map(({ name, offset }) => `${name}${offset === null ? "" : "*"}`).join(" ")}`;
  return [{ states: d, measured: e, parts, width, key }, rows];
}

/**
 * Which rows of a covariance are used: of the noise of the dynamics all but the first, of that of the measurements those at
 * which some sequence is measured. Where only the device knows that, a row with a NaN passes for one that is not.
 */
function usesRow(
  name: keyof LinearGaussianModel,
  ys: TensorLike,
  { data }: HostTensor,
  { batch, time }: Rows,
): (row: number) => boolean {
  if (name === "dynamicsCovariance") return (row) => row > 0;
  const hasNaN = (values: HostArray, row: number, width: number): boolean =>
    values.subarray(row * width, (row + 1) * width).some(Number.isNaN);
  if (!("data" in ys)) return (row) => !hasNaN(data, row, data.length / time);
  const width = ys.shape.at(-1)!;
  return (row) => {
    for (let b = 0; b < batch; b++) if (!hasNaN(ys.data, b * time + row, width)) return true;
    return false;
  };
}

function checkRows(context: string, ys: TensorLike, e: number): Rows {
  const wanted = `(B, T, ${e}) or (T, ${e})`;
  if (!isTensorLike(ys)) throw new TypeError(`${context}: ys must have shape ${wanted}, got ${describe(ys)}`);
  const shape = shapeOf(context, "ys", ys);
  if ((shape.length !== 2 && shape.length !== 3) || shape.at(-1) !== e) {
    throw new TypeError(
      `${context}: ys must have shape ${wanted}, as emission has ${e} rows, got ${formatShape(shape)}`,
    );
  }
  const batched = shape.length === 3;
  return { batch: batched ? shape[0]! : 1, time: shape.at(-2)!, batched };
}
