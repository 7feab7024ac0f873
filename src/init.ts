import { describe } from "./core/describe.ts";
import type { Random } from "./core/random.ts";
import { formatShape, sizeOf } from "./core/shape.ts";
import type { Shape, Tree } from "./core/types.ts";

/** How initial parameters are drawn; see `InitOptions`. */
export type InitScheme = "own" | "torch" | "glorot" | "orthogonal" | "he-uniform" | "lecun-normal";

/**
 * How a matrix `(m, n)` of n inputs is drawn. `he-uniform`: uniform in ±√(6 / n) (He et al. 2015, arXiv 1502.01852).
 * `glorot-uniform`: uniform in ±√(6 / (m + n)) (Glorot & Bengio 2010). `lecun-normal`: normal of variance 1 / n, cut off at
 * two standard deviations of what is cut (LeCun et al. 1998; as in JAX). `orthogonal`: orthonormal in its shorter direction
 * (Saxe et al. 2014, arXiv 1312.6120).
 */
export type MatrixRule = "he-uniform" | "glorot-uniform" | "lecun-normal" | "orthogonal";

/** What the elements of a parameter, or of one of its gates, start from. */
export type SingleRule = number | MatrixRule | { readonly uniform: number };

/**
 * What a parameter starts from: a number for all its elements, `{ uniform: b }` for draws from ±b, the name of a rule for
 * matrices, or a list of such rules, one for each gate of a stacked parameter (equal numbers of rows).
 */
export type InitRule = SingleRule | readonly SingleRule[];

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
  const isNamed = (value: unknown): boolean => typeof value === "string" && Object.hasOwn(MATRIX_RULES, value);
  const single = (value: unknown): boolean => {
    const number = typeof value === "object" && value !== null ? (value as { uniform?: unknown }).uniform : value;
    return isNamed(value) || (typeof number === "number" && Number.isFinite(number));
  };
  const rules: readonly unknown[] = Array.isArray(rule) ? rule : [rule];
  if (!rules.every(single)) {
    const names = Object.keys(MATRIX_RULES).map((name) => `"${name}"`).join(", ");
    throw new TypeError(
      `${context}: init of "${path}" must be a finite number, { uniform: number }, ${names} or a list of these, got ${
        describe(rule)
      }`,
    );
  }
  if (shape.length !== 2 && rules.some(isNamed)) {
    throw new RangeError(
      `${context}: init of "${path}" must be a number or { uniform: number }, as its shape is ${
        formatShape(shape)
      } and no matrix, got ${describe(rules.find(isNamed))}`,
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
  const rules = Array.isArray(rule) ? rule as readonly SingleRule[] : [rule as SingleRule];
  const length = data.length / rules.length;
  for (const [k, one] of rules.entries()) {
    const gate = data.subarray(k * length, (k + 1) * length);
    if (typeof one === "number") gate.fill(one);
    else if (typeof one === "string") MATRIX_RULES[one](gate, length / shape[1]!, shape[1]!, random);
    else fillUniform(gate, one.uniform, random);
  }
  return data;
}

/** What schemes other than PyTorch's do with the matrix of a gate. */
const SCHEMES: Readonly<Record<Exclude<InitScheme, "own" | "torch">, MatrixRule>> = {
  "glorot": "glorot-uniform",
  "orthogonal": "orthogonal",
  "he-uniform": "he-uniform",
  "lecun-normal": "lecun-normal",
};

/** Elements of one parameter of a layer with `units` units, row-major. */
export function initialise(
  shape: Shape,
  units: number,
  scheme: Exclude<InitScheme, "own">,
  random: Random,
): Float64Array {
  const data = new Float64Array(sizeOf(shape));
  if (scheme === "torch") {
    fillUniform(data, 1 / Math.sqrt(units), random);
    return data;
  }
  if (!Object.hasOwn(SCHEMES, scheme)) {
    const known = ["own", "torch", ...Object.keys(SCHEMES)].map((name) => `"${name}"`).join(", ");
    throw new RangeError(`Cannot initialise: scheme must be one of ${known}, got ${describe(scheme)}`);
  }
  if (shape.length !== 2) return data;
  const [rows, columns] = shape as [number, number];
  // A gate at a time, as if each had a matrix of its own.
  const gate = rows % units === 0 ? units : rows;
  for (let first = 0; first < rows; first += gate) {
    MATRIX_RULES[SCHEMES[scheme]](data.subarray(first * columns, (first + gate) * columns), gate, columns, random);
  }
  return data;
}

function fillUniform(data: Float64Array, bound: number, random: Random): void {
  for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random.uniform() - 1);
}

/** The standard deviation of a standard normal variable that is drawn again beyond ±2. */
const CUT_DEVIATION = 0.8796256610342398;

const MATRIX_RULES: Readonly<
  Record<MatrixRule, (data: Float64Array, rows: number, columns: number, random: Random) => void>
> = {
  "he-uniform": (data, _, columns, random) => fillUniform(data, Math.sqrt(6 / columns), random),
  "glorot-uniform": (data, rows, columns, random) => fillUniform(data, Math.sqrt(6 / (rows + columns)), random),
  "lecun-normal": (data, _, columns, random) => {
    const scale = 1 / (CUT_DEVIATION * Math.sqrt(columns));
    for (let i = 0; i < data.length; i++) {
      let value = random.normal();
      while (Math.abs(value) > 2) value = random.normal();
      data[i] = scale * value;
    }
  },
  "orthogonal": fillOrthogonal,
};

function fillOrthogonal(data: Float64Array, rows: number, columns: number, random: Random): void {
  const [count, length] = [Math.min(rows, columns), Math.max(rows, columns)];
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
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) data[i * columns + j] = rows <= columns ? vectors[i]![j]! : vectors[j]![i]!;
  }
}
