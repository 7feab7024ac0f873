import { checkKeys, describe } from "./core/describe.ts";
import { createRandom } from "./core/random.ts";
import { sizeOf } from "./core/shape.ts";
import { mapTree } from "./core/tree.ts";
import type { Shape, ShapeTree, Tree } from "./core/types.ts";
import type { Device } from "./device.ts";
import { checkRule, initialise, initialiseBy, type InitRule, type InitRules, type InitScheme, ruleAt } from "./init.ts";
import { type Tensor, tensor } from "./tensor.ts";

/** How initial parameters are drawn. */
export interface InitOptions {
  /** Default 0: the same seed gives the same parameters on every device. */
  seed?: number;
  /**
   * `own` (default): as the step itself says, in what it does not say as `torch`. `torch`: all uniform in ±1/√units.
   * All others draw matrices gate by gate, and set the rest to 0. `glorot`: uniform in ±√(6 / (m + n)). `orthogonal`:
   * orthonormal rows or columns. `he-uniform`: uniform in ±√(6 / n). `lecun-normal`: normal of variance 1 / n.
   */
  scheme?: InitScheme;
}

/** What the parameters of a step or a layer start from. */
export interface Initialisation {
  /** By the scheme `own`. */
  readonly rules: InitRules;
  /** The fan: bounds are 1/√units. */
  readonly units: number;
}

/** Initial parameters on a device, drawn one after the other in the order of their sorted names. */
export function initParams(
  device: Device,
  name: string,
  params: ShapeTree,
  { rules, units }: Initialisation,
  options: InitOptions = {},
): Tree<Tensor> {
  checkKeys(`Cannot initialise "${name}"`, "options", options, ["seed", "scheme"]);
  const { seed = 0, scheme = "own" } = options;
  const random = createRandom(seed);
  return mapTree<Shape, Tensor>(params, Array.isArray, (shape, path) => {
    const rule = scheme === "own" ? ruleAt(rules, path) : undefined;
    const data = rule === undefined
      ? initialise(shape, units, scheme === "own" ? "torch" : scheme, random)
      : initialiseBy(rule, shape, random);
    if (sizeOf(shape) !== data.length) throw new Error(`no elements for ${path}`);
    return tensor(device, { data, shape }, `parameter "${path}" of "${name}"`);
  });
}

/** Throws unless every rule belongs to a parameter and fits its shape. */
export function checkRules(
  context: string,
  rules: InitRules,
  params: readonly { readonly path: string; readonly shape: Shape }[],
): void {
  if (typeof rules !== "object" || rules === null || Array.isArray(rules)) {
    throw new TypeError(`${context}: init must be a record of rules, got ${describe(rules)}`);
  }
  const visit = (value: unknown, path: string): void => {
    const leaf = params.find((leaf) => leaf.path === path);
    if (leaf !== undefined) return checkRule(context, path, value, leaf.shape);
    const inside = params.some((leaf) => leaf.path.startsWith(`${path}.`));
    if (!inside || typeof value !== "object" || value === null) {
      throw new TypeError(`${context}: init has a rule for "${path}", which is no parameter`);
    }
    for (const [name, below] of Object.entries(value)) visit(below, `${path}.${name}`);
  };
  for (const [name, value] of Object.entries(rules)) visit(value, name);
}

/** The rules of two trees, those of the second where both have one. */
export function mergeRules(params: ShapeTree, first: InitRules, second: InitRules, prefix = ""): InitRules {
  const merged: Record<string, InitRule | InitRules> = {};
  for (const [name, value] of Object.entries(params)) {
    const path = `${prefix}${name}`;
    if (!Array.isArray(value)) merged[name] = mergeRules(value as ShapeTree, first, second, `${path}.`);
    else {
      const rule = ruleAt(second, path) ?? ruleAt(first, path);
      if (rule !== undefined) merged[name] = rule;
    }
  }
  return merged;
}
