import type { Engine, ErrorKind, Memory, SweepJob, SweepRun } from "../engine/engine.ts";
import type { Step } from "../step.ts";
import { refuse } from "../tape.ts";
import { isDisposed, type Tensor, wrapMemory } from "../tensor.ts";
import { chooseMethod } from "./auto.ts";
import { SWEEP_LIMITS } from "./costs.ts";
import { enter, type Entry, type SolveOptions } from "./entry.ts";
import { recallForesight } from "./foresight.ts";
import { resolveGuess } from "./guess.ts";
import { isNewton, type MethodName, transitionOf } from "./methods.ts";
import { leave, type PreparedProblem, type Problem } from "./problem.ts";

/** Default tolerances: the answer agrees with the sequential one to about a hundred roundings of the dtype or better. */
const TOLERANCES = {
  f32: { rtol: 1e-5, atol: 1e-6, epsilon: 2 ** -23 },
  f64: { rtol: 1e-10, atol: 1e-12, epsilon: 2 ** -52 },
} as const;

/** One solve under way: everything between the checks at the door and the answer. */
export interface Attempt {
  readonly entry: Entry;
  readonly engine: Engine;
  readonly problem: PreparedProblem;
  readonly job: SweepJob;
  readonly run: SweepRun;
  readonly method: MethodName;
  readonly reason: string | undefined;
  readonly maxSweeps: number;
  readonly errorKind: ErrorKind | null;
  readonly options: SolveOptions;
  readonly ys: Tensor;
}

/** {@linkcode start} at once. */
export function begin(step: Step, posed: Problem, options: SolveOptions, strict = false): Attempt {
  return start(enter(step, posed, options), strict);
}

/** Hands the engine a job; nothing is kept if that fails. With `strict` what is not solved becomes NaN. */
export function start(entry: Entry, strict = false): Attempt {
  const { program, engine, options, method: given, errorKind, problem } = entry;
  const { name, state } = program;
  const context = `Cannot solve "${name}"`;
  const { keepIterates = false, maxSweeps: allowed } = options;
  const { device, batch, time, batched } = problem;
  try {
    const known = { foresight: recallForesight(engine, program, entry.params), maxSweeps: allowed };
    const choice = given === null ? chooseMethod(program, engine, batch, time, known) : undefined;
    const method = given ?? { name: choice!.name };
    const reason = choice?.reason;
    const transition = transitionOf(program, method);
    const defaults = TOLERANCES[engine.dtype];
    const { epsilon } = defaults;
    const { rtol = defaults.rtol, atol = defaults.atol } = options;
    if (rtol === 0 && atol === 0) {
      throw new RangeError(`${context}: rtol and atol must not both be 0; give rtol of some roundings, e.g. 1e-6`);
    }
    const newton = isNewton(program, transition);
    const affine = program.affine && newton;
    // Arithmetic in f32 leaves larger roundings than f32 states; Newton's next update is far below them, others' is not.
    const [roundings, most] = newton && engine.backend === "webgpu" ? [16, 0.25] : [4, 0.1];
    const tolerance = {
      rtol,
      atol,
      affine,
      newton,
      floor: Math.min(most, roundings * epsilon / (rtol + atol)),
      epsilon,
    };
    const guess = resolveGuess(name, options.guess ?? "f0", problem, state);
    const { params, xs, h0 } = problem;
    const partial = { program, transition, params, xs, h0, guess, batch, time, keepIterates, strict };
    const window = Math.max(1, Math.min(time, options.window ?? time, engine.affordableWindow(partial)));
    if (keepIterates && window < time) {
      throw new RangeError(
        `${context}: keepIterates needs a single window, got windows of ${window} for ${time} steps`,
      );
    }
    const ys = engine.allocate(engine.dtype, batch * time * state, `ys of "${name}"`);
    const rule = { ...tolerance, share: window / Math.max(1, time) };
    const maxSweeps = allowed ?? Math.min(window, newton ? SWEEP_LIMITS.newton : SWEEP_LIMITS.linear);
    const job: SweepJob = { ...partial, rule, window, maxSweeps, ys };
    const shape = batched ? [batch, time, state] : [time, state];
    const wrapped = wrapMemory(device, shape, ys, `ys of "${name}"`);
    problem.temporary.push(wrapped);
    const run = engine.beginRun(job);
    problem.temporary.pop();
    return {
      entry,
      engine,
      problem,
      job,
      run,
      method: method.name,
      reason,
      maxSweeps,
      errorKind,
      options,
      ys: wrapped,
    };
  } catch (error) {
    leave(problem);
    throw error;
  }
}

/** Frees what only the solve needed; with `all` also its answer. */
export function release({ engine, problem, run, ys }: Attempt, all: boolean): void {
  leave(problem);
  if (all) {
    ys.dispose();
    freeIterates(engine, run);
  }
  engine.endRun(run);
}

/** Frees the iterates that nobody has taken. */
export function freeIterates(engine: Engine, { iterates }: Pick<SweepRun, "iterates">): void {
  for (const iterate of iterates.splice(0)) engine.free(iterate);
}

/** The last states as a tensor of their own. */
export function lastState({ engine, job, problem, ys }: Attempt): Tensor {
  const { batch, time, h0, program: { name, state } } = job;
  const last = engine.allocate(engine.dtype, batch * state, `yT of "${name}"`);
  const rows = { toStart: 0, toStride: state, width: state, rows: batch };
  if (time === 0) engine.copy(h0, last, { ...rows, fromStart: 0, fromStride: state });
  else engine.copy(job.ys, last, { ...rows, fromStart: (time - 1) * state, fromStride: time * state });
  return wrapMemory(ys.device, problem.batched ? [batch, state] : [state], last, `yT of "${name}"`);
}

/** Joins the iterates to one tensor with a leading axis. */
export function joinIterates({ engine, job, problem, run, ys }: Attempt): Tensor | undefined {
  // They go with the trajectory, if that is disposed before anyone has asked; of nothing there are none.
  if (!job.keepIterates || (job.batch * job.time > 0 && run.iterates.length === 0)) return undefined;
  const { batch, time, program: { name, state } } = job;
  const length = batch * time * state;
  const iterates = run.iterates.splice(0);
  const all: Memory = engine.allocate(engine.dtype, iterates.length * length, `iterates of "${name}"`);
  for (const [i, iterate] of iterates.entries()) {
    const whole = { fromStart: 0, fromStride: 0, toStart: i * length, toStride: 0, width: length, rows: 1 };
    engine.copy(iterate, all, whole);
    engine.free(iterate);
  }
  const shape = problem.batched ? [batch, time, state] : [time, state];
  // Of T = 0 the guess alone, which no engine was asked for.
  const joined = wrapMemory(ys.device, [Math.max(1, iterates.length), ...shape], all, `iterates of "${name}"`);
  if (!isDisposed(ys)) refuse("solve", "the iterates of a solve", "use ys", [ys], [joined]);
  return joined;
}
