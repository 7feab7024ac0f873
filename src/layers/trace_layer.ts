import { checkKeys, describe } from "../core/describe.ts";
import { checkCount, formatShape } from "../core/shape.ts";
import { isShape } from "../trace/parameters.ts";
import { misuse } from "../trace/misuse.ts";
import type { Sym } from "../trace/graph.ts";
import { add, broadcast, concat, mul, reshape, slice } from "../trace/ops.ts";
import type { AnyLayerSpec, RecurrenceSpec, StateSyms } from "./describe_layer.ts";

/** What gates give, of known shapes: `a` `[n]` or `[]`, `b` `[n]`, and the vectors that are kept. */
export interface Gates {
  readonly a: Sym;
  readonly b: Sym;
  readonly kept: Readonly<Record<string, Sym>>;
}

/** The symbols of states by the names of their recurrences. */
export type States = Readonly<Record<string, StateSyms>>;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const SPEC = ["name", "input", "hidden", "params", "init", "window", "reverse", "recurrences", "output"];

/** Throws unless a description has all its parts, of the right kinds. */
export function checkLayerSpec(spec: AnyLayerSpec): void {
  checkKeys("Cannot define a layer", "the description", spec, SPEC);
  const { name, input, hidden, params, window = 1, reverse = false, recurrences, output } = spec;
  if (typeof name !== "string" || name === "") {
    throw new TypeError(`Cannot define a layer: name must be a string that is not empty, got ${describe(name)}`);
  }
  const context = `Cannot define "${name}"`;
  checkCount(context, "input", input, 1);
  checkCount(context, "hidden", hidden, 1);
  checkCount(context, "window", window, 1);
  if (typeof reverse !== "boolean") {
    throw new TypeError(`${context}: reverse must be true or false, got ${describe(reverse)}`);
  }
  if (typeof params !== "object" || params === null || isShape(params)) {
    throw new TypeError(`${context}: params must be a record of shapes, got ${describe(params)}`);
  }
  if (!Array.isArray(recurrences) || recurrences.length === 0) {
    throw new TypeError(`${context}: recurrences must be a list of at least one, got ${describe(recurrences)}`);
  }
  const names = new Set<string>();
  for (const recurrence of recurrences) {
    checkKeys(context, "a recurrence", recurrence, ["name", "state", "gates"]);
    if (typeof recurrence.name !== "string" || !NAME.test(recurrence.name) || names.has(recurrence.name)) {
      throw new TypeError(
        `${context}: each recurrence must have a name of its own, of letters and digits, got ${
          describe(recurrence.name)
        }`,
      );
    }
    names.add(recurrence.name);
    checkCount(context, `state of "${recurrence.name}"`, recurrence.state, 1);
    if (typeof recurrence.gates !== "function") {
      throw new TypeError(
        `${context}: gates of "${recurrence.name}" must be a function, got ${describe(recurrence.gates)}`,
      );
    }
  }
  if (typeof output !== "function") {
    throw new TypeError(`${context}: output must be a function, got ${describe(output)}`);
  }
}

/** Symbols by name; an unknown name is an error at once, not `undefined` later. */
function guarded<S>(layer: string, what: string, cure: string, symbols: Readonly<Record<string, S>>): typeof symbols {
  return new Proxy(symbols, {
    get(target, key) {
      if (typeof key === "string" && !Object.hasOwn(target, key)) {
        throw misuse(layer, `there is no ${what} "${key}" here`, `${cure} ${Object.keys(target).join(", ") || "none"}`);
      }
      return Reflect.get(target, key);
    },
  });
}

function shaped(layer: string, what: string, value: unknown, wanted: readonly number[], scalars: boolean): Sym {
  const shape = (value as Sym | undefined)?.shape;
  const [size] = wanted;
  if (shape?.length === 1 && shape[0] === size) return value as Sym;
  if (shape?.length === 0 && (scalars || size === 1)) return value as Sym;
  const came = shape === undefined ? describe(value) : `shape ${formatShape(shape)}`;
  throw misuse(
    layer,
    `${what} must have shape ${formatShape(wanted)}${scalars ? " or ()" : ""}, got ${came}`,
    "return vectors made by ops",
  );
}

/** Runs the gates of a recurrence on symbols, and checks what they return. */
export function traceGates(
  { name }: AnyLayerSpec,
  { name: state, state: size, gates }: RecurrenceSpec<never, string>,
  x: Sym,
  p: unknown,
  states: States,
): Gates {
  const known = guarded(name, "state", `gates of "${state}" may read those before it:`, states);
  const result: unknown = gates({ x, p: p as never, states: known });
  if (typeof result !== "object" || result === null || "shape" in result) {
    throw misuse(name, `the gates of "${state}" returned ${describe(result)}`, "return a record { a, b } of symbols");
  }
  const { a, b, ...kept } = result as Record<string, unknown>;
  for (const [key, value] of Object.entries(kept)) {
    const shape = (value as Sym | undefined)?.shape;
    if (shape === undefined || shape.length > 1 || !NAME.test(key)) {
      throw misuse(
        name,
        `the gates of "${state}" keep "${key}", which is ${shape === undefined ? describe(value) : formatShape(shape)}`,
        "keep vectors or scalars, by names of letters and digits",
      );
    }
  }
  const vector = shaped(name, `b of "${state}"`, b, [size], true);
  return {
    a: shaped(name, `a of "${state}"`, a, [size], true),
    b: vector.shape.length === 0 ? broadcast(vector, size) : vector,
    kept: kept as Record<string, Sym>,
  };
}

/** Runs the output on symbols, and checks what it returns. */
export function traceOutput(
  { name, hidden, output }: AnyLayerSpec,
  x: Sym,
  p: unknown,
  states: States,
  kept: Readonly<Record<string, Sym>>,
): Sym {
  const result = output({
    x,
    p,
    states: guarded(name, "state", "the recurrences are", states),
    kept: guarded(name, "kept value", "gates keep", kept),
  });
  return reshape(shaped(name, "the output", result, [hidden], false), [hidden]);
}

/** One step of all recurrences, as a function of their states one after the other: what the layer's cell does. */
export function traceCell(spec: AnyLayerSpec, h: Sym, x: Sym, p: unknown): Sym {
  const states: Record<string, StateSyms> = {};
  let offset = 0;
  for (const recurrence of spec.recurrences) {
    const before = slice(h, offset, offset += recurrence.state);
    const { a, b } = traceGates(spec, recurrence, x, p, { ...states });
    states[recurrence.name] = { now: add(mul(a, before), b), before };
  }
  return concat(...Object.values(states).map(({ now }) => now));
}
