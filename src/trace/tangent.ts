import { slice, zeros } from "./build.ts";
import { jvp, substitute } from "./differentiate.ts";
import type { Node } from "./graph.ts";
import type { ParameterLeaf } from "./parameters.ts";
import { analyseStep, type StepProgram } from "./program.ts";

/** What of a problem has a tangent. */
export interface TangentRequest {
  /** One for each parameter. */
  readonly params: readonly boolean[];
  readonly xs: boolean;
}

const cache = new WeakMap<StepProgram, Map<string, StepProgram>>();

/**
 * The forward pass of derivatives along a trajectory: the step `ḣ' = ∂f/∂h ḣ + ∂f/∂p ṗ + ∂f/∂x ẋ`, affine in ḣ. Its inputs are
 * rows of `[h[t-1], x, ẋ]`; after the parameters come the tangents of those that have one, in their order.
 */
export function tangentOf(program: StepProgram, request: TangentRequest): StepProgram {
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  const key = `${request.params.map(Number).join("")}|${Number(request.xs)}`;
  let tangent = known.get(key);
  if (tangent === undefined) known.set(key, tangent = makeTangent(program, request));
  return tangent;
}

function makeTangent(
  { name, trace, state, input, params, h, x, t, output }: StepProgram,
  request: TangentRequest,
): StepProgram {
  return trace.run(() => {
    const own = trace.leaf("h", [state]);
    const row = trace.leaf("x", [state + input + (request.xs ? input : 0)]);
    const given = params.filter((_, k) => request.params[k]).map((parameter): [Node, ParameterLeaf] => {
      const { path, shape, leaf } = parameter;
      return [leaf, { path: `tangent ${path}`, shape, leaf: trace.leaf(`tangent ${path}`, shape) }];
    });
    const seeds = new Map<Node, Node>([
      [h, own],
      ...given.map(([leaf, tangent]): [Node, Node] => [leaf, tangent.leaf]),
    ]);
    if (request.xs) seeds.set(x, slice(row, state + input, input));
    const moved = jvp([output], seeds)[0] ?? zeros(trace, [state]);
    const along = [[h, slice(row, 0, state)], [x, slice(row, state, input)]] as const;
    return analyseStep({
      name: `${name} tangent`,
      trace,
      state,
      input: row.size,
      params: [...params, ...given.map(([, tangent]) => tangent)],
      h: own,
      x: row,
      t,
      output: along.reduce((node, [leaf, value]) => substitute(node, leaf, value, trace), moved),
      delta: trace.leaf("delta", [state]),
    });
  });
}
