import { add, concat, div, elementwise, maximum, mul, reshape, slice, sum, where } from "./build.ts";
import { substitute } from "./differentiate.ts";
import { analyseStep, type StepProgram } from "./program.ts";

const cache = new WeakMap<StepProgram, Map<number, StepProgram>>();

/** Counted for a vector that is gone: more than all that can grow, and finite, as states have to be. */
export const GONE = -1e30;

/**
 * Growth along a trajectory: the step `v' = J v / |J v|, s' = s + log |J v|` for some vectors, J = ∂f/∂h at rows of `[h, x]`.
 * State `[v.., s..]`, k (D + 1); s counts from row `skip` on, the last parameter. Null where J is provably zero.
 */
export function growthOf(program: StepProgram, vectors: number): StepProgram | null {
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  let growth = known.get(vectors) ?? null;
  if (growth === null && program.tangent !== null) known.set(vectors, growth = makeGrowth(program, vectors));
  return growth;
}

function makeGrowth(
  { name, trace, state, input, params, h, x, t, delta, tangent }: StepProgram,
  vectors: number,
): StepProgram {
  return trace.run(() => {
    const own = trace.leaf("h", [vectors * (state + 1)]);
    const row = trace.leaf("x", [state + input]);
    const skip = trace.leaf("skip", []);
    const along = [[h, slice(row, 0, state)], [x, slice(row, state, input)]] as const;
    const here = along.reduce((node, [leaf, value]) => substitute(node, leaf, value, trace), tangent!);
    const moved = Array.from({ length: vectors }, (_, k) => {
      const v = substitute(here, delta, slice(own, k * state, state), trace);
      // Squares of large and of small numbers may be none.
      const largest = maximum(elementwise("abs", [v]));
      const gone = elementwise("equal", [largest, trace.constant(0)]);
      const scale = where(gone, trace.constant(1), largest);
      const scaled = div(v, scale);
      const norm = where(gone, trace.constant(1), elementwise("sqrt", [sum(mul(scaled, scaled))]));
      const growth = where(gone, trace.constant(GONE), elementwise("log", [scale]));
      const counted = where(
        elementwise("less", [t, skip]),
        trace.constant(0),
        add(growth, elementwise("log", [norm])),
      );
      return { v: div(scaled, norm), s: add(slice(own, vectors * state + k, 1), reshape(counted, [1])) };
    });
    return analyseStep({
      name: `${name} growth`,
      trace,
      state: own.size,
      input: row.size,
      params: [...params, { path: "skip", shape: [], leaf: skip }],
      h: own,
      x: row,
      t,
      output: concat([...moved.map(({ v }) => v), ...moved.map(({ s }) => s)]),
      delta: trace.leaf("delta", own.shape),
    });
  });
}
