import type { Node } from "./graph.ts";
import type { RowProgram } from "./rows.ts";
import { hoistAhead } from "./stages.ts";

/** What rows need of parameters alone, but for views and constants: computed once. */
export function valuesAhead({ outputs, inputs, t }: RowProgram): Node[] {
  const rows = new Set<Node>([t, ...inputs.map(({ leaf }) => leaf)]);
  const { shared } = hoistAhead(outputs.map(({ node }) => node), (node) => rows.has(node) ? 2 : undefined);
  return shared.map(({ node }) => node);
}
