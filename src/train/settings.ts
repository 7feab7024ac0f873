import { checkKeys, describe } from "../core/describe.ts";

/** What a number among settings must be: finite, and within these bounds. */
export interface Bounds {
  readonly least?: number;
  /** It must be more than this. */
  readonly above?: number;
  /** It must be less than this. */
  readonly below?: number;
}

/** Throws unless a number is finite and within bounds. */
export function checkNumber(context: string, name: string, value: unknown, bounds: Bounds = {}): void {
  const { least = -Infinity, above = -Infinity, below = Infinity } = bounds;
  if (typeof value === "number" && Number.isFinite(value) && value >= least && value > above && value < below) return;
  const words = [
    ...(bounds.least === undefined ? [] : [`at least ${least}`]),
    ...(bounds.above === undefined ? [] : [`above ${above}`]),
    ...(bounds.below === undefined ? [] : [`below ${below}`]),
  ];
  throw new RangeError(
    `${context}: ${name} must be a finite number${words.length === 0 ? "" : ` ${words.join(" and ")}`}, got ${
      describe(value)
    }`,
  );
}

/** Options with known names only, `defaults` for those that are absent (NaN for one that must not be), checked. */
export function settle<T extends object>(
  context: string,
  options: T,
  defaults: Required<T>,
  bounds: { readonly [K in keyof T]?: Bounds } = {},
): Required<T> {
  checkKeys(context, "options", options, Object.keys(defaults));
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  for (const [name, value] of Object.entries(defaults)) {
    if (typeof value !== "number") continue;
    const chosen = name in given ? given[name] : Number.isNaN(value) ? undefined : value;
    checkNumber(context, name, chosen, bounds[name as keyof T]);
  }
  return { ...defaults, ...given };
}

/** Throws unless `state` has the given fields, as `init` and `update` of an optimizer make it; a count must be one. */
export function checkState<S>(context: string, state: S, fields: readonly string[]): S {
  const given = typeof state === "object" && state !== null ? state as Readonly<Record<string, unknown>> : {};
  const names = Object.keys(given);
  const counts = !fields.includes("count") || (Number.isSafeInteger(given.count) && given.count as number >= 0);
  if (names.length === fields.length && fields.every((name) => names.includes(name)) && counts) return state;
  const wanted = fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
  const got = typeof state !== "object" || state === null ? describe(state) : `{ ${names.join(", ")} }`;
  throw new TypeError(
    `${context}: the state must be ${wanted}, as init() and update() of this optimizer return it, got ${got}`,
  );
}
