import { MAX_TURNS } from "../../../kernels/kernel.ts";
import type { TrustKernel, TrustSpec } from "../../../kernels/trust.ts";
import { MOST_PARTS, SUM_LANES, trustRestore, trustSums, trustWeigh } from "../../../kernels/trust_rule.ts";
import {
  FIXED_TURNS,
  isTiled,
  MOST_TRUST,
  trustApply,
  trustReduce,
  trustSpine,
  trustTurns,
} from "../../../kernels/trust_scan.ts";
import { broadcast } from "../../trace/build.ts";
import type { Node } from "../../trace/graph.ts";
import { type Place, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import { identity, jacobianColumns, type Transition } from "../../trace/transition.ts";
import { type TransitionEntries, transitionEntries } from "../../trace/transition_entries.ts";
import { BEYOND, LEAST_DAMPING, MOST_CHANGE, MOST_DAMPING } from "../trust.ts";

/** Of more terms than these each entry would be a long sum: columns cost less. */
const MOST_TERMS = 8;

type TrustEntries = Extract<TransitionEntries, { kind: "blocks" | "terms" | "columns" }>;

/** Chunks that keep a large GPU busy: an invocation's, or a workgroup's. */
const WANTED = { lane: 65536, tile: 2048 } as const;
/** Elements that one part of the sums takes at least, but for the last. */
const LEAST_PART = 16 * SUM_LANES;
/** A chunk costs its map, and a turn of the spine. */
const LEAST_ROWS = 32;

/** The kernels of a damped sweep. */
export interface TrustPlan {
  readonly spec: TrustSpec;
  readonly reduce: TrustKernel;
  readonly spine: TrustKernel;
  readonly single: TrustKernel;
  readonly apply: TrustKernel;
  /** Of an adaptive damping: what it is judged by, the rule, and the way back. */
  readonly adaptive: { readonly sums: TrustKernel; readonly weigh: TrustKernel; readonly restore: TrustKernel } | null;
}

/** What of a trust region kernels are made for: λ itself is a number that they are given. */
export function trustKey({ trust }: Transition): unknown {
  return trust && { ...trust, damping: trust.damping === "adaptive" ? "adaptive" : "fixed" };
}

/** The entries of G in blocks of n, a dense G as one; a RangeError where that is more than an invocation holds. */
export function trustEntries(
  program: StepProgram,
  transition: Transition,
): { readonly entries: TrustEntries; readonly spec: TrustSpec } {
  const { name, state, trace } = program;
  const { trust, kind } = transition;
  const context = `Cannot solve "${name}" on WebGPU by ELK`;
  if (trust!.estimate === "smoother") {
    throw new RangeError(`${context}: estimate must be "filter", got "smoother"; use the filter, or a CPU device`);
  }
  const size = kind === "dense" ? state : kind === "block" ? transition.block! : 1;
  if (size > MOST_TRUST) {
    throw new RangeError(
      `${context}: blocks of at most ${MOST_TRUST} states are expected, got ${size}; use quasiElk(), deer({ scale: 0.1 }), ` +
        "or a CPU device",
    );
  }
  const layout = transition.layout ?? "contiguous";
  const blocks: Transition = kind === "diagonal" ? transition : { ...transition, kind: "block", block: size, layout };
  const found = transitionEntries(program, blocks);
  const spec = { size, layout, adaptive: trust!.damping === "adaptive" };
  if (found.kind === "blocks") return { entries: found, spec };
  if (found.kind === "columns" || (found.kind === "terms" && found.terms.length <= MOST_TERMS)) {
    return { entries: found, spec };
  }
  return trace.run(() => {
    if (found.kind === "terms") {
      return { entries: { kind: "columns", transposed: jacobianColumns(program, identity(state)) }, spec };
    }
    const planes = broadcast(trace.constant(0), [state]);
    return { entries: { kind: "blocks", size: 1, layout: "contiguous", planes }, spec: { ...spec, size: 1 } };
  });
}

/** WGSL of word `i` of a row of entries: entry (p, q) of unit u is word (u n + p) n + q. */
export function entryText(
  entries: Exclude<TrustEntries, { kind: "blocks" }>,
  { size, layout }: TrustSpec,
  state: number,
  places: ReadonlyMap<Node, Place>,
): string {
  const at = (node: Node, index: string): string => read(places.get(node)!, index);
  const channel = (p: string): string =>
    layout === "contiguous"
      ? `(i / ${size * size}u) * ${size}u + ${p}`
      : `i / ${size * size}u + (${p}) * ${state / size}u`;
  const [row, column] = [`(${channel(`(i / ${size}u) % ${size}u`)})`, `(${channel(`i % ${size}u`)})`];
  if (entries.kind === "columns") return at(entries.transposed, `(${column} * ${state}u + ${row})`);
  const parts = entries.terms.map((term): string => {
    const diagonal = term.kind === "diagonal";
    const [rows, columns] = diagonal ? [term.values.size, term.values.size] : [term.left.size, term.right.size];
    // Outside of the term any of its elements will do.
    const [a, b] = [`min(${row} - ${term.row}u, ${rows - 1}u)`, `min(${column} - ${term.column}u, ${columns - 1}u)`];
    const inside = [
      ...(rows < state ? [`(${row} - ${term.row}u < ${rows}u)`] : []),
      ...(columns < state ? [`(${column} - ${term.column}u < ${columns}u)`] : []),
      ...(diagonal ? [`(${row} + ${term.column}u == ${column} + ${term.row}u)`] : []),
    ];
    let text: string;
    if (term.kind === "diagonal") text = at(term.values, a);
    else if (term.kind === "outer") text = `${at(term.left, a)} * ${at(term.right, b)}`;
    else {
      const { matrix, start, down, right } = term.view;
      text = `${at(term.left, a)} * ${at(matrix, `(${start}u + ${a} * ${down}u + ${b} * ${right}u)`)} * ${
        at(term.right, b)
      }`;
    }
    return inside.length === 0 ? text : `select(0.0, ${text}, ${inside.join(" & ")})`;
  });
  return parts.join(" + ") || "0.0";
}

/** The kernels for blocks of a step of so many states. */
export function planTrust(spec: TrustSpec, state: number): TrustPlan {
  const rule = { beyond: BEYOND, change: MOST_CHANGE, least: LEAST_DAMPING, most: MOST_DAMPING };
  return {
    spec,
    reduce: trustReduce(spec),
    spine: trustSpine(spec),
    single: trustApply(spec, false),
    apply: trustApply(spec, true),
    adaptive: spec.adaptive ? { sums: trustSums(state), weigh: trustWeigh(rule), restore: trustRestore(state) } : null,
  };
}

/**
 * Rows of a chunk: as many chunks as rows of each, so that neither the spine, which goes through the chunks of a sequence one
 * by one, nor a chunk takes long; fewer where sequences and units keep the machine busy.
 */
export function trustChunkRows({ spec }: TrustPlan, batch: number, rows: number, state: number): number {
  const units = state / spec.size;
  const most = Math.floor((MAX_TURNS - FIXED_TURNS) / trustTurns(spec).row);
  const busy = isTiled(spec) ? WANTED.tile : WANTED.lane;
  const wanted = Math.min(Math.ceil(busy / Math.max(1, batch * units)), Math.ceil(Math.sqrt(rows)));
  const wide = Math.max(LEAST_ROWS, Math.ceil(rows / wanted));
  return Math.min(most, rows <= 2 * wide ? Math.max(1, rows) : wide);
}

/** Chunks that one dispatch of the spine goes through. */
export function trustClimb({ spec }: TrustPlan): number {
  return Math.floor((MAX_TURNS - FIXED_TURNS) / trustTurns(spec).chunk);
}

/** Rows of each part of the sums: enough work for its workgroup, and not more parts than the rule adds up. */
export function sumRows(rows: number, state: number): number {
  const parts = Math.min(MOST_PARTS, Math.ceil(rows * state / LEAST_PART));
  return Math.ceil(rows / parts);
}
