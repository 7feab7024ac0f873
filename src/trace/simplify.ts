import type { ElementwiseOp, Node } from "./graph.ts";
import { ELEMENTWISE, isElementwise } from "./elementwise.ts";
import * as build from "./build.ts";

// Rules that need no look beyond a node's arguments; they apply as nodes are made, so derivatives are simple from the
// start. Equal expressions meet in Trace; dead code is never reached. A product with 0 stays: 0 · NaN is NaN.

/** The value of a scalar constant, also where it is broadcast. */
export function constantValue(node: Node): number | undefined {
  if (node.op === "broadcast") return constantValue(node.args[0]!);
  return node.op === "constant" ? node.attributes.value : undefined;
}

const isConstant = (node: Node | undefined, value: number): boolean =>
  node !== undefined && Object.is(constantValue(node), value);

/** A simpler node that equals `op(args)`, or undefined. Operands are scalars or of the result's shape. */
export function simplifyElementwise(op: ElementwiseOp, args: readonly Node[]): Node | undefined {
  const values = args.map(constantValue);
  const [a, b, c] = args as [Node, Node, Node];
  const shape = build.broadcastShape(args)!;
  const spread = (node: Node): Node => build.broadcast(node, shape);
  if (values.every((value) => value !== undefined)) {
    const [x = 0, y = 0, z = 0] = values;
    return spread(a.trace.constant(ELEMENTWISE[op].evaluate(x, y, z)));
  }
  // Of broadcast scalars, compute the scalar and broadcast the result.
  if (shape.length > 0 && args.every((arg) => arg.op === "broadcast" || arg.shape.length === 0)) {
    return spread(build.elementwise(op, args.map((arg) => arg.op === "broadcast" ? arg.args[0]! : arg)));
  }
  const scalars = args.map((arg) => arg.op === "broadcast" ? arg.args[0]! : arg);
  if (scalars.some((arg, i) => arg !== args[i])) return build.elementwise(op, scalars);
  const one = values[0] === undefined ? values[1] : values[0];
  switch (op) {
    case "add":
      if (isConstant(a, 0)) return spread(b);
      if (isConstant(b, 0)) return spread(a);
      if (b.op === "neg") return build.sub(a, b.args[0]!);
      if (a.op === "neg") return build.sub(b, a.args[0]!);
      return undefined;
    case "sub":
      if (isConstant(b, 0)) return spread(a);
      if (isConstant(a, 0)) return spread(build.neg(b));
      if (b.op === "neg") return build.add(a, b.args[0]!);
      return undefined;
    case "mul":
      if (one === 1) return spread(values[0] === undefined ? a : b);
      if (one === -1) return spread(build.neg(values[0] === undefined ? a : b));
      return undefined;
    case "div":
      return values[1] === 1 ? spread(a) : undefined;
    case "neg":
      return a.op === "neg" ? a.args[0] : undefined;
    case "pow":
      if (values[1] === 0) return spread(a.trace.constant(1));
      if (values[1] === 1) return spread(a);
      if (values[1] === 2) return build.mul(a, a);
      if (values[1] === 0.5) return build.elementwise("sqrt", [a]);
      return values[1] === -1 ? build.div(a.trace.constant(1), a) : undefined;
    case "where":
      if (values[0] !== undefined) return spread(values[0] !== 0 ? b : c);
      return b === c ? spread(b) : undefined;
    default:
      return undefined;
  }
}

/** A simpler node that equals the slice of the vector `a`, or undefined. */
export function simplifySlice(a: Node, start: number, count: number, stride: number): Node | undefined {
  if (count === a.size) return a;
  if (a.op === "broadcast") return build.broadcast(a.args[0]!, [count]);
  if (a.op === "slice") {
    const inner = a.attributes;
    return build.slice(a.args[0]!, inner.start! + start * inner.stride!, count, stride * inner.stride!);
  }
  // Through elementwise code, so that the gates of a stacked product share one loop.
  if (isElementwise(a.op)) {
    return build.elementwise(a.op, a.args.map((arg) => arg.size === 1 ? arg : build.slice(arg, start, count, stride)));
  }
  if (a.op === "concat" && stride === 1) {
    let begin = 0;
    const parts: Node[] = [];
    for (const part of a.args) {
      const from = Math.max(start, begin);
      const to = Math.min(start + count, begin + part.size);
      if (from < to) parts.push(build.slice(part, from - begin, to - from));
      begin += part.size;
    }
    return build.concat(parts);
  }
  if (a.op === "pad" && stride === 1 && a.attributes.stride === 1) {
    const { start: at } = a.attributes;
    const from = Math.max(start, at!);
    const to = Math.min(start + count, at! + a.args[0]!.size);
    if (from >= to) return build.zeros(a.trace, [count]);
    return build.pad(build.slice(a.args[0]!, from - at!, to - from), from - start, count);
  }
  return undefined;
}
