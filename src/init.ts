import { describe } from "./core/describe.ts";
import type { Random } from "./core/random.ts";
import { formatShape, sizeOf } from "./core/shape.ts";
import type { Shape, Tree } from "./core/types.ts";

/** How initial parameters are drawn; see `InitOptions`. */
export type InitScheme = "own" | "torch" | "glorot" | "orthogonal";

/**
 * What a parameter starts from: a number for all its elements, `{ uniform: b }` for draws from ±b, or a list of such rules,
 * one for each gate of a stacked parameter (equal numbers of rows).
 */
export type InitRule = number | { readonly uniform: number } | readonly (number | { readonly uniform: number })[];

/** Rules in the tree of the parameters; those without one start as by `torch`. */
export type InitRules = Tree<InitRule>;

/** The rule at a path of a tree ("surrogate.bias"), if there is one. */
export function ruleAt(rules: InitRules, path: string): InitRule | undefined {
  let value: InitRule | InitRules | undefined = rules;
  for (const name of path.split(".")) value = (value as InitRules | undefined)?.[name];
  return value as InitRule | undefined;
}

/** Throws unless the rule fits a parameter of `shape`. */
export function checkRule(context: string, path: string, rule: unknown, shape: Shape): void {
  const single = (value: unknown): boolean => {
    const number = typeof value === "object" && value !== null ? (value as { uniform?: unknown }).uniform : value;
    return typeof number === "number" && Number.isFinite(number);
  };
  if (Array.isArray(rule) ? !rule.every(single) : !single(rule)) {
    throw new TypeError(
      `${context}: init of "${path}" must be a finite number, { uniform: number } or a list of these, got ${
        describe(rule)
      }`,
    );
  }
  const rows = shape[0] ?? 1;
  if (Array.isArray(rule) && (rule.length === 0 || rows % rule.length !== 0)) {
    throw new RangeError(
      `${context}: init of "${path}" must have as many rules as gates of equal size, got ${rule.length} for shape ${
        formatShape(shape)
      }`,
    );
  }
}

/** Elements of one parameter by its own rule, row-major. */
export function initialiseBy(rule: InitRule, shape: Shape, random: Random): Float64Array {
  const data = new Float64Array(sizeOf(shape));
  const rules = Array.isArray(rule) ? rule as readonly (number | { readonly uniform: number })[] : [rule as number];
  const length = data.length / rules.length;
  for (let i = 0; i < data.length; i++) {
    const one = rules[Math.floor(i / length)]!;
    data[i] = typeof one === "number" ? one : one.uniform * (2 * random.uniform() - 1);
  }
  return data;
}

/** Elements of one parameter of a layer with `units` units, row-major. */
export function initialise(
  shape: Shape,
  units: number,
  scheme: Exclude<InitScheme, "own">,
  random: Random,
): Float64Array {
  const data = new Float64Array(sizeOf(shape));
  const uniform = (bound: number): void => {
    for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random.uniform() - 1);
  };
  switch (scheme) {
    case "torch":
      uniform(1 / Math.sqrt(units));
      return data;
    case "glorot":
      // A gate at a time, as if each had a matrix of its own.
      if (shape.length === 2) uniform(Math.sqrt(6 / (gateRows(shape, units) + shape[1]!)));
      return data;
    case "orthogonal":
      if (shape.length === 2) orthogonalGates(data, shape[0]!, shape[1]!, gateRows(shape, units), random);
      return data;
    default:
      throw new RangeError(
        `Cannot initialise: scheme must be "own", "torch", "glorot" or "orthogonal", got "${String(scheme)}"`,
      );
  }
}

/** Rows of one gate of a stacked matrix. */
function gateRows([rows]: Shape, units: number): number {
  return rows! % units === 0 ? units : rows!;
}

/** Each gate's matrix becomes orthonormal in its shorter direction (Saxe et al. 2014, arXiv 1312.6120). */
function orthogonalGates(data: Float64Array, rows: number, columns: number, gate: number, random: Random): void {
  for (let first = 0; first < rows; first += gate) {
    const [count, length] = [Math.min(gate, columns), Math.max(gate, columns)];
    const vectors: Float64Array[] = [];
    while (vectors.length < count) {
      const v = Float64Array.from({ length }, () => random.normal());
      // Twice is enough for full orthogonality in floating point.
      for (let pass = 0; pass < 2; pass++) {
        for (const u of vectors) {
          let dot = 0;
          for (let i = 0; i < length; i++) dot += u[i]! * v[i]!;
          for (let i = 0; i < length; i++) v[i]! -= dot * u[i]!;
        }
      }
      const norm = Math.hypot(...v);
      if (norm > 1e-6) vectors.push(v.map((value) => value / norm));
    }
    for (let i = 0; i < gate; i++) {
      for (let j = 0; j < columns; j++) {
        data[(first + i) * columns + j] = gate <= columns ? vectors[i]![j]! : vectors[j]![i]!;
      }
    }
  }
}
