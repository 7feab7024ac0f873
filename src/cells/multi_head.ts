import { checkKeys, describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import type { ShapeTree } from "../core/types.ts";
import type { InitRules } from "../init.ts";
import { defineStep, initialisationOf, programOf, type Step } from "../step.ts";
import type { Node } from "../trace/graph.ts";
import { concat, slice } from "../trace/ops.ts";
import type { ParameterLeaf } from "../trace/parameters.ts";
import { transplant } from "../trace/transplant.ts";
import type { CellSize } from "./size.ts";

/** Sizes and settings of {@linkcode multiHead}. */
export interface MultiHeadOptions extends CellSize {
  /** How many heads; `hidden` counts the units of all. */
  heads: number;
  /** Makes the cell of one head of `hidden / heads` units: `gru`, `lstm`, or a step of one's own. */
  cell: (size: CellSize) => Step;
  /** Whether each head reads its own `input / heads` of the inputs; default false: all of them. */
  split?: boolean;
}

const nameOf = (k: number): string => `head${k}`;

/**
 * Cells of few states side by side as one step, `h'[k] = f(h[k], x; p[k])` for each head k, or f(h[k], x[k]) with `split`: its
 * Jacobian is proved to be in blocks, one for each head, so that Newton's method, `deer`, multiplies blocks and no matrices of
 * all states.
 *
 * Parameters `{ head0: ..., head1: ... }`, the tree of the cell each; they start by the cell's own rules, all from one seed.
 * State: those of the heads one after the other, `[heads · D]`. Cost of a step: that of the cells; of a sweep on the CPU engine,
 * too. On WebGPU blocks of up to 4 states are scanned as blocks, larger ones as a whole.
 *
 * Throws a `RangeError` for sizes that the heads do not divide, a `TypeError` for a `cell` that makes no cell of these sizes. Lim
 * et al. use 32 heads of 8 units on sequential CIFAR-10.
 *
 * @example Eight GRUs of four units
 * ```ts
 * import { gru, multiHead, openDevice, recurrent } from "@cervid/cervid";
 *
 * const cell = multiHead({ heads: 8, cell: gru, input: 3, hidden: 32 });
 * console.log(cell.jacobian); // { block: 4, layout: "contiguous" }
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = recurrent(cell, { method: "deer" });
 * using ys = layer.apply(layer.init(device), { data: new Float32Array(300).fill(0.1), shape: [100, 3] });
 * console.log(ys.shape); // [100, 32]
 * ```
 */
export function multiHead(options: MultiHeadOptions): Step {
  const context = "Cannot make multiHead()";
  checkKeys(context, "options", options, ["heads", "cell", "input", "hidden", "split"]);
  const { heads, cell, input, hidden, split = false } = options;
  for (const [name, value] of Object.entries({ heads, input, hidden })) checkCount(context, name, value, 1);
  if (typeof split !== "boolean") {
    throw new TypeError(`${context}: split must be true or false, got ${describe(split)}`);
  }
  for (const [name, value] of Object.entries({ hidden, ...(split && { input }) })) {
    if (value % heads === 0) continue;
    throw new RangeError(`${context}: ${name} must be a multiple of the ${heads} heads, got ${value}`);
  }
  if (typeof cell !== "function") throw new TypeError(`${context}: cell must be a function, got ${describe(cell)}`);
  const size = { input: split ? input / heads : input, hidden: hidden / heads };
  const head = cell(size);
  const program = programOf(head);
  if (head.input !== size.input) {
    throw new TypeError(`${context}: cell must make a step of ${size.input} inputs, got ${head.input}`);
  }
  const { rules, units } = initialisationOf(head);
  const each = <T>(value: T): Record<string, T> =>
    Object.fromEntries(Array.from({ length: heads }, (_, k) => [nameOf(k), value]));
  const { state } = head;
  return defineStep<ShapeTree>({
    name: `${heads} ${head.name}`,
    state: heads * state,
    input,
    params: each(head.params),
    units,
    init: each<InitRules>(rules),
    step({ h, x, p, t }) {
      const { trace } = t as Node;
      return concat(...Array.from({ length: heads }, (_, k) => {
        const places = new Map<Node, Node>([
          [program.h, slice(h, k * state, (k + 1) * state) as Node],
          [program.x, (split ? slice(x, k * size.input, (k + 1) * size.input) : x) as Node],
          [program.t, t as Node],
          ...program.params.map((leaf): [Node, Node] => [leaf.leaf, parameterAt(p[nameOf(k)], leaf)]),
        ]);
        return transplant(program.output, places, trace);
      }));
    },
  });
}

/** The symbol at a path of a tree of symbols. */
function parameterAt(tree: unknown, { path }: ParameterLeaf): Node {
  return path.split(".").reduce((value, name) => (value as Record<string, unknown>)[name], tree) as Node;
}
