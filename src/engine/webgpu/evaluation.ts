import { emitEvaluate, type EvaluateSpec, type Store } from "../../../kernels/evaluate.ts";
import type { Kernel } from "../../../kernels/kernel.ts";
import { locateRow, type RowShape } from "../../../kernels/traced.ts";
import { type Node, topological } from "../../trace/graph.ts";
import type { Place } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import { MAX_BLOCK } from "../../trace/transition_entries.ts";
import { planTile, printLane, type PrintRequest, printTile, widestOf } from "./traced.ts";

/** Words of workgroup memory that every device has, but for a few that kernels keep for themselves. */
export const WORKGROUP_WORDS = 4000;

/** Steps of at most this many states are evaluated by one invocation each. */
const LANE_STATES = MAX_BLOCK;

/** An evaluation at all rows, and the tiles it works in. */
export interface Evaluation {
  readonly spec: EvaluateSpec;
  readonly kernel: Kernel;
}

/** A product W x over all rows, W a parameter: work for a kernel of products. */
export interface Projection {
  readonly node: Node;
  /** Which parameter W is, `(columns, I)`. */
  readonly parameter: number;
  readonly columns: number;
}

/** Smaller matrices are read from caches where they are used. */
const LEAST_PROJECTION = 4096;

/** What a kernel over rows is for. */
export interface EvaluateOptions {
  readonly name: string;
  readonly shape: RowShape;
  readonly previous: EvaluateSpec["previous"];
  readonly skip: boolean;
  readonly stores: (places: ReadonlyMap<Node, Place>) => Store[];
  /** There is one row only. */
  readonly single?: boolean;
}

/** The kernel of an evaluation, by one invocation a row where values are short, else by workgroups. */
export function evaluate(request: PrintRequest, options: EvaluateOptions): Evaluation {
  const { name, shape, previous, skip, single = false } = options;
  const width = widestOf(request);
  let spec: EvaluateSpec;
  if (width <= LANE_STATES && !single) {
    const { code, places } = printLane(request);
    spec = { name, shape, code, stores: options.stores(places), previous, skip, tile: null };
  } else {
    const locate = (scratch: string, words: string): string[] => [
      "let r = r0 + row;",
      ...locateRow(shape, "r"),
      `let w = ${scratch}row * ${words};`,
    ];
    // Scratch is known once the code is printed, and what it needs decides how many rows fit.
    const trial = printTile(request, { rows: 1, lanes: 32, scratch: "workgroup" }, locate("", "SCRATCH"));
    const tile = planTile(trial.code.scratch, width, single ? 1 : 64, WORKGROUP_WORDS);
    const words = trial.code.scratch;
    const base = tile.scratch === "storage" ? `group * ${words}u + ` : "";
    const { code, places } = printTile(request, tile, locate(base, `${words}u`));
    spec = { name, shape, code, stores: options.stores(places), previous, skip, tile };
  }
  return { spec, kernel: emitEvaluate(spec) };
}

/** The largest product of a parameter with x that is worth a kernel of its own. */
export function findProjection({ params, x }: StepProgram, hoisted: readonly Node[]): Projection | null {
  const products = topological(hoisted).filter(({ op, args }) => op === "matvec" && args[1] === x)
    .map((node): Projection => ({
      node,
      parameter: params.findIndex(({ leaf }) => leaf === node.args[0]),
      columns: node.size,
    }))
    .filter(({ node, parameter }) => parameter >= 0 && node.args[0]!.size >= LEAST_PROJECTION);
  return products.sort((a, b) => b.columns - a.columns)[0] ?? null;
}
