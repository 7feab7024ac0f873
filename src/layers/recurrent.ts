import { checkKeys, describe } from "../core/describe.ts";
import { checkCount, formatShape } from "../core/shape.ts";
import type { Tree } from "../core/types.ts";
import type { InitRules } from "../init.ts";
import { defineMap, type RowFunction } from "../map/define_map.ts";
import { map } from "../map/map.ts";
import { findDevice } from "../place.ts";
import type { SolveOptions } from "../solve/entry.ts";
import { resolveMethod } from "../solve/methods.ts";
import { solveWithin } from "../solve/within_model.ts";
import { programOf, type Step, withRules } from "../step.ts";
import { borrow, type TensorLike } from "../tensor.ts";
import type { Sym } from "../trace/graph.ts";
import { slice } from "../trace/ops.ts";
import { findAxes, rowsOf } from "./carried.ts";
import { createRun, LAYER_OPTIONS, type LayerOptions, type LayerParts } from "./layer_options.ts";
import { countedSteps, takeSteps } from "./lengths.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { reversed } from "./reversed.ts";

/** Settings of {@linkcode recurrent}: those of its solves, and what is seen of them. */
export interface RecurrentOptions extends Pick<SolveOptions, "method" | "rtol" | "atol" | "maxSweeps" | "window"> {
  /** Where the sweeps start, if no trajectory is remembered. Default `f0`. */
  guess?: "f0" | "h0" | "zeros";
  /**
   * The outputs: so many of the states, the first ones (the h of an LSTM's `[h, c]`), or a traced function of the states `[D]`
   * that returns a vector. Default all states.
   */
  output?: number | ((states: Sym) => Sym);
  /** Default false; if true, time runs backward. */
  reverse?: boolean;
  /** What parameters start from by the scheme `own`, where that is not the cell's own rule. */
  init?: InitRules;
}

/** A recurrent layer as those who run it need it. */
interface CompiledRecurrent {
  readonly cell: Step;
  readonly settings: SolveOptions;
  /** From states to outputs; null where these are the states. */
  readonly select: RowFunction<Sym> | null;
}

const SETTINGS = ["method", "rtol", "atol", "maxSweeps", "window", "guess"] as const;

/**
 * A nonlinear cell over whole sequences, `h[t] = f(h[t-1], x[t]; p)` by any method of `solve`: inputs `(B, T, I)` to outputs
 * `(B, T, H)`, the states or a part of them.
 *
 * Parameters: those of the cell. State: that of the cell, D. Differentiable in the parameters, xs and h0, exactly, whatever the
 * method. Everything is enqueued and nothing waits, so that a training step on WebGPU reads nothing back: how a solve ended is
 * told by the option `onSolve` of `apply`; without it, the outputs of a sequence that could not be solved are NaN. `memory`
 * remembers trajectories as first guesses of the next call (warm starts); methods without sweeps need none.
 *
 * Cost: that of the solve; on WebGPU all `maxSweeps` sweeps are recorded, empty ones about 10 µs each, so give a `maxSweeps` that
 * the model needs at most. Memory: the trajectory, which the gradient reads, and while it is found that of the solve.
 *
 * Throws a `TypeError` for what is no cell, a `RangeError` for settings that do not fit, and by `apply` what `enqueueSolve` throws.
 *
 * @example A layer of LSTM by Newton's method, in blocks
 * ```ts
 * import { lstm, openDevice, recurrent } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const layer = recurrent(lstm({ input: 2, hidden: 8 }), { method: "block-deer", output: 8 });
 * const xs = { data: new Float32Array(1000 * 2).fill(0.1), shape: [1000, 2] };
 * const onSolve = (verdict: () => Promise<{ stats: { sweeps: number } }>) => verdict().then((s) => console.log(s.stats.sweeps));
 * using ys = layer.apply(layer.init(device, { seed: 0 }), xs, { onSolve });
 * console.log(ys.shape); // [1000, 8]
 * ```
 */
export function recurrent(cell: Step, options: RecurrentOptions = {}): SequenceLayer {
  const context = "Cannot make recurrent()";
  const { name, state, input } = programOf(cell);
  checkKeys(context, "options", options, [...SETTINGS, "output", "reverse", "init"]);
  const { output, reverse = false, init } = options;
  if (input === 0) throw new RangeError(`${context}: "${name}" must have an input, got I = 0; use solve() instead`);
  if (typeof reverse !== "boolean") {
    throw new TypeError(`${context}: reverse must be true or false, got ${describe(reverse)}`);
  }
  checkSettings(context, options);
  const own = init === undefined ? cell : withRules(cell, init);
  const settings = Object.fromEntries(
    SETTINGS.flatMap((key) => options[key] === undefined ? [] : [[key, options[key]]]),
  ) as SolveOptions;
  const select = output === undefined ? null : selectOutput(context, state, output);
  const compiled: CompiledRecurrent = { cell: own, settings, select };
  const layer: SequenceLayer = {
    name,
    input,
    hidden: select === null ? state : (select.outputs["value"] as readonly number[])[0]!,
    state,
    carry: 0,
    direction: "forward",
    pools: false,
    params: own.params,
    init: (device, options) => own.init(device, options),
    apply: (params, xs, options = {}) => runRecurrent(compiled, params, xs, options, false).ys!,
    run: (params, xs, options = {}) => createRun(runRecurrent(compiled, params, xs, options, true)),
  };
  return reverse ? { ...reversed(layer), name } : layer;
}

/** Throws for settings of a solve that do not fit, before there is one. */
function checkSettings(context: string, { method = "auto", guess = "f0", ...rest }: RecurrentOptions): void {
  resolveMethod(method);
  if (!["f0", "h0", "zeros"].includes(guess)) {
    throw new RangeError(`${context}: guess must be "f0", "h0" or "zeros", got ${describe(guess)}`);
  }
  for (const key of ["rtol", "atol"] as const) {
    const value = rest[key];
    if (value !== undefined && !(typeof value === "number" && value >= 0 && value < Infinity)) {
      throw new RangeError(`${context}: ${key} must be a number of at least 0, got ${describe(value)}`);
    }
  }
  for (const key of ["maxSweeps", "window"] as const) {
    if (rest[key] !== undefined) checkCount(context, key, rest[key], 1);
  }
}

function selectOutput(
  context: string,
  state: number,
  output: NonNullable<RecurrentOptions["output"]>,
): RowFunction<Sym> | null {
  if (typeof output !== "function") {
    checkCount(context, "output", output, 1);
    if (output > state) throw new RangeError(`${context}: output must be at most the ${state} states, got ${output}`);
    if (output === state) return null;
  }
  const select = defineMap({
    name: "output of a recurrent layer",
    inputs: { states: [state] },
    params: {},
    map: ({ states }) => typeof output === "function" ? output(states) : slice(states, 0, output),
  });
  const shape = select.outputs["value"] as readonly number[] | undefined;
  if (shape?.length === 1) return select;
  const came = shape === undefined ? "several values" : formatShape(shape);
  throw new TypeError(`${context}: output must return a vector of the states, got ${came}`);
}

function runRecurrent(
  { cell, settings, select }: CompiledRecurrent,
  params: Tree<TensorLike>,
  xs: TensorLike,
  options: LayerOptions,
  wantStates: boolean,
): LayerParts {
  const context = `Cannot apply "${cell.name}"`;
  checkKeys(context, "options", options, LAYER_OPTIONS);
  const { h0, carry, onSolve, memory, method = settings.method } = options;
  const axes = findAxes(context, xs, cell.input);
  if (carry !== undefined) {
    throw new TypeError(
      `${context}: carry must be absent, as no step looks at an earlier input, got ${describe(carry)}`,
    );
  }
  const lengths = wantStates ? countedSteps(context, options.lengths, axes) : undefined;
  const device = findDevice(context, options.device, [params, xs, h0]);
  const guess = memory?.get("", rowsOf(axes, axes.time, cell.state));
  const given = { ...settings, device, ...(method && { method }), ...(guess && { guess }) };
  const { ys: states, yT, verdict } = solveWithin(
    cell,
    { params, xs, ...(h0 && { h0 }) },
    given,
    onSolve !== undefined,
  );
  let hT = yT;
  try {
    if (verdict !== undefined) onSolve?.(verdict, "");
    // Nothing that is done to it there is differentiated.
    memory?.set("", borrow(states));
    if (lengths !== undefined) {
      hT = takeSteps(states, lengths.map((length) => length - 1));
      yT.dispose();
    }
    const ys = select === null ? states : map(select, { inputs: { states } });
    if (ys !== states) states.dispose();
    if (wantStates) return { ys, hT };
    hT.dispose();
    return { ys };
  } catch (error) {
    states.dispose();
    hT.dispose();
    throw error;
  }
}
