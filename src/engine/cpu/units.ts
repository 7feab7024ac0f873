import type { Node } from "../../trace/graph.ts";
import { type Place, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Transition } from "../../trace/transition.ts";
import type { TransitionEntries } from "../../trace/transition_entries.ts";
import { entryText, fillEntries, type Index, plus, sumOf, times } from "./entry_lines.ts";

/** Units of n states: G is a diagonal (n = 1), blocks, or one block of all. */
export interface Units {
  readonly size: number;
  readonly count: number;
  /** Statements that come before entries are read. */
  readonly lines: readonly string[];
  /** The state that is component p of unit u. */
  channel(u: Index, p: Index): Index;
  /** Entry (p, q) of the block of unit u; numbers where the state is short. */
  entry(u: Index, p: Index, q: Index): string;
}

/** The units of a transition, with texts of the entries of G: of dense ones `denseWords` of `W` from `first` on are used. */
export function unitsOf(
  { state }: StepProgram,
  transition: Transition,
  entries: TransitionEntries,
  places: ReadonlyMap<Node, Place>,
  first: number,
): Units {
  const size = unitSize(state, transition, entries);
  const count = state / size;
  const strided = (entries.kind === "blocks" ? entries.layout : transition.layout) === "strided";
  const channel = (u: Index, p: Index): Index => strided ? sumOf(times(p, count), u) : sumOf(times(u, size), p);
  let lines: readonly string[] = [];
  let entry: Units["entry"] = () => "0";
  if (entries.kind === "blocks") {
    const planes = places.get(entries.planes)!;
    entry = (u, p, q) => read(planes, sumOf(times(sumOf(times(p, size), q), count), u));
  } else if (entries.kind === "terms" || entries.kind === "columns") {
    const dense = denseWords(state, entries) > 0;
    if (dense) lines = fillEntries(entries, places, state, first);
    entry = (u, p, q) => {
      const [i, k] = [channel(u, p), channel(u, q)];
      if (dense) return `W[${plus(sumOf(times(i, state), k), first)}]`;
      return entryText(entries, places, state, Number(i), Number(k));
    };
  }
  return { size, count, lines, channel, entry };
}

/** Words of a matrix that entries are collected in, where they are many. */
export function denseWords(state: number, entries: TransitionEntries): number {
  return (entries.kind === "terms" || entries.kind === "columns") && state > STRAIGHT ? state * state : 0;
}

/** n */
export function unitSize(state: number, { kind, block }: Transition, entries: TransitionEntries): number {
  if (entries.kind === "blocks") return entries.size;
  return kind === "block" ? block! : kind === "dense" ? state : 1;
}

/** States of at most this many elements are local variables, longer ones scratch memory. */
export const STRAIGHT = 4;
