import type { Node } from "./graph.ts";

/** How the printer makes a value, see `print.ts`. */
export type Role = "constant" | "view" | "local" | "loop" | "block";

/**
 * The stages after which values are not read any more, by stage: views, and short values that are texts of others, are read
 * as long as they are used themselves. Outputs are read for ever.
 */
export function endingAt(
  order: readonly Node[],
  roles: ReadonlyMap<Node, Role>,
  stages: ReadonlyMap<Node, number>,
  outputs: readonly Node[],
): Node[][] {
  const ends = new Map<Node, number>(outputs.map((node) => [node, Infinity]));
  for (const node of order.toReversed()) {
    const own = Math.max(ends.get(node) ?? 0, stages.get(node)!);
    ends.set(node, own);
    const through = roles.get(node) === "view" || roles.get(node) === "local";
    for (const arg of node.args) ends.set(arg, Math.max(ends.get(arg) ?? 0, through ? own : stages.get(node)!));
  }
  const ending: Node[][] = Array.from({ length: 1 + Math.max(-1, ...stages.values()) }, () => []);
  for (const node of order) ending[ends.get(node)!]?.push(node);
  return ending;
}
