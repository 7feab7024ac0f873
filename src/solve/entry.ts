import { checkKeys, describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import type { Engine, ErrorKind } from "../engine/engine.ts";
import { programOf, type Step } from "../step.ts";
import type { StepProgram } from "../trace/program.ts";
import type { GuessChoice } from "./guess.ts";
import type { SolveProgress } from "./iterate.ts";
import { type Method, type MethodName, resolveMethod } from "./methods.ts";
import { leave, type PreparedProblem, prepareProblem, type Problem } from "./problem.ts";

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
  /** Sweeps allowed in a window. Default: its length, but at most 100 where G = ∂f/∂h exactly and undamped, 1000 elsewhere. */
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

/** A solve that was let in: its arrays are on the device, nothing runs yet. */
export interface Entry {
  readonly program: StepProgram;
  readonly engine: Engine;
  readonly options: SolveOptions;
  /** Null for `auto`. */
  readonly method: ReturnType<typeof resolveMethod>;
  readonly errorKind: ErrorKind | null;
  /** As the caller gave them. */
  readonly params: Problem["params"];
  readonly problem: PreparedProblem;
}

/** Checks everything at the door, and copies to the device what is not there; nothing is kept if that fails. */
export function enter(step: Step, posed: Problem, options: SolveOptions): Entry {
  const program = programOf(step);
  const errorKind = checkSettings(`Cannot solve "${program.name}"`, options);
  const problem = prepareProblem(program, posed, options.device);
  try {
    const method = resolveMethod(options.method ?? "auto");
    return { program, engine: engineOf(problem.device), options, method, errorKind, params: posed.params, problem };
  } catch (error) {
    leave(problem);
    throw error;
  }
}
