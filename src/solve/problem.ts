import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Shape, Tree } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import { findDevice, place, shapeOf } from "../place.ts";
import { placeParams } from "../place_params.ts";
import { hold, isTensorLike, memoryOf, release, type Tensor, type TensorLike } from "../tensor.ts";
import type { Memory } from "../engine/engine.ts";
import type { StepProgram } from "../trace/program.ts";

/** What is to be solved: `h[t] = f(h[t-1], xs[t]; params)`. */
export interface Problem {
  /** Parameters in the tree that the step declares. */
  params: Tree<TensorLike>;
  /** `(B, T, I)` or `(T, I)`; absent where the step has no input. */
  xs?: TensorLike;
  /** T, where the step has no input. */
  time?: number;
  /** `(B, D)` or `(D)`: the state before the first input; zeros if absent. */
  h0?: TensorLike;
}

/** A problem that was checked and lives on a device. */
export interface PreparedProblem {
  readonly device: Device;
  readonly params: readonly Memory[];
  readonly xs: Memory | null;
  readonly h0: Memory;
  readonly batch: number;
  readonly time: number;
  /** Whether answers have a batch axis. */
  readonly batched: boolean;
  /** What was copied to the device for this solve only. */
  readonly temporary: Tensor[];
  /** What must stay until {@linkcode leave}, whoever disposes it meanwhile. */
  readonly held: Tensor[];
  /** The same as tensors, what the caller gave or copies of it: what gradients flow to. */
  readonly sources: ProblemSources;
}

/** The tensors of a problem. */
export interface ProblemSources {
  readonly params: readonly Tensor[];
  readonly xs: Tensor | null;
  /** `(B, D)` */
  readonly h0: Tensor;
  /** As given: `(D)` where it is one for all sequences. */
  readonly given: Tensor;
}

/** Checks everything a solve is given, and copies to the device what is not there. */
export function prepareProblem(program: StepProgram, problem: Problem, option: Device | undefined): PreparedProblem {
  const { name, state, input } = program;
  const context = `Cannot solve "${name}"`;
  if (typeof problem !== "object" || problem === null) {
    throw new TypeError(`${context}: expected a problem { params, xs, h0 }, got ${describe(problem)}`);
  }
  checkKeys(context, "the problem", problem, ["params", "xs", "time", "h0"]);
  const device = findDevice(context, option, [problem.params, problem.xs, problem.h0]);
  const temporary: Tensor[] = [];
  try {
    const params = placeParams(context, program.params, problem.params, device, temporary);
    const sizes = input > 0 ? sizesFromInputs(program, problem) : sizesFromTime(program, problem);
    const { batch, time, batched } = sizes;
    const xs = input === 0 ? null : place(context, "xs", problem.xs!, device, temporary);
    const { h0, given } = placeState(context, problem.h0, batch, state, batched, device, temporary);
    const held = [...new Set([...params, ...(xs === null ? [] : [xs]), h0, given])];
    for (const tensor of held) hold(tensor);
    return {
      device,
      params: params.map(memoryOf),
      xs: xs && memoryOf(xs),
      h0: memoryOf(h0),
      batch,
      time,
      batched,
      temporary,
      held,
      sources: { params, xs, h0, given },
    };
  } catch (error) {
    for (const copy of temporary) copy.dispose();
    throw error;
  }
}

/** Keeps a tensor that is read for a problem, too. */
export function keepFor({ held }: Pick<PreparedProblem, "held">, tensor: Tensor): Tensor {
  hold(tensor);
  held.push(tensor);
  return tensor;
}

/** Frees what was copied for a problem, and lets go of what was given. */
export function leave({ temporary, held }: Pick<PreparedProblem, "temporary" | "held">): void {
  for (const copy of temporary) copy.dispose();
  for (const tensor of held.splice(0)) release(tensor);
}

interface Sizes {
  batch: number;
  time: number;
  batched: boolean;
}

function sizesFromInputs({ name, input }: StepProgram, { xs, time }: Problem): Sizes {
  const context = `Cannot solve "${name}"`;
  const wanted = `shape (B, T, ${input}) or (T, ${input})`;
  if (!isTensorLike(xs)) throw new TypeError(`${context}: xs must have ${wanted}, got ${describe(xs)}`);
  const shape = shapeOf(context, "xs", xs);
  const fits = (shape.length === 2 || shape.length === 3) && shape.at(-1) === input;
  if (!fits) throw new TypeError(`${context}: xs must have ${wanted}, got ${formatShape(shape)}`);
  const steps = shape.at(-2)!;
  if (time !== undefined && time !== steps) {
    throw new RangeError(`${context}: time must be that of xs, ${steps}, or absent, got ${describe(time)}`);
  }
  return shape.length === 3
    ? { batch: shape[0]!, time: steps, batched: true }
    : { batch: 1, time: steps, batched: false };
}

function sizesFromTime({ name, state }: StepProgram, { xs, time, h0 }: Problem): Sizes {
  const context = `Cannot solve "${name}"`;
  if (xs !== undefined) throw new TypeError(`${context}: the step has no input (I = 0); give time instead of xs`);
  if (!Number.isSafeInteger(time) || time! < 0) {
    throw new RangeError(
      `${context}: time must be a whole number of steps below 2^53, as there are no xs, got ${describe(time)}`,
    );
  }
  if (h0 === undefined) return { batch: 1, time: time!, batched: false };
  const wanted = `shape (B, ${state}) or (${state},)`;
  if (!isTensorLike(h0)) throw new TypeError(`${context}: h0 must have ${wanted}, got ${describe(h0)}`);
  const shape = shapeOf(context, "h0", h0);
  if (shape.length === 0 || shape.length > 2 || shape.at(-1) !== state) {
    throw new TypeError(`${context}: h0 must have ${wanted}, got ${formatShape(shape)}`);
  }
  return shape.length === 2
    ? { batch: shape[0]!, time: time!, batched: true }
    : { batch: 1, time: time!, batched: false };
}

/** The initial states `(B, D)`: zeros, as given, or one for all. */
function placeState(
  context: string,
  h0: TensorLike | undefined,
  batch: number,
  state: number,
  batched: boolean,
  device: Device,
  temporary: Tensor[],
): Pick<ProblemSources, "h0" | "given"> {
  const shape: Shape = [batch, state];
  if (h0 === undefined) {
    const zeros = { data: new Float32Array(batch * state), shape };
    const given = place(context, "h0", zeros, device, temporary);
    return { h0: given, given };
  }
  const value = place(context, "h0", h0, device, temporary);
  const single = sameShape(value.shape, [state]);
  if (!single && !(batched && sameShape(value.shape, shape))) {
    const wanted = batched ? `(${batch}, ${state}) or (${state},)` : `(${state},)`;
    throw new TypeError(`${context}: h0 must have shape ${wanted}, got ${formatShape(value.shape)}`);
  }
  if (!single || batch === 1) return { h0: value, given: value };
  const spread = place(context, "h0", { data: new Float32Array(batch * state), shape }, device, temporary);
  const rows = { fromStart: 0, fromStride: 0, toStart: 0, toStride: state, width: state, rows: batch };
  engineOf(device).copy(memoryOf(value), memoryOf(spread), rows);
  return { h0: spread, given: value };
}
