import { checkKeys, describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import type { Engine, ErrorKind, Memory, SweepJob, SweepRun } from "../engine/engine.ts";
import { programOf, type Step } from "../step.ts";
import { type Tensor, wrapMemory } from "../tensor.ts";
import { type GuessChoice, resolveGuess } from "./guess.ts";
import type { SolveProgress } from "./iterate.ts";
import { chooseMethod } from "./auto.ts";
import { isNewton, type Method, type MethodName, resolveMethod, transitionOf } from "./methods.ts";
import { type PreparedProblem, prepareProblem, type Problem } from "./problem.ts";

/** How a problem is solved. */
export interface SolveOptions {
  /** Needed only where no argument is a device tensor. */
  device?: Device;
  /** Default `auto`. */
  method?: MethodName | Method;
  /** Relative tolerance of an update. Default 1e-5 in f32, 1e-10 in f64. */
  rtol?: number;
  /** Absolute tolerance of an update. Default 1e-6 in f32, 1e-12 in f64. */
  atol?: number;
  /** Sweeps allowed in a window. Default: its length, but at most 100 where G = ∂f/∂h exactly, 1000 elsewhere. */
  maxSweeps?: number;
  /** Where the sweeps start. Default `f0`. */
  guess?: GuessChoice;
  /** Solve in windows of this many steps, carrying the state; chosen automatically where memory demands it. */
  window?: number;
  /** Keep every iterate in `solution.iterates`; not with several windows. */
  keepIterates?: boolean;
  /**
   * Also compute `stats.errorBound` by one more scan: with `true` or `first-order` the estimate e[t] = J[t] e[t-1] + r[t],
   * about one sweep's work; with `absolute` e[t] = |J[t]| e[t-1] + |r[t]|, which cancels nothing and costs D times as much.
   */
  errorBound?: boolean | ErrorKind;
  /**
   * `throw` (default) a {@linkcode SolveError}, or `return` the unfinished solution with its `result`: what was not computed
   * in it, after a non-finite state or a window that failed, is NaN.
   */
  onFailure?: "throw" | "return";
  /**
   * Aborts between sweeps (a window makes them shorter), on WebGPU those that are not queued yet; the promise is rejected
   * with the signal's reason.
   */
  signal?: AbortSignal;
  /** Called after every sweep; on WebGPU after every sweep that was queued, with a residual of NaN. */
  onProgress?: (progress: SolveProgress) => void;
}

/**
 * Default bounds of `maxSweeps`, several times what converging solves were seen to take: Newton's method 3 to 29 sweeps,
 * linearly converging ones 10 to 344 (tests/golden: GRU, LSTM, Elman, and a trained GRU at the edge of stability).
 */
const NEWTON_SWEEPS = 100;
const LINEAR_SWEEPS = 1000;

/** Default tolerances: the answer agrees with the sequential one to about a hundred roundings of the dtype or better. */
const TOLERANCES = {
  f32: { rtol: 1e-5, atol: 1e-6, epsilon: 2 ** -23 },
  f64: { rtol: 1e-10, atol: 1e-12, epsilon: 2 ** -52 },
} as const;

/** One solve under way: everything between the checks at the door and the answer. */
export interface Attempt {
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

/** The names of all settings, each once. */
const SETTINGS: readonly (keyof SolveOptions)[] = [
  "device",
  "method",
  "rtol",
  "atol",
  "maxSweeps",
  "guess",
  "window",
  "keepIterates",
  "errorBound",
  "onFailure",
  "signal",
  "onProgress",
];

/** Checks the settings that no other file knows; answers which error scan is asked for. */
function checkSettings(context: string, options: SolveOptions): ErrorKind | null {
  checkKeys(context, "options", options, SETTINGS);
  const { onFailure = "throw", errorBound = false, rtol, atol, keepIterates = false, onProgress, signal } = options;
  if (onFailure !== "throw" && onFailure !== "return") {
    throw new RangeError(`${context}: onFailure must be "throw" or "return", got ${describe(onFailure)}`);
  }
  if (![true, false, "first-order", "absolute"].includes(errorBound)) {
    const came = describe(errorBound);
    throw new RangeError(`${context}: errorBound must be a boolean, "first-order" or "absolute", got ${came}`);
  }
  for (const [key, value] of Object.entries({ rtol, atol })) {
    if (value !== undefined && !(typeof value === "number" && value >= 0 && value < Infinity)) {
      throw new RangeError(`${context}: ${key} must be a number of at least 0, got ${describe(value)}`);
    }
  }
  if (typeof keepIterates !== "boolean") {
    throw new TypeError(`${context}: keepIterates must be a boolean, got ${describe(keepIterates)}`);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new TypeError(`${context}: onProgress must be a function, got ${describe(onProgress)}`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${context}: signal must be an AbortSignal, got ${describe(signal)}`);
  }
  for (const key of ["maxSweeps", "window"] as const) {
    if (options[key] !== undefined) checkCount(context, key, options[key], 1);
  }
  return errorBound === true ? "first-order" : errorBound === false ? null : errorBound;
}

/**
 * Checks everything at the door, and hands the engine a job; nothing is kept if that fails. With `strict` what is not solved
 * becomes NaN.
 */
export function begin(step: Step, posed: Problem, options: SolveOptions, strict = false): Attempt {
  const program = programOf(step);
  const { name, state } = program;
  const context = `Cannot solve "${name}"`;
  const { keepIterates = false } = options;
  const errorKind = checkSettings(context, options);
  const problem = prepareProblem(program, posed, options.device);
  const { device, batch, time, batched } = problem;
  try {
    const engine = engineOf(device);
    const given = resolveMethod(options.method ?? "auto");
    const choice = given === null ? chooseMethod(program, engine, batch, time) : undefined;
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
    const maxSweeps = options.maxSweeps ?? Math.min(window, newton ? NEWTON_SWEEPS : LINEAR_SWEEPS);
    const job: SweepJob = { ...partial, rule, window, maxSweeps, ys };
    const shape = batched ? [batch, time, state] : [time, state];
    const wrapped = wrapMemory(device, shape, ys, `ys of "${name}"`);
    problem.temporary.push(wrapped);
    const run = engine.beginRun(job);
    problem.temporary.pop();
    return { engine, problem, job, run, method: method.name, reason, maxSweeps, errorKind, options, ys: wrapped };
  } catch (error) {
    for (const copy of problem.temporary) copy.dispose();
    throw error;
  }
}

/** Frees what only the solve needed; with `all` also its answer. */
export function release({ engine, problem, run, ys }: Attempt, all: boolean): void {
  for (const copy of problem.temporary) copy.dispose();
  if (all) {
    ys.dispose();
    for (const iterate of run.iterates) engine.free(iterate);
  }
  engine.endRun(run);
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
  if (!job.keepIterates) return undefined;
  const { batch, time, program: { name, state } } = job;
  const length = batch * time * state;
  const all: Memory = engine.allocate(engine.dtype, run.iterates.length * length, `iterates of "${name}"`);
  for (const [i, iterate] of run.iterates.entries()) {
    const whole = { fromStart: 0, fromStride: 0, toStart: i * length, toStride: 0, width: length, rows: 1 };
    engine.copy(iterate, all, whole);
    engine.free(iterate);
  }
  const shape = problem.batched ? [batch, time, state] : [time, state];
  // Of T = 0 the guess alone, which no engine was asked for.
  return wrapMemory(ys.device, [Math.max(1, run.iterates.length), ...shape], all, `iterates of "${name}"`);
}
