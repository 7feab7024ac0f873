import type { Shape } from "../core/types.ts";
import { defineMap, type RowFunction, type RowInputSpec } from "../map/define_map.ts";
import type { Sym } from "../trace/graph.ts";
import { topological } from "../trace/graph.ts";
import { broadcast, concat } from "../trace/ops.ts";
import { type RowAccess, type RowProgram, traceRows } from "../trace/rows.ts";
import type { AnyLayerSpec, StateSyms } from "./describe_layer.ts";
import { traceGates, traceOutput } from "./trace_layer.ts";

/** What one input of a map over all steps is: the layer's input so many steps ago, states, or what gates kept. */
export interface Source {
  readonly of: "x" | "now" | "before" | "kept";
  /** Of the recurrence, or of what was kept. */
  readonly name: string;
  /** Steps ago in the layer's own direction. */
  readonly ago: number;
}

/** A part of a layer as a function over all steps, with what its inputs are, by their names. */
export interface LayerMap {
  readonly fn: RowFunction<Readonly<Record<string, Sym>>>;
  readonly sources: Readonly<Record<string, Source>>;
}

/** A layer as maps over all steps, with a linear recurrence after each but the last. */
export interface LayerMaps {
  /** One for each recurrence, with outputs `a`, `b` and what is kept, `kept_name`. */
  readonly gates: readonly LayerMap[];
  /** With the output `y`; null where that is the states of the recurrence `outputState`. */
  readonly output: LayerMap | null;
  readonly outputState: string;
}

interface Candidate extends Source {
  readonly shape: Shape;
}

type Outputs = Readonly<Record<string, Sym>>;

/** Gives the value of an input; zeros for one that no output depends on. */
type Get = (input: string, shape: Shape) => Sym;

/** The map of `fn`, which reads of the candidates what its outputs depend on, and no more. */
function makeMap(
  name: string,
  params: AnyLayerSpec["params"],
  candidates: Readonly<Record<string, Candidate>>,
  reverse: boolean,
  fn: (get: Get, p: unknown) => Outputs,
): { readonly map: LayerMap; readonly program: RowProgram } {
  const sign = reverse ? -1 : 1;
  const specs = Object.entries(candidates).map(([input, { shape, ago }]): [string, { shape: Shape; shift: number }] => [
    input,
    { shape, shift: ago === 0 ? 0 : sign * ago },
  ]);
  const program = traceRows({
    name,
    inputs: Object.fromEntries(specs.map(([input, { shape }]) => [input, shape])),
    access: Object.fromEntries(specs.map(([input, { shift }]): [string, Partial<RowAccess>] => [input, { shift }])),
    params,
    fn: (inputs, p) => fn((input) => inputs[input], p),
  });
  const reached = new Set(topological(program.outputs.map(({ node }) => node)));
  const used = new Set(program.inputs.filter(({ leaf }) => reached.has(leaf)).map(({ path }) => path));
  // A function of parameters alone still has to know how many rows there are.
  if (used.size === 0) used.add(specs[0]![0]);
  const inputs: Record<string, RowInputSpec> = Object.fromEntries(specs.filter(([input]) => used.has(input)));
  const traced = defineMap({
    name,
    inputs,
    params,
    map: (args) => fn((input, shape) => used.has(input) ? args[input]! : broadcast(0, shape), args.p),
  });
  const sources = Object.fromEntries(Object.entries(candidates).filter(([input]) => used.has(input)));
  return { map: { fn: traced, sources }, program };
}

/** Traces the parts of a layer as functions over all steps. */
export function makeLayerMaps(spec: AnyLayerSpec): LayerMaps {
  const { name, input, params, window = 1, reverse = false, recurrences } = spec;
  const candidates: Record<string, Candidate> = {};
  // The input of the step itself first: it is the one that is always there.
  for (let ago = 0; ago < window; ago++) candidates[`x_${ago}`] = { of: "x", name: "x", ago, shape: [input] };
  const xOf = (get: Get): Sym => {
    const parts = Array.from({ length: window }, (_, k) => get(`x_${window - 1 - k}`, [input]));
    return parts.length === 1 ? parts[0]! : concat(...parts);
  };
  const statesOf = (get: Get, count: number): Record<string, StateSyms> =>
    Object.fromEntries(
      recurrences.slice(0, count).map(({ name: state, state: size }) => [state, {
        now: get(`now_${state}`, [size]),
        before: get(`before_${state}`, [size]),
      }]),
    );
  const gates: LayerMap[] = [];
  const kept = new Map<string, Shape>();
  for (const [k, recurrence] of recurrences.entries()) {
    const { map } = makeMap(`gates ${recurrence.name} of ${name}`, params, candidates, reverse, (get, p) => {
      const { a, b, kept } = traceGates(spec, recurrence, xOf(get), p, statesOf(get, k));
      return { a, b, ...Object.fromEntries(Object.entries(kept).map(([key, value]) => [`kept_${key}`, value])) };
    });
    gates.push(map);
    for (const [path, shape] of Object.entries(map.fn.outputs)) {
      if (!path.startsWith("kept_")) continue;
      const key = path.slice("kept_".length);
      if (kept.has(key)) {
        throw new TypeError(`Cannot define "${name}": only one recurrence may keep "${key}", got it from two`);
      }
      kept.set(key, shape as Shape);
    }
    const { name: state, state: size } = recurrence;
    candidates[`now_${state}`] = { of: "now", name: state, ago: 0, shape: [size] };
    candidates[`before_${state}`] = { of: "before", name: state, ago: 1, shape: [size] };
  }
  for (const [key, shape] of kept) candidates[`kept_${key}`] = { of: "kept", name: key, ago: 0, shape };
  const { map: output, program } = makeMap(`output of ${name}`, params, candidates, reverse, (get, p) => {
    const values = Object.fromEntries([...kept].map(([key, shape]) => [key, get(`kept_${key}`, shape)]));
    return { y: traceOutput(spec, xOf(get), p, statesOf(get, recurrences.length), values) };
  });
  const source = program.inputs.find(({ leaf }) => leaf === program.outputs[0]!.node)?.path ?? "";
  const same = candidates[source]?.of === "now" ? candidates[source].name : undefined;
  return { gates, output: same === undefined ? output : null, outputState: same ?? "" };
}
