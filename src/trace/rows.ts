import type { Shape, ShapeTree } from "../core/types.ts";
import { describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import { Node, topological, Trace } from "./graph.ts";
import { misuse } from "./misuse.ts";
import { leafTree, type ParameterLeaf, traceLeaves } from "./parameters.ts";

/** Which row of an array a function reads at row t of sequence b. */
export interface RowAccess {
  /** Row t - shift of the sequence; negative: a later one. Rows outside are zeros, or what is given. */
  readonly shift: number;
  /** `sequence`: the array has one row a sequence, the same for all t. */
  readonly per: "step" | "sequence";
}

/** One array that a function over rows reads. */
export interface RowLeaf extends RowAccess {
  readonly path: string;
  readonly shape: Shape;
  readonly leaf: Node;
}

/** One array that a function over rows writes. */
export interface RowOutput {
  readonly path: string;
  readonly node: Node;
}

/** A function `outputs[b, t] = f(inputs[b, t - shift]; params, t)` as a graph: all that engines need of it. */
export interface RowProgram {
  readonly name: string;
  readonly trace: Trace;
  readonly params: readonly ParameterLeaf[];
  readonly inputs: readonly RowLeaf[];
  readonly t: Node;
  readonly outputs: readonly RowOutput[];
}

/** A function over rows before it is traced. */
export interface RowSpec {
  readonly name: string;
  /** Shapes of one row of each array. */
  readonly inputs: ShapeTree;
  /** Inputs that are not read at their own row. */
  readonly access?: Readonly<Record<string, Partial<RowAccess>>>;
  readonly params: ShapeTree;
  /** Given the trees of symbols; returns the outputs by path, in order. */
  // Their fields are those of the shapes; who defines the function gives them types.
  // deno-lint-ignore no-explicit-any
  fn(inputs: any, p: any, t: Node): Readonly<Record<string, unknown>>;
}

/** Runs a function over rows once on symbols and keeps what it did. */
export function traceRows(spec: RowSpec): RowProgram {
  const { name, access = {} } = spec;
  const context = `Cannot define "${name}"`;
  const trace = new Trace(name);
  const params = traceLeaves(trace, context, "parameter", spec.params);
  const leaves = traceLeaves(trace, context, "input", spec.inputs);
  const inputs = leaves.map((input): RowLeaf => {
    const { shift = 0, per = "step" } = access[input.path] ?? {};
    checkCount(context, `the shift of "${input.path}", without its sign,`, Math.abs(shift), 0);
    return { ...input, shift, per };
  });
  const t = trace.leaf("t", []);
  return trace.run(() => {
    const results = spec.fn(
      leafTree(name, "input", spec.inputs, leaves),
      leafTree(name, "parameter", spec.params, params),
      t,
    );
    const outputs = Object.entries(results).map(([path, node]): RowOutput => {
      if (node instanceof Node && node.trace === trace) return { path, node };
      const came = node instanceof Node ? "a value of another trace" : describe(node);
      throw misuse(name, `the output "${path}" is ${came}`, "return vectors or scalars made by ops");
    });
    const given = new Set([t, ...params.map(({ leaf }) => leaf), ...inputs.map(({ leaf }) => leaf)]);
    if (topological(outputs.map(({ node }) => node)).some((node) => node.op === "leaf" && !given.has(node))) {
      throw misuse(
        name,
        "the variable of a function given to grad() was used outside that function",
        "use it inside only, and outside the value that the gradient is taken at",
      );
    }
    return { name, trace, params, inputs, t, outputs };
  });
}
