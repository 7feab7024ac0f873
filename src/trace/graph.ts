import type { Shape } from "../core/types.ts";
import { sizeOf } from "../core/shape.ts";
import { misuse } from "./misuse.ts";

/** Elementwise operations; scalars broadcast against arrays of any shape. Their rules: `elementwise.ts`. */
export type ElementwiseOp =
  | "neg"
  | "exp"
  | "log"
  | "sqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "softplus"
  | "abs"
  | "sign"
  | "detach"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "pow"
  | "max"
  | "min"
  | "less"
  | "greater"
  | "equal"
  | "isNaN"
  | "where";

/** Every operation of the graph: leaves, elementwise, and those that move or combine elements. */
export type Op =
  | "constant"
  | "leaf"
  | ElementwiseOp
  | "matvec"
  | "matvecTransposed"
  | "outer"
  | "matmul"
  | "transpose"
  | "linearSolve"
  | "logDet"
  | "sum"
  | "maximum"
  | "slice"
  | "pad"
  | "concat"
  | "reshape"
  | "broadcast"
  | "columns";

/** What an operation knows beside its arguments; only the fields of its own kind are set. */
export interface Attributes {
  /** constant: the value of a scalar */
  readonly value?: number;
  /** constant: the elements of an array; columns: the seeds, one row a column */
  readonly data?: Float64Array;
  /** leaf: its name */
  readonly name?: string;
  /** slice, pad: the first element, and the distance between elements, in the longer vector */
  readonly start?: number;
  readonly stride?: number;
  /** columns: the tangent to repeat, and the leaf that stands for the seed */
  readonly body?: Node;
  readonly seed?: Node;
}

/** A symbolic scalar, vector or matrix. */
export interface Sym {
  /** `[]` a scalar, `[n]` a vector, `[m, n]` a matrix. */
  readonly shape: Shape;
}

/** One value of a traced function. Nodes are immutable and shared: equal expressions are one node. */
export class Node implements Sym {
  readonly #trace: Trace;
  constructor(
    trace: Trace,
    readonly id: number,
    readonly op: Op,
    readonly args: readonly Node[],
    readonly shape: Shape,
    readonly attributes: Attributes,
  ) {
    this.#trace = trace;
  }

  get trace(): Trace {
    return this.#trace;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** JavaScript's own operators and branches reach a traced value here. */
  [Symbol.toPrimitive](): never {
    throw misuse(
      this.#trace.name,
      "a traced value was used as a number (an operator such as + or <, Math.*, or a branch)",
      "write add(a, b), mul(a, b), where(less(a, b), x, y) and the like from ops",
    );
  }

  /** Spreading and destructuring reach a traced value here. */
  [Symbol.iterator](): never {
    throw misuse(this.#trace.name, "a traced value was spread or destructured", "take parts with slice(v, start, end)");
  }
}

let current: Trace | undefined;

/** The graph of one traced function: it makes nodes, and gives equal expressions the same node. */
export class Trace {
  readonly #nodes = new Map<string, Node>();
  #count = 0;

  constructor(readonly name: string) {}

  /** Runs `fn` with this trace as the one that operations write to. */
  run<R>(fn: () => R): R {
    const outer = current;
    current = this;
    try {
      return fn();
    } finally {
      current = outer;
    }
  }

  /** A free variable: state, input, parameter, time, or the variable of a derivative. Never shared by name. */
  leaf(name: string, shape: Shape): Node {
    return this.#add("leaf", [], shape, { name });
  }

  /** A scalar, or an array with the given elements. */
  constant(value: number | ArrayLike<number>, shape?: Shape): Node {
    if (typeof value === "number") {
      const key = `c${Object.is(value, -0) ? "-0" : value}`;
      return this.#intern(key, () => this.#add("constant", [], [], { value }));
    }
    const data = Float64Array.from(value);
    return this.#add("constant", [], shape ?? [data.length], { data });
  }

  /** The node for `op(args)`, the existing one if there is one. */
  node(op: Op, args: readonly Node[], shape: Shape, attributes: Attributes = {}): Node {
    if (attributes.data !== undefined || attributes.body !== undefined) return this.#add(op, args, shape, attributes);
    const { start = "", stride = "" } = attributes;
    const key = `${op}|${args.map((arg) => arg.id).join()}|${shape.join()}|${start}|${stride}`;
    return this.#intern(key, () => this.#add(op, args, shape, attributes));
  }

  #add(op: Op, args: readonly Node[], shape: Shape, attributes: Attributes): Node {
    return new Node(this, this.#count++, op, args, shape, attributes);
  }

  #intern(key: string, make: () => Node): Node {
    let node = this.#nodes.get(key);
    if (node === undefined) this.#nodes.set(key, node = make());
    return node;
  }
}

/** The trace that is being written, for operations called from a user's function. */
export function currentTrace(op: string): Trace {
  if (current === undefined) {
    throw misuse(
      undefined,
      `${op}() was called outside a step function`,
      "call ops only inside the step of defineStep, or inside a function that it calls",
    );
  }
  return current;
}

/** All nodes that `outputs` need, arguments before users, each once; `stop` nodes are included but not entered. */
export function topological(outputs: readonly Node[], stop?: (node: Node) => boolean): Node[] {
  const seen = new Set<Node>();
  const order: Node[] = [];
  // An explicit stack: graphs of unrolled user code are deep enough to overflow recursion.
  const stack: [Node, boolean][] = outputs.map((node): [Node, boolean] => [node, false]).reverse();
  while (stack.length > 0) {
    const [node, expanded] = stack.pop()!;
    if (expanded) {
      order.push(node);
      continue;
    }
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push([node, true]);
    if (stop?.(node)) continue;
    for (let i = node.args.length - 1; i >= 0; i--) stack.push([node.args[i]!, false]);
  }
  return order;
}

/** The nodes of `output` that depend on `leaf`, itself included. */
export function dependents(output: Node, leaf: Node): Set<Node> {
  const found = new Set<Node>([leaf]);
  for (const node of topological([output])) if (node.args.some((arg) => found.has(arg))) found.add(node);
  return found;
}
