import type { ShapeTree } from "../core/types.ts";
import { describe } from "../core/describe.ts";
import { checkCount, formatShape, sizeOf } from "../core/shape.ts";
import { Node, type Sym, topological, Trace } from "./graph.ts";
import { jvp } from "./differentiate.ts";
import { ELEMENTWISE, isElementwise } from "./elementwise.ts";
import { misuse } from "./misuse.ts";
import { leafTree, type ParameterLeaf, traceLeaves } from "./parameters.ts";
import { provePattern, type Structure } from "./pattern.ts";
import { reshape } from "./build.ts";

/** A recurrence `h' = f(h, x; p, t)` as a graph: what `trace/` knows of a user's step, and all that engines need. */
export interface StepProgram {
  readonly name: string;
  readonly trace: Trace;
  /** D */
  readonly state: number;
  /** I */
  readonly input: number;
  readonly params: readonly ParameterLeaf[];
  readonly h: Node;
  readonly x: Node;
  readonly t: Node;
  /** f, `[D]` */
  readonly output: Node;
  /** The leaf δ `[D]` of the linear part G δ of a sweep. */
  readonly delta: Node;
  /** `∂f/∂h · δ`, null if provably zero. */
  readonly tangent: Node | null;
  /** Where ∂f/∂h may be non-zero. */
  readonly structure: Structure;
  /** The same along elementwise paths only: the states that belong to one unit. */
  readonly units: Structure;
  /** Whether f is affine in h: Newton's method then needs one sweep. */
  readonly affine: boolean;
}

/** What a step function is given, all symbolic. */
export interface StepArguments {
  readonly h: Sym;
  readonly x: Sym;
  // Its fields are those of the step's own params; step.ts gives them their types.
  // deno-lint-ignore no-explicit-any
  readonly p: any;
  readonly t: Sym;
}

/** A step before it is traced. */
export interface TraceSpec {
  readonly name: string;
  readonly state: number;
  readonly input: number;
  readonly params: ShapeTree;
  step(args: StepArguments): Sym;
}

/** More states than any dense step can have; it bounds the work of tracing. */
const MAX_STATE = 2 ** 24;

/** Runs a step function once on symbols and keeps what it did. */
export function traceStep(spec: TraceSpec): StepProgram {
  const { name, state, input } = spec;
  const context = `Cannot define "${name}"`;
  checkCount(context, "state", state, 1);
  if (state > MAX_STATE) throw new RangeError(`${context}: state must be at most ${MAX_STATE}, got ${state}`);
  checkCount(context, "input", input, 0);
  const trace = new Trace(name);
  const params = traceLeaves(trace, context, "parameter", spec.params);
  const h = trace.leaf("h", [state]);
  const x = trace.leaf("x", [input]);
  const t = trace.leaf("t", []);
  const delta = trace.leaf("delta", [state]);
  return trace.run(() => {
    const p = leafTree(name, "parameter", spec.params, params);
    const result = spec.step({ h, x, p, t });
    if (!(result instanceof Node) || result.trace !== trace) {
      throw misuse(
        name,
        `the step returned ${result instanceof Node ? "a value of another trace" : returned(result)}`,
        "return the next state as one vector made by ops, of several parts with concat(...)",
      );
    }
    if (sizeOf(result.shape) !== state || result.shape.length > 1) {
      throw misuse(
        name,
        `the step returned shape ${formatShape(result.shape)}, but state is ${state}`,
        "return a vector of as many elements as state, for instance with concat(...)",
      );
    }
    const output = reshape(result, [state]);
    const given = new Set([h, x, t, ...params.map(({ leaf }) => leaf)]);
    if (topological([output]).some((node) => node.op === "leaf" && !given.has(node))) {
      throw misuse(
        name,
        "the variable of a function given to grad() was used outside that function",
        "use it inside only, and outside the value that the gradient is taken at",
      );
    }
    return analyseStep({ name, trace, state, input, params, h, x, t, output, delta });
  });
}

/** What a traced step is known by. */
type TracedStep = Omit<StepProgram, "tangent" | "structure" | "units" | "affine">;

/** Derives from a graph what engines need beside it. */
export function analyseStep(step: TracedStep): StepProgram {
  const { h, output, delta } = step;
  const tangent = jvp([output], new Map([[h, delta]]))[0]!;
  const affine = (tangent === null || !topological([tangent]).includes(h)) && isSmooth(output, h);
  return { ...step, tangent, structure: provePattern(output, h), units: provePattern(output, h, true), affine };
}

/** What a step returned instead of a symbol. */
function returned(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  return value instanceof Promise ? "a promise" : describe(value);
}

/** Whether no value jumps with `variable`, nor hides it from derivatives: then a derivative of 0 means constant. */
function isSmooth(output: Node, variable: Node): boolean {
  const varying = new Set<Node>([variable]);
  const one = output.trace.constant(1);
  for (const node of topological([output])) {
    for (const [i, arg] of node.args.entries()) {
      if (!varying.has(arg)) continue;
      varying.add(node);
      if (isElementwise(node.op) && ELEMENTWISE[node.op].scale(i, one, node.args, node) === null) return false;
    }
  }
  return true;
}
