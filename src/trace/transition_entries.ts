import { concat, elementwise, mul, zeros } from "./build.ts";
import type { Node } from "./graph.ts";
import { structuredJacobian, type Term } from "./jacobian.ts";
import type { BlockLayout } from "./pattern.ts";
import type { StepProgram } from "./program.ts";
import { blockPlanes, clipEntries, diagonalOf, identity, jacobianColumns, type Transition } from "./transition.ts";

/** The entries of G[t], for machines that compose transitions instead of applying them to one vector. */
export type TransitionEntries =
  | { readonly kind: "zero" | "identity" }
  /** Planes of `D / size` entries: plane p size + q holds entry (p, q) of the block of every unit. */
  | { readonly kind: "blocks"; readonly size: number; readonly layout: BlockLayout; readonly planes: Node }
  /** Entries follow from the terms, with clip and scale still to be applied. */
  | { readonly kind: "terms"; readonly terms: readonly Exclude<Term, { kind: "product" }>[] }
  /** Entry (i, j) is `transposed[j, i]`, clip and scale still to be applied. */
  | { readonly kind: "columns"; readonly transposed: Node };

/** The nodes that entries are made of. */
export function nodesOfEntries(entries: TransitionEntries): Node[] {
  switch (entries.kind) {
    case "zero":
    case "identity":
      return [];
    case "blocks":
      return [entries.planes];
    case "columns":
      return [entries.transposed];
    case "terms":
      return entries.terms.flatMap((term) => {
        if (term.kind === "diagonal") return [term.values];
        return term.kind === "outer" ? [term.left, term.right] : [term.left, term.view.matrix, term.right];
      });
  }
}

/** Blocks of more states than this are treated as dense. */
export const MAX_BLOCK = 4;

/** How G[t] is to be computed entry by entry; with `absolute` the entries of small blocks are absolute values. */
export function transitionEntries(
  program: StepProgram,
  transition: Transition,
  absolute = false,
): TransitionEntries {
  const { kind, scale, clip } = transition;
  const { tangent, trace, output, h, state } = program;
  return trace.run((): TransitionEntries => {
    if (kind === "sequential" || kind === "zero" || tangent === null && kind !== "identity") return { kind: "zero" };
    if (kind === "identity") return { kind: "identity" };
    const finish = (entries: Node): Node => {
      const scaled = mul(clipEntries(entries, clip), trace.constant(1 - scale));
      return absolute ? elementwise("abs", [scaled]) : scaled;
    };
    if (kind === "diagonal") {
      const diagonal = diagonalOf(program, transition);
      return diagonal === null
        ? { kind: "zero" }
        : { kind: "blocks", size: 1, layout: "contiguous", planes: finish(diagonal) };
    }
    if (kind === "block" && transition.block! <= MAX_BLOCK) {
      const size = transition.block!;
      const layout = transition.layout ?? "contiguous";
      const planeAt = blockPlanes(program, { ...transition, layout });
      const plane = (p: number, q: number): Node => planeAt(p, q) ?? zeros(trace, [state / size]);
      const planes = Array.from({ length: size * size }, (_, e) => finish(plane(Math.floor(e / size), e % size)));
      return { kind: "blocks", size, layout, planes: concat(planes) };
    }
    const terms = structuredJacobian(output, h);
    const direct = terms?.filter((term) => term.kind !== "product");
    return direct === undefined || direct.length < terms!.length
      ? { kind: "columns", transposed: jacobianColumns(program, identity(state)) }
      : { kind: "terms", terms: direct };
  });
}
