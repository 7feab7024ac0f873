import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { flattenTree } from "../core/tree.ts";
import type { Shape, Tree } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { place } from "../place.ts";
import { programOf, type Step } from "../step.ts";
import { refuse } from "../tape.ts";
import { isTensor, isTensorLike, memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import { concat } from "../trace/ops.ts";
import type { StepProgram } from "../trace/program.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { tangentOf } from "../trace/tangent.ts";
import type { SolveOptions } from "./entry.ts";
import { chooseMethod } from "./auto.ts";
import { transitionOf } from "./methods.ts";
import { leave, type PreparedProblem, prepareProblem, type Problem } from "./problem.ts";
import { runProgram } from "./run_program.ts";
import { solve } from "./sequence.ts";
import type { Solution } from "./solution.ts";

/** A direction in which a problem moves; what is absent stands still. */
export interface Tangents {
  /** Some of the parameters, by their names, of their shapes. */
  params?: Tree<TensorLike>;
  /** Of the shape of `xs`. */
  xs?: TensorLike;
  /** `(B, D)`, or `(D)` for all sequences. */
  h0?: TensorLike;
}

/** A solution, and how it moves. */
export interface SolveJvp extends Disposable {
  /** What was solved. */
  readonly solution: Solution;
  /** `(B, T, D)` or `(T, D)`: the derivative of `solution.ys` in the direction of the tangents. */
  readonly tangent: Tensor;
  /** Frees both. */
  dispose(): void;
}

const packs = new Map<string, RowProgram>();

/** Rows `[h[t-1], x, ẋ]`. */
function packProgram(state: number, input: number, moving: boolean): RowProgram {
  const key = `${state}|${input}|${moving}`;
  let program = packs.get(key);
  if (program === undefined) {
    const names = ["h", ...(input === 0 ? [] : ["x"]), ...(moving ? ["dx"] : [])];
    program = traceRows({
      name: "rows along a trajectory",
      inputs: Object.fromEntries(names.map((name) => [name, [name === "h" ? state : input]])),
      access: { h: { shift: 1 } },
      params: {},
      // Leaves are in the order of sorted names; the row is not.
      fn: (row) => ({ rows: concat(...names.map((name) => row[name])) }),
    });
    packs.set(key, program);
  }
  return program;
}

/**
 * Solves, and pushes a direction forward through the solution: with J[t] = ∂f/∂h at (h[t-1], x[t]),
 *
 *     ḣ[-1] = ḣ0,  ḣ[t] = J[t] ḣ[t-1] + ∂f/∂p ṗ + ∂f/∂x ẋ[t]
 *
 * one linear recurrence, exact whatever method found the solution. For gradients with respect to many parameters use
 * {@linkcode solveVjp}. Cost: one evaluation of f and its derivative at all (b, t), one scan; D + 2 I words a step.
 *
 * Throws what {@linkcode solve} throws, and a `TypeError` for tangents that do not fit. The tangent itself is not differentiable.
 *
 * @example How the states of a GRU move with its bias
 * ```ts
 * import { gru, openDevice, solveJvp } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const cell = gru({ input: 2, hidden: 3 });
 * const problem = { params: cell.init(device), xs: { data: new Float64Array(200).fill(0.5), shape: [100, 2] } };
 * const params = { bias: { data: new Float64Array(9).fill(1), shape: [9] } };
 * using moved = await solveJvp(cell, problem, { params });
 * console.log(moved.tangent.shape); // [100, 3]
 * ```
 */
export async function solveJvp(
  step: Step,
  problem: Problem,
  tangents: Tangents,
  options: SolveOptions = {},
): Promise<SolveJvp> {
  const program = programOf(step);
  const context = `Cannot differentiate "${program.name}"`;
  checkKeys(context, "the tangents", tangents, ["params", "xs", "h0"]);
  const solution = await solve(step, problem, options);
  let prepared: PreparedProblem | undefined;
  try {
    prepared = prepareProblem(program, problem, options.device ?? solution.ys.device);
    const tangent = pushForward(context, program, prepared, tangents, memoryOf(solution.ys));
    const { params, xs, given } = prepared.sources;
    const moving = flattenTree<TensorLike>(tangents.params ?? {}, isTensorLike).map(([, leaf]) => leaf);
    const inputs = [...params, xs, given, ...moving, tangents.xs, tangents.h0].filter(isTensor);
    const cure = "use its value alone, by toHost() or in aux";
    refuse("solveJvp", "the tangent of solveJvp()", cure, inputs, [tangent]);
    const dispose = (): void => {
      tangent.dispose();
      solution.dispose();
    };
    return { solution, tangent, dispose, [Symbol.dispose]: dispose };
  } catch (error) {
    solution.dispose();
    throw error;
  } finally {
    if (prepared !== undefined) leave(prepared);
  }
}

/** The tangents of parameters in their order, undefined where one stands still. */
function placeTangents(
  context: string,
  { params }: StepProgram,
  tree: Tree<TensorLike>,
  device: Device,
  temporary: Tensor[],
): (Memory | undefined)[] {
  const given = new Map(flattenTree<TensorLike>(tree, isTensorLike));
  const unknown = [...given.keys()].filter((path) => params.every((parameter) => parameter.path !== path));
  if (unknown.length > 0) {
    const names = params.map(({ path }) => path).join(", ");
    throw new TypeError(`${context}: the tangents of params may be { ${names} }, got ${unknown.join(", ")}`);
  }
  return params.map(({ path, shape }) => {
    const value = given.get(path);
    return value && placeLike(context, `the tangent of params.${path}`, value, shape, device, temporary);
  });
}

function placeLike(
  context: string,
  what: string,
  value: TensorLike,
  shape: Shape,
  device: Device,
  temporary: Tensor[],
): Memory {
  const placed = place(context, what, value, device, temporary);
  if (sameShape(placed.shape, shape)) return memoryOf(placed);
  throw new TypeError(`${context}: ${what} must have shape ${formatShape(shape)}, got ${formatShape(placed.shape)}`);
}

function pushForward(
  context: string,
  program: StepProgram,
  { device, temporary, params, xs, h0, batch, time, batched }: PreparedProblem,
  tangents: Tangents,
  ys: Memory,
): Tensor {
  const engine = engineOf(device);
  const { state, input, name } = program;
  const lead = batched ? [batch] : [];
  const moved = placeTangents(context, program, tangents.params ?? {}, device, temporary);
  if (tangents.xs !== undefined && input === 0) {
    throw new TypeError(`${context}: the step has no input, and xs no tangent, got ${describe(tangents.xs)}`);
  }
  const dx = tangents.xs &&
    placeLike(context, "the tangent of xs", tangents.xs, [...lead, time, input], device, temporary);
  const start = placeStart(context, tangents.h0, lead, state, batch, device, temporary);
  const tangent = tangentOf(program, { params: moved.map((memory) => memory !== undefined), xs: dx !== undefined });
  const label = `the tangent of "${name}"`;
  const shape = [...lead, time, state];
  if (batch * time === 0) return wrapMemory(device, shape, engine.allocate(engine.dtype, 0, label), label);
  const rows = engine.allocate(engine.dtype, batch * time * tangent.input, label);
  const pack = packProgram(state, input, dx !== undefined);
  const sources: Record<string, Memory | undefined | null> = { h: ys, x: xs, dx };
  engine.map({
    program: pack,
    params: [],
    inputs: pack.inputs.map(({ path }) => ({ memory: sources[path]!, start: path === "h" ? h0 : null })),
    outputs: [rows],
    batch,
    time,
  });
  const transition = transitionOf(tangent, { name: chooseMethod(tangent, engine, batch, time).name });
  const all = [...params, ...moved.filter((memory) => memory !== undefined)];
  const out = runProgram(engine, { program: tangent, transition, params: all, xs: rows, h0: start, batch, time });
  engine.free(rows);
  return wrapMemory(device, shape, out, label);
}

/** The tangent of h0 `(B, D)`: zeros, as given, or one for all. */
function placeStart(
  context: string,
  h0: TensorLike | undefined,
  lead: Shape,
  state: number,
  batch: number,
  device: Device,
  temporary: Tensor[],
): Memory {
  const shape = [...lead, state];
  const zeros = (): TensorLike => ({ data: new Float32Array(batch * state), shape });
  if (h0 === undefined || lead.length === 0 || h0.shape.length === 2) {
    return placeLike(context, "the tangent of h0", h0 ?? zeros(), shape, device, temporary);
  }
  const one = placeLike(context, "the tangent of h0", h0, [state], device, temporary);
  const spread = placeLike(context, "the tangent of h0", zeros(), shape, device, temporary);
  const rows = { fromStart: 0, fromStride: 0, toStart: 0, toStride: state, width: state, rows: batch };
  engineOf(device).copy(one, spread, rows);
  return spread;
}
