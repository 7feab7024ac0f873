import { add, slice, sub, zeros } from "./build.ts";
import { substitute, vjp } from "./differentiate.ts";
import { topological } from "./graph.ts";
import type { ParameterLeaf } from "./parameters.ts";
import { analyseStep, type StepProgram } from "./program.ts";
import type { RowProgram } from "./rows.ts";

/** The backward pass of a recurrence, as two traced functions. */
export interface AdjointPrograms {
  /**
   * `λ' = ȳ + (∂f/∂h)ᵀ λ` in reversed time, a step that is affine in λ: its inputs are rows of `[ȳ, h, x]`, its last parameter,
   * where f depends on t, the index T - 1.
   */
  readonly step: StepProgram;
  /** Whether `step` has that parameter. */
  readonly timed: boolean;
  /** `f(h[t-1], x[t]; p, t)` over rows: what the cotangents of parameters and inputs come from. */
  readonly rows: RowProgram;
}

const cache = new WeakMap<StepProgram, AdjointPrograms>();

/** The adjoint of a step, made at first use and kept as long as the step. */
export function adjointOf(program: StepProgram): AdjointPrograms {
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = makeAdjoint(program));
  return known;
}

function makeAdjoint(program: StepProgram): AdjointPrograms {
  const { name, trace, state, input, params, h, x, t, output } = program;
  return trace.run(() => {
    const lambda = trace.leaf("h", [state]);
    const row = trace.leaf("x", [2 * state + input]);
    const time = trace.leaf("t", []);
    const last: ParameterLeaf = { path: "last", shape: [], leaf: trace.leaf("last", []) };
    const back = vjp([output], [lambda], [h])[0] ?? zeros(trace, [state]);
    const timed = topological([back]).includes(t);
    const places = [
      [h, slice(row, state, state)],
      [x, slice(row, 2 * state, input)],
      [t, sub(last.leaf, time)],
    ] as const;
    const moved = places.reduce((node, [leaf, value]) => substitute(node, leaf, value, trace), back);
    const step = analyseStep({
      name: `${name} adjoint`,
      trace,
      state,
      input: 2 * state + input,
      params: timed ? [...params, last] : params,
      h: lambda,
      x: row,
      t: time,
      output: add(slice(row, 0, state), moved),
      delta: trace.leaf("delta", [state]),
    });
    const own = { shift: 0, per: "step" } as const;
    const rows: RowProgram = {
      name,
      trace,
      params,
      inputs: [
        { path: "h", shape: h.shape, leaf: h, shift: 1, per: "step" },
        ...(input === 0 ? [] : [{ path: "x", shape: x.shape, leaf: x, ...own }]),
      ],
      t,
      outputs: [{ path: "next", node: output }],
    };
    return { step, timed, rows };
  });
}
