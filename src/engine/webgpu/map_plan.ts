import { type Node, topological } from "../../trace/graph.ts";
import type { Place } from "../../trace/places.ts";
import type { RowProgram } from "../../trace/rows.ts";
import { hoistAhead } from "../../trace/stages.ts";
import { Constants } from "./constants.ts";

/** Smaller matrices are read from caches where they are used. */
const LEAST_PRODUCT = 4096;

/** An array of a map: one row, one a sequence or one a step, `size` words each. */
export interface MapArray {
  readonly kind: "parameter" | "sequence" | "step";
  readonly size: number;
  /** At row r its row r - shift is read. */
  readonly shift: number;
  readonly source:
    | { readonly from: "parameter" | "input" | "start" | "output"; readonly index: number }
    /** The engine's own: constants, values from parameters alone, values that one kernel makes for another. */
    | { readonly from: "constants" | "shared" | "made" };
}

/** Where a value is read: words of the row of an array, by its number; outside of a sequence of another one. */
export interface Reading {
  readonly array: number;
  readonly offset: number;
  readonly start: number | null;
}

/** A value that a kernel writes: into which array, and after how many words of its row. */
export interface Piece {
  readonly node: Node;
  readonly array: number;
  readonly offset: number;
}

/** Products with the rows of an array, and with those of its start: `to = from matrixᵀ` ("abt") or `from matrix` ("ab"). */
export interface ProductStep {
  readonly kind: "product";
  readonly matrix: Pick<Reading, "array" | "offset">;
  readonly form: "abt" | "ab";
  readonly inner: number;
  readonly columns: number;
  readonly ways: readonly { readonly from: number; readonly to: number }[];
}

/** Values that kernels over rows write, from what is there. */
export interface EvaluateStep {
  readonly kind: "evaluate";
  readonly pieces: readonly Piece[];
  readonly readings: ReadonlyMap<Node, Reading>;
}

/** A function over rows cut at its large products. */
export interface MapPlan {
  readonly program: RowProgram;
  readonly arrays: readonly MapArray[];
  readonly constants: Constants;
  readonly constantArray: number;
  readonly sharedArray: number;
  /** Values from parameters alone: one row of them. */
  readonly shared: EvaluateStep;
  /** What is done for the rows, in this order. */
  readonly steps: readonly (ProductStep | EvaluateStep)[];
}

/** A value without the reshapes around it: the same words. */
function bare(node: Node): Node {
  return node.op === "reshape" ? bare(node.args[0]!) : node;
}

/** Whether a matrix from parameters alone is contiguous in memory, as it is or where values from parameters are kept. */
function isContiguous(node: Node): boolean {
  if (node.op === "reshape" || (node.op === "slice" && node.attributes.stride === 1)) {
    return isContiguous(node.args[0]!);
  }
  return node.op !== "broadcast" && (node.op !== "constant" || node.attributes.data !== undefined);
}

/** Products of large matrices from parameters alone with vectors that are not, by how many others each follows. */
function productsByDepth({ outputs, inputs, t }: RowProgram): Node[][] {
  const varying = new Set<Node>([t, ...inputs.map(({ leaf }) => leaf)]);
  const depths = new Map<Node, number>();
  const levels: Node[][] = [];
  for (const node of topological(outputs.map(({ node }) => node))) {
    if (node.args.some((arg) => varying.has(arg))) varying.add(node);
    const depth = Math.max(0, ...node.args.map((arg) => depths.get(arg)!));
    const [matrix, vector] = node.args as [Node, Node];
    const isProduct = (node.op === "matvec" || node.op === "matvecTransposed") && matrix.size >= LEAST_PRODUCT &&
      !varying.has(matrix) && varying.has(vector) && isContiguous(matrix);
    depths.set(node, depth + Number(isProduct));
    if (isProduct) (levels[depth] ??= []).push(node);
  }
  return levels;
}

/** The plan of a function: what its kernels read and write, and in which order they run. */
export function planMap(program: RowProgram): MapPlan {
  const { params, inputs, outputs, t } = program;
  const arrays: MapArray[] = [];
  const add = (kind: MapArray["kind"], size: number, source: MapArray["source"], shift = 0): number =>
    arrays.push({ kind, size, shift, source }) - 1;
  const readings = new Map<Node, Reading>();
  params.forEach(({ leaf }, index) => {
    readings.set(leaf, { array: add("parameter", leaf.size, { from: "parameter", index }), offset: 0, start: null });
  });
  const fromParameters = new Map(readings);
  inputs.forEach(({ leaf, shift: given, per }, index) => {
    const shift = per === "sequence" ? 0 : given;
    const start = shift === 0 ? null : add("sequence", Math.abs(shift) * leaf.size, { from: "start", index });
    const kind = per === "sequence" ? "sequence" : "step";
    readings.set(leaf, { array: add(kind, leaf.size, { from: "input", index }, shift), offset: 0, start });
  });
  const outputArrays = outputs.map(({ node }, index) => add("step", node.size, { from: "output", index }));

  const levels = productsByDepth(program);
  const given = new Set<Node>([t, ...inputs.map(({ leaf }) => leaf), ...levels.flat()]);
  const nodes = outputs.map(({ node }) => node);
  const products = levels.flat();
  const wanted = [...nodes, ...products.flatMap(({ args }) => args)];
  const { shared, sharedSize } = hoistAhead(wanted, (node) => given.has(node) ? 2 : undefined);
  const sharedArray = add("parameter", sharedSize, { from: "shared" });
  const constantArray = add("parameter", 0, { from: "constants" });
  const constants = new Constants();
  for (const { node, offset } of shared) readings.set(node, { array: sharedArray, offset, start: null });

  const steps: (ProductStep | EvaluateStep)[] = [];
  const written = new Set<number>();
  /** Where a value is kept: in the output that it is, or in an array of its own. */
  const home = (node: Node, kind: MapArray["kind"] = "step", shift = 0): number => {
    const own = kind === "step" && shift === 0 ? outputs.findIndex((output) => bare(output.node) === node) : -1;
    if (own < 0) return add(kind, node.size, { from: "made" }, shift);
    written.add(outputArrays[own]!);
    return outputArrays[own]!;
  };
  const evaluate = (pieces: readonly Piece[]): void => {
    if (pieces.length > 0) steps.push({ kind: "evaluate", pieces, readings: new Map(readings) });
    for (const { node, array } of pieces) readings.set(node, { array, offset: 0, start: null });
  };
  const locate = (matrix: Node): ProductStep["matrix"] => {
    const known = readings.get(matrix);
    if (known !== undefined) return known;
    if (matrix.op === "constant") {
      const place = constants.place(matrix.attributes.data!, "") as Place & { kind: "memory" };
      return { array: constantArray, offset: place.first };
    }
    const { array, offset } = locate(matrix.args[0]!);
    return { array, offset: offset + (matrix.op === "slice" ? matrix.attributes.start! : 0) };
  };
  const multiply = (node: Node): void => {
    const [matrix, vector] = node.args as [Node, Node];
    const { array: from, start } = readings.get(bare(vector))!;
    const { kind, shift } = arrays[from]!;
    const to = home(node, kind, shift);
    const startTo = start === null ? null : add("sequence", Math.abs(shift) * node.size, { from: "made" });
    steps.push({
      kind: "product",
      matrix: locate(matrix),
      form: node.op === "matvec" ? "abt" : "ab",
      inner: vector.size,
      columns: node.size,
      ways: [{ from, to }, ...(start === null ? [] : [{ from: start, to: startTo! }])],
    });
    readings.set(node, { array: to, offset: 0, start: startTo });
  };
  for (const level of levels) {
    const vectors = new Set(level.map(({ args }) => bare(args[1]!)));
    evaluate(
      [...vectors].filter((node) => !readings.has(node)).map((node) => ({ node, array: home(node), offset: 0 })),
    );
    level.forEach(multiply);
  }
  const rest = nodes.map((node, k): Piece => ({ node, array: outputArrays[k]!, offset: 0 }));
  evaluate(rest.filter(({ array }) => !written.has(array)));
  const pieces = shared.map(({ node, offset }): Piece => ({ node, array: sharedArray, offset }));
  return {
    program,
    arrays,
    constants,
    constantArray,
    sharedArray,
    shared: { kind: "evaluate", pieces, readings: fromParameters },
    steps,
  };
}
