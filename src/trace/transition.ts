import { createRandom } from "../core/random.ts";
import { addMaybe } from "./elementwise.ts";
import { broadcast, columns, concat, elementwise, matvecTransposed, mul, neg, pad, slice } from "./build.ts";
import { jvp } from "./differentiate.ts";
import { dependents, type Node } from "./graph.ts";
import { structuredJacobian } from "./jacobian.ts";
import { entriesAlong } from "./jacobian_entries.ts";
import type { BlockLayout } from "./pattern.ts";
import type { StepProgram } from "./program.ts";

/** The matrix G[t] of a sweep, as data: every method is one of these. */
export interface Transition {
  /** `sequential` has no sweep: h[t-1] is exact when h[t] is computed. */
  readonly kind: "sequential" | "zero" | "identity" | "diagonal" | "block" | "dense";
  /** k: G becomes (1 - k) G, after clipping. */
  readonly scale: number;
  /** c: entries of G are clipped to [-c, c]; Infinity for none. */
  readonly clip: number;
  /** block: the size of the blocks, and which states share one. */
  readonly block?: number;
  readonly layout?: BlockLayout;
  /** diagonal: estimated as the mean of z ∘ (J z) over so many random signs z, the same in every sweep. */
  readonly probes?: number;
  readonly seed?: number;
  /** The trust region of ELK, for a diagonal, blocks or the whole. */
  readonly trust?: TrustRegion;
}

/**
 * The linear solve of a sweep becomes a Kalman filter's with the iterate as observation of variance 1/λ (Gonzalez et al.
 * 2024, arXiv 2407.19115): with δ = h⁺ - h and P[-1] = 0
 *
 *     P⁻[t] = G[t] P[t-1] G[t]ᵀ + I,  Γ[t] = (I + λ P⁻[t])⁻¹,  P[t] = Γ[t] P⁻[t]
 *     δ[t] = Γ[t] (f(h[t-1]) - h[t] + G[t] δ[t-1])
 *
 * λ near 0 is the sweep without it, λ large keeps the iterate.
 */
export interface TrustRegion {
  /** λ, above 0 and finite, or raised and lowered from sweep to sweep. */
  readonly damping: number | "adaptive";
  /** What follows δ[t]: nothing that comes later (`filter`), or all of it (`smoother`), the minimiser of the sum of squares. */
  readonly estimate: "filter" | "smoother";
  /** Whether G is all of ∂f/∂h, which an adaptive λ is told. */
  readonly whole: boolean;
}

/** `G δ`, the linear part of a sweep, as a graph over h and the step's `delta`; null means zero. */
export function transitionAction(program: StepProgram, transition: Transition): Node | null {
  const { kind, scale, clip } = transition;
  const { delta, trace } = program;
  return trace.run(() => {
    let action: Node | null;
    if (kind === "sequential" || kind === "zero") action = null;
    else if (kind === "identity") action = delta;
    else if (kind === "dense" && clip === Infinity) action = program.tangent;
    else if (kind === "dense") action = clippedAction(program, clip);
    else if (kind === "block") action = blockAction(program, transition);
    else {
      const diagonal = diagonalOf(program, transition);
      action = diagonal && mul(clipEntries(diagonal, clip), delta);
    }
    return action && mul(action, trace.constant(1 - scale));
  });
}

/** `|∂f/∂h| δ` with entrywise absolute values, null if provably zero: the growth of a bound on errors. */
export function absoluteAction(program: StepProgram): Node | null {
  const { delta, state, structure, tangent, trace } = program;
  if (tangent === null) return null;
  return trace.run(() => {
    if (structure.kind === "diagonal") {
      const diagonal = diagonalOf(program, { kind: "diagonal", scale: 0, clip: Infinity });
      return diagonal && mul(elementwise("abs", [diagonal]), delta);
    }
    return matvecTransposed(elementwise("abs", [jacobianColumns(program, identity(state))]), delta);
  });
}

/** Entries within ±clip. */
export function clipEntries(entries: Node, clip: number): Node {
  if (clip === Infinity) return entries;
  const bound = entries.trace.constant(clip);
  return elementwise("max", [elementwise("min", [entries, bound]), neg(bound)]);
}

/** The diagonal of ∂f/∂h, exact or estimated. */
export function diagonalOf(program: StepProgram, { probes, seed = 0 }: Transition): Node | null {
  const { output, h, delta, tangent, state, trace } = program;
  if (tangent === null) return null;
  if (probes !== undefined) {
    const random = createRandom(seed);
    const signs = Float64Array.from({ length: probes * state }, () => (random.uniform() < 0.5 ? -1 : 1));
    return weightedColumns(program, signs, 1 / probes);
  }
  if (program.structure.kind === "diagonal") {
    return jvp([output], new Map([[h, broadcast(trace.constant(1), [state])]]))[0]!;
  }
  const terms = structuredJacobian(output, h);
  return terms === null ? weightedColumns(program, identity(delta.size), 1) : entriesAlong(terms, 0, 0, 1, state);
}

/** The unit matrix, row by row. */
export const identity = (size: number): Float64Array =>
  Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));

/** Row c is `∂f/∂h · seeds[c]`. */
export function jacobianColumns({ tangent, h, delta }: StepProgram, seeds: Float64Array): Node {
  // What the columns share is computed before their loop: all that depends on h but not on the seed.
  const varying = dependents(tangent!, delta);
  const captured = new Set<Node>([h]);
  for (const node of varying) {
    for (const arg of node.args) if (!varying.has(arg) && arg.op !== "constant") captured.add(arg);
  }
  return columns(tangent!, delta, seeds, [...captured]);
}

/** `weight Σ_c seeds[c] ∘ (∂f/∂h · seeds[c])`: the diagonal from unit seeds, its estimate from random signs. */
function weightedColumns(program: StepProgram, seeds: Float64Array, weight: number): Node {
  const count = seeds.length / program.state;
  const table = program.trace.constant(seeds, [count, program.state]);
  const ones = broadcast(program.trace.constant(weight), [count]);
  return matvecTransposed(mul(table, jacobianColumns(program, seeds)), ones);
}

/** `clip(∂f/∂h) δ` through all columns. */
function clippedAction(program: StepProgram, clip: number): Node | null {
  const { delta, state, tangent } = program;
  if (tangent === null) return null;
  return matvecTransposed(clipEntries(jacobianColumns(program, identity(state)), clip), delta);
}

/** Whether ∂f/∂h is proven to have no entries but those of these blocks. */
function covers({ structure }: StepProgram, { block, layout }: Transition): boolean {
  if (structure.kind === "block") return structure.block === block && structure.layout === layout;
  return structure.kind === "zero" || structure.kind === "diagonal";
}

/** Of more terms than this each has entries in a few units only, and every entry is code of its own. */
const MOST_TERMS = 4;

/** The entries (p, q) of the blocks of all units `[units]`, null if they are provably zero. */
export function blockPlanes(program: StepProgram, transition: Transition): (p: number, q: number) => Node | null {
  const { state, output, h } = program;
  const { block, layout } = transition;
  const size = block!;
  const units = state / size;
  const strided = layout === "strided";
  const [offset, step] = strided ? [units, 1] : [1, size];
  const terms = structuredJacobian(output, h);
  const few = terms !== null && terms.length <= MOST_TERMS;
  if (!few && covers(program, transition)) {
    // One seed serves all units: there is nothing outside their blocks.
    const place = (j: number): number => strided ? Math.floor(j / units) : j % size;
    const seeds = Float64Array.from(
      { length: size * state },
      (_, e) => place(e % state) === Math.floor(e / state) ? 1 : 0,
    );
    const columns = jacobianColumns(program, seeds);
    return (p, q) => slice(columns, q * state + p * offset, units, step);
  }
  if (terms !== null) return (p, q) => entriesAlong(terms, p * offset, q * offset, step, units);
  const columns = jacobianColumns(program, identity(state));
  return (p, q) => slice(columns, q * offset * state + p * offset, units, step * (state + 1));
}

/** The blocks of ∂f/∂h times δ: plane by plane, unless ∂f/∂h is nothing else. */
function blockAction(program: StepProgram, transition: Transition): Node | null {
  const { delta, state, tangent, trace } = program;
  const { block, layout, clip } = transition;
  if (tangent === null || (clip === Infinity && covers(program, transition))) return tangent;
  const size = block!;
  const units = state / size;
  const strided = layout === "strided";
  const [offset, step] = strided ? [units, 1] : [1, size];
  const planeAt = blockPlanes(program, transition);
  const rows: (Node | null)[] = [];
  for (let p = 0; p < size; p++) {
    let row: Node | null = null;
    for (let q = 0; q < size; q++) {
      const plane = planeAt(p, q);
      if (plane !== null) row = addMaybe(row, mul(clipEntries(plane, clip), slice(delta, q * offset, units, step)));
    }
    rows.push(row);
  }
  if (rows.every((row) => row === null)) return null;
  if (strided) {
    const zero = broadcast(trace.constant(0), [units]);
    return concat(rows.map((row) => row ?? zero));
  }
  // Row u of the answer holds unit u: interleave the planes.
  return rows.reduce((all, row, p) => addMaybe(all, row && pad(row, p, state, size)), null);
}
