import { describe } from "../core/describe.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { Shape, Tree } from "../core/types.ts";
import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { place } from "../place.ts";
import { programOf, type Step } from "../step.ts";
import { refuse } from "../tape.ts";
import { hold, isTensor, memoryOf, release, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import { isShape } from "../trace/parameters.ts";
import { pullBackSolve, type SolvedJob } from "./adjoint.ts";
import type { SolveOptions } from "./entry.ts";
import type { MethodName } from "./methods.ts";
import { leave, prepareProblem, type Problem } from "./problem.ts";
import { solve } from "./sequence.ts";
import type { Solution } from "./solution.ts";

/** Cotangents of a problem, from that of its solution. */
export interface Gradients {
  /** In the tree of the parameters. */
  readonly params: Tree<Tensor>;
  /** Of the shape of `xs`; `(B, T, 0)` or `(T, 0)` where the step has no input. */
  readonly xs: Tensor;
  /** `(B, D)`, or `(D)` where the problem has no batch or one `h0` for all. */
  readonly h0: Tensor;
  /** How the reversed recurrence ran, and why. */
  readonly stats: { readonly method: MethodName; readonly reason: string };
}

/** A solution, and the way back. */
export interface SolveVjp extends Disposable {
  /** What was solved. */
  readonly solution: Solution;
  /** Cotangents of params, xs and h0 from `ysBar`, the cotangent of `solution.ys`. Enqueued at once: nothing waits. */
  pullback(ysBar: TensorLike): Promise<Gradients>;
  /** Frees what the pullback reads, and the solution. */
  dispose(): void;
}

/**
 * Solves, and gives the exact adjoint at the solution, whatever method found it: with J[t] = ∂f/∂h at (h[t-1], x[t]),
 *
 *     λ[T-1] = ȳ[T-1],  λ[t] = ȳ[t] + J[t+1]ᵀ λ[t+1]
 *     p̄ = Σ_t (∂f/∂p)ᵀ λ[t],  x̄[t] = (∂f/∂x[t])ᵀ λ[t],  h̄0 = J[0]ᵀ λ[0]
 *
 * One reversed linear recurrence and no iteration, by the implicit function theorem. It is itself solved as a step that is affine in
 * λ, with the structure of Jᵀ: by a scan where that pays, else, as on the CPU and for dense steps of many states, one step after the
 * other; `stats` of the gradients say which.
 *
 * Between the passes the solution is kept, and what was given, until it is disposed, also if its owner disposes it before. Cost: one evaluation of f and its pullback at all (b, t), one scan; memory 4 D + 2 I
 * words a step beside the cotangents. Throws what {@linkcode solve} throws; `pullback` a `TypeError` if `ysBar` does not fit.
 *
 * Lim, Zhu, Selfridge & Kasim, ICLR 2024, arXiv 2309.12252, appendix; Christianson 1994, doi 10.1080/10556789408805572.
 *
 * @example The gradient of the last state with respect to everything
 * ```ts
 * import { gru, openDevice, solveVjp, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const cell = gru({ input: 2, hidden: 3 });
 * const params = cell.init(device, { seed: 0 });
 * const xs = { data: new Float64Array(100 * 2).fill(0.5), shape: [100, 2] };
 * using forward = await solveVjp(cell, { params, xs }, { method: "deer" });
 * const ysBar = { data: new Float64Array(100 * 3).fill(1, 99 * 3), shape: [100, 3] };
 * const { params: gradients, xs: xsBar } = await forward.pullback(ysBar);
 * console.log(gradients, (await toHost(xsBar)).data);
 * ```
 */
export async function solveVjp(step: Step, problem: Problem, options: SolveOptions = {}): Promise<SolveVjp> {
  const program = programOf(step);
  const solution = await solve(step, problem, options);
  const context = `Cannot differentiate "${program.name}"`;
  const prepared = prepareProblem(program, problem, options.device ?? solution.ys.device);
  const { device, batch, batched } = prepared;
  const job: SolvedJob = { ...prepared, program, ys: memoryOf(solution.ys) };
  hold(solution.ys);
  const single = batched && problem.h0 !== undefined && problem.h0.shape.length === 1;
  let disposed = false;
  const free = (): void => {
    if (disposed) return;
    disposed = true;
    release(solution.ys);
    leave(prepared);
    solution.dispose();
  };
  const pullback = (ysBar: TensorLike): Gradients => {
    if (disposed) throw new TypeError(`${context}: it was disposed; call pullback() before`);
    const copies: Tensor[] = [];
    try {
      const wanted = solution.ys.shape;
      const bar = place(context, "ysBar", ysBar, device, copies);
      if (!sameShape(bar.shape, wanted)) {
        throw new TypeError(`${context}: ysBar must have shape ${formatShape(wanted)}, got ${formatShape(bar.shape)}`);
      }
      const gradients = gradientsOf(step, job, memoryOf(bar), batched ? [batch] : [], single);
      const { params, xs, given } = prepared.sources;
      const inputs = [...params, ...(xs === null ? [] : [xs]), given, bar];
      const made = flattenTree<Tensor>(gradients.params, isTensor).map(([, leaf]) => leaf);
      const cure = "there are no derivatives of derivatives";
      refuse("solveVjp", "what the pullback of solveVjp() returns", cure, inputs, [
        ...made,
        gradients.xs,
        gradients.h0,
      ]);
      return gradients;
    } finally {
      for (const copy of copies) copy.dispose();
    }
  };
  return {
    solution,
    // Begun before it returns: what it reads may be disposed then.
    pullback: (ysBar) => new Promise((resolve) => resolve(pullback(ysBar))),
    dispose: free,
    [Symbol.dispose]: free,
  };
}

function gradientsOf(step: Step, job: SolvedJob, cotangent: Memory, lead: Shape, single: boolean): Gradients {
  const { device, program, time, batch } = job;
  const engine = engineOf(device);
  const all = { params: program.params.map(() => true), xs: true, h0: true };
  const parts = time * batch === 0 ? null : pullBackSolve(job, cotangent, all);
  const tensorOf = (memory: Memory | null | undefined, shape: Shape, what: string): Tensor => {
    const label = `the gradient of ${what} of "${program.name}"`;
    return wrapMemory(device, shape, memory ?? engine.upload(new Float32Array(sizeOf(shape)), label), label);
  };
  const byPath = new Map(program.params.map(({ path }, k) => [path, parts?.params[k]]));
  let h0 = parts?.h0;
  if (single && h0 !== null && h0 !== undefined) {
    const total = engine.allocate(engine.dtype, program.state, "the gradient of h0");
    engine.reduce({ op: "sum", input: h0, out: total, outer: 1, length: batch, inner: program.state });
    engine.free(h0);
    h0 = total;
  }
  return {
    params: mapTree<Shape, Tensor>(step.params, isShape, (shape, path) => tensorOf(byPath.get(path), [...shape], path)),
    xs: tensorOf(parts?.xs, [...lead, time, program.input], "xs"),
    h0: tensorOf(h0, single ? [program.state] : [...lead, program.state], "h0"),
    stats: parts?.adjoint ?? { method: "sequential", reason: `there is nothing to do: ${describe(time)} steps` },
  };
}
