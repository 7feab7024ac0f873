import type { Step } from "../step.ts";
import type { Tensor } from "../tensor.ts";
import { type Attempt, begin, joinIterates, lastState, release, start } from "./attempt.ts";
import { closeAttempt, type Closed, recordSweeps, withoutRun } from "./closed.ts";
import { enter, type SolveOptions } from "./entry.ts";
import { explainFailure } from "./failure.ts";
import { foresee, rememberFailure } from "./gate.ts";
import { iterate } from "./iterate.ts";
import { emptyVerdict, overall, statsOf } from "./outcome.ts";
import { leave, type Problem } from "./problem.ts";
import { recordSolve } from "./record_solve.ts";
import { createSolution, type Solution, SolveError } from "./solution.ts";

/** A solve that was enqueued. */
export interface EnqueuedSolve {
  /** The trajectory `(B, T, D)` or `(T, D)`, to be trusted after {@linkcode EnqueuedSolve.verdict} only. */
  readonly ys: Tensor;
  /** The last state `(B, D)` or `(D)`. */
  readonly yT: Tensor;
  /**
   * Waits for the device, and answers or throws as {@linkcode solve} would, once; it may be left. Asked for after `ys` was disposed
   * it cannot tell of host arrays what was not finite in them, and has no iterates.
   */
  verdict(): Promise<Solution>;
}

/**
 * Where only the device knows how many sweeps are enough, they are recorded ahead. After so many, and every doubling, a look
 * at it costs less than recording the rest.
 */
const FIRST_LOOK = 32;

/** Milliseconds of work after which the event loop is given a turn, so that signals and pages live. */
const TURN_MS = 30;

/** Reads the verdict, frees the run, and answers with a solution; or frees that too, and throws. */
async function conclude(attempt: Attempt, closed: Closed, yT: Tensor, aborted: boolean): Promise<Solution> {
  const { engine, job, options, ys, problem } = attempt;
  let iterates: Tensor | undefined;
  let kept = false;
  try {
    const verdict = await closed.read();
    const stats = statsOf(attempt, verdict);
    const result = aborted ? "aborted" : overall(verdict);
    if (result === "max-sweeps-reached") rememberFailure(attempt.entry, stats.sweeps);
    iterates = joinIterates(attempt);
    const solution = createSolution({ ys, yT, result, stats, ...(iterates === undefined ? {} : { iterates }) });
    kept = result === "successful" || options.onFailure === "return";
    if (kept) return solution;
    if (aborted) throw options.signal!.reason;
    throw new SolveError(
      await explainFailure(
        engine,
        job,
        verdict,
        result,
        stats,
        attempt.maxSweeps,
        problem.batched,
        closed.isReadable(),
      ),
      solution,
    );
  } finally {
    if (!kept) { for (const part of [ys, yT, iterates]) part?.dispose(); }
    closed.release();
  }
}

/**
 * Solves a recurrence `h[t] = f(h[t-1], x[t]; p)` for all t: with any method the answer is that of one step after the
 * other, to the tolerance, or an error says why not.
 *
 * Every method but `sequential` repeats the sweep `h⁺[t] = f(h[t-1]) + G[t] (h⁺[t-1] - h[t-1])`, a linear recurrence,
 * until the largest update e, in units of `atol + rtol |h⁺|`, satisfies e ≤ 1 and e min(ρ / (1 - ρ), n) ≤ 1 with ρ the ratio
 * of the last updates and n the number of steps that are not exact yet (of several windows, each has its share of that 1). A sequence whose states all repeat bit for bit is
 * solved whatever e was, and so is an affine step after one Newton sweep that replaces nothing. After k sweeps the first k states are exact, so
 * T sweeps always suffice. Iterates may overflow on the way: entries that are not finite, or beyond 1e8 times the guess,
 * are replaced by the guess.
 *
 * "That of one step after the other" is meant up to rounding and tolerance, which a step that amplifies small differences
 * amplifies too: the trajectory of a chaotic system is not determined by its equations in any arithmetic. `errorBound`
 * estimates by how much.
 *
 * Cost: a sweep evaluates f and G once at all (b, t). Memory: two trajectories and the hoisted values; no array of T·D².
 * On WebGPU beside that f and the entries of G of small blocks, D (1 + b) words a step, and windows where an array exceeds
 * what the device binds; sweeps are recorded ahead, and the device is read once, after 32, 64, ... of them and at the end; the
 * method `auto` may look at the dynamics before.
 *
 * What is given may be disposed as soon as this has been called: its memory stays while it is read.
 *
 * Throws (rejects with) a `TypeError` or `RangeError` for arguments that do not fit, a {@linkcode SolveError} if the solve
 * fails, the signal's reason if it is aborted, a `DeviceError` if the device is gone or full.
 *
 * Lim, Zhu, Selfridge & Kasim, "Parallelizing non-linear sequential models over the sequence length", ICLR 2024, arXiv
 * 2309.12252. Gonzalez, Warrington, Smith & Linderman, "Towards scalable and stable parallelization of nonlinear RNNs",
 * NeurIPS 2024, arXiv 2407.19115.
 *
 * @example A GRU over a batch of four sequences, by Newton's method
 * ```ts
 * import { gru, openDevice, solve } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const cell = gru({ input: 3, hidden: 8 });
 * const params = cell.init(device, { seed: 1 });
 * const xs = { data: Float64Array.from({ length: 4 * 100 * 3 }, (_, i) => Math.sin(i)), shape: [4, 100, 3] };
 * using solution = await solve(cell, { params, xs }, { method: "deer", errorBound: true });
 * console.log(solution.ys.shape, solution.result, solution.stats.sweeps); // [4, 100, 8] "successful" ...
 * ```
 */
export async function solve(step: Step, problem: Problem, options: SolveOptions = {}): Promise<Solution> {
  if (options?.signal instanceof AbortSignal) options.signal.throwIfAborted();
  const entry = enter(step, problem, options);
  const { signal, onProgress } = options;
  const foreseen = foresee(entry);
  if (foreseen !== undefined) {
    await foreseen;
    if (signal?.aborted) {
      leave(entry.problem);
      throw signal.reason;
    }
  }
  const attempt = start(entry);
  let yT: Tensor;
  let aborted = false;
  try {
    let turn = performance.now();
    const { engine, run, maxSweeps, errorKind } = attempt;
    const steps = iterate(engine, run, maxSweeps, errorKind);
    for (let step = steps.next(); !step.done;) {
      const { sweep } = step.value;
      onProgress?.(step.value);
      if (performance.now() - turn > TURN_MS) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        turn = performance.now();
      }
      const looks = sweep >= FIRST_LOOK && sweep < maxSweeps && (sweep & (sweep - 1)) === 0;
      const stop = looks && await engine.settled(run);
      if (signal?.aborted) {
        aborted = true;
        steps.return();
        break;
      }
      step = steps.next(stop);
    }
    yT = lastState(attempt);
    recordSolve(attempt, yT);
  } catch (error) {
    release(attempt, true);
    throw error;
  }
  const { engine, run, job } = attempt;
  const closed: Closed = {
    read: () => job.time === 0 ? Promise.resolve(emptyVerdict(attempt)) : engine.verdict(run),
    isReadable: () => true,
    release: () => release(attempt, false),
  };
  return await conclude(attempt, closed, yT, aborted);
}

/**
 * {@linkcode solve} that returns at once: all `maxSweeps` sweeps are queued on the device, which skips those that it does not
 * need (the CPU engine does the work before it returns), and only `verdict()` waits. `signal` and `onProgress` are not served, and
 * `auto` knows nothing of the dynamics of a step that no `solve` has met before.
 *
 * The caller disposes `ys` and `yT`, or `verdict()`'s solution, or a scope or gradient does. Beside them only copies of host arrays
 * are held, until `ys` goes or the verdict is there, and a few words a sequence on the device: those of up to thousands of solves
 * whose verdict nobody has asked for yet, 4 MiB in all, then the oldest are read to host memory, which is one wait.
 *
 * @example
 * ```ts
 * import { elman, enqueueSolve, openDevice } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const cell = elman({ input: 1, hidden: 4 });
 * const problem = { params: cell.init(device), xs: { data: new Float32Array(50), shape: [50, 1] } };
 * const { ys, verdict } = enqueueSolve(cell, problem, { method: "quasi-deer" });
 * using solution = await verdict();
 * console.log(ys.shape, solution.result); // [50, 4] "successful"
 * ```
 */
export function enqueueSolve(step: Step, problem: Problem, options: SolveOptions = {}): EnqueuedSolve {
  const attempt = begin(step, problem, options);
  const yT = recordSweeps(attempt);
  const closed = closeAttempt(attempt, true);
  const rest = withoutRun(attempt);
  let verdict: Promise<Solution> | undefined;
  return { ys: attempt.ys, yT, verdict: () => verdict ??= conclude(rest, closed, yT, false) };
}
