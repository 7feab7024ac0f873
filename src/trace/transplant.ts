import { slice } from "./build.ts";
import { type Node, topological, type Trace } from "./graph.ts";

/** The graph of `output` once more in another trace, with what `places` says for each of its leaves. */
export function transplant(output: Node, places: ReadonlyMap<Node, Node>, trace: Trace): Node {
  const made = new Map<Node, Node>(places);
  for (const node of topological([output])) {
    if (made.has(node)) continue;
    const { op, shape, attributes } = node;
    const args = node.args.map((arg) => made.get(arg)!);
    if (op === "leaf" || attributes.body !== undefined) {
      throw new Error(`no place for ${op} "${attributes.name ?? ""}" of "${node.trace.name}"`);
    }
    if (op === "constant") {
      made.set(node, attributes.data ? trace.constant(attributes.data, shape) : trace.constant(attributes.value!));
    } else if (op === "slice") {
      // A slice of what is a slice there is one slice.
      made.set(node, slice(args[0]!, attributes.start!, node.size, attributes.stride));
    } else made.set(node, trace.node(op, args, shape, attributes));
  }
  return made.get(output)!;
}
