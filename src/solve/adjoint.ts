import type { Device } from "../device.ts";
import { engineOf } from "../device.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { pullBackMap } from "../map/map_pullback.ts";
import { adjointOf } from "../trace/adjoint.ts";
import { packedRows } from "../trace/packed_rows.ts";
import type { StepProgram } from "../trace/program.ts";
import { sumProgram } from "../tape.ts";
import { chooseMethod } from "./auto.ts";
import { type MethodName, transitionOf } from "./methods.ts";
import { rowAt, runProgram } from "./run_program.ts";

/** A solve that is over, as its backward pass needs it. */
export interface SolvedJob {
  readonly device: Device;
  readonly program: StepProgram;
  readonly params: readonly Memory[];
  readonly xs: Memory | null;
  /** `(B, D)` */
  readonly h0: Memory;
  /** `(B, T, D)`: the solution */
  readonly ys: Memory;
  readonly batch: number;
  readonly time: number;
}

/** λ `(B, T, D)` and the cotangent of h0 `(B, D)`: the caller's memory. */
export interface Adjoint {
  readonly lambda: Memory;
  readonly h0: Memory;
  /** How the reversed recurrence ran, and why. */
  readonly method: MethodName;
  readonly reason: string;
}

/** The rows of an array, the last first: time runs backward, and the sequences are in reversed order. */
function reverseRows(engine: Engine, from: Memory, rows: number, width: number): Memory {
  const out = engine.allocate(engine.dtype, rows * width, "reversed rows");
  engine.copy(from, out, {
    fromStart: (rows - 1) * width,
    fromStride: -width,
    toStart: 0,
    toStride: width,
    width,
    rows,
  });
  return out;
}

/**
 * The reversed recurrence at a solution: λ[T-1] = ȳ[T-1], λ[t] = ȳ[t] + J[t+1]ᵀ λ[t+1], h̄0 = J[0]ᵀ λ[0]: one solve of a step
 * that is affine, by one pass or one sweep. Nothing waits; T must not be 0.
 *
 * Memory beside λ: 2 (2 D + I) words a step for what it reads, in reversed time, and those of a solve.
 */
export function solveAdjoint(job: SolvedJob, cotangent: Memory): Adjoint {
  const { device, program, params, xs, h0, ys, batch, time } = job;
  const { state, input } = program;
  const engine = engineOf(device);
  const { step, timed } = adjointOf(program);
  const packed = engine.allocate(engine.dtype, batch * time * step.input, `inputs of "${step.name}"`);
  const sources = [cotangent, ys, ...(xs === null ? [] : [xs])];
  // What gets from λ[t] to λ[t-1]: ȳ[t-1], h[t-1], x[t].
  const before = { size: state, shift: 1 };
  engine.map({
    program: packedRows([before, before, ...(xs === null ? [] : [{ size: input }])]),
    params: [],
    inputs: sources.map((memory, k) => ({ memory, start: k === 1 ? h0 : null })),
    outputs: [packed],
    batch,
    time,
  });
  const rows = reverseRows(engine, packed, batch * time, step.input);
  engine.free(packed);
  const end = rowAt(engine, cotangent, time - 1, batch, time, state);
  const start = reverseRows(engine, end, batch, state);
  const last = timed ? [engine.upload(Float32Array.of(time - 1), "the last index")] : [];
  const { name: method, reason } = chooseMethod(step, engine, batch, time);
  const transition = transitionOf(step, { name: method });
  const reversed = runProgram(
    engine,
    { program: step, transition, params: [...params, ...last], xs: rows, h0: start, batch, time },
  );
  // λ[t-1] at row t, h̄0 at row 0.
  const earlier = reverseRows(engine, reversed, batch * time, state);
  const atStart = rowAt(engine, earlier, 0, batch, time, state);
  const lambda = engine.allocate(engine.dtype, batch * time * state, "cotangents");
  const inputs = [{ memory: earlier, start: end }];
  engine.map({ program: sumProgram(state, [-1]), params: [], inputs, outputs: [lambda], batch, time });
  for (const memory of [rows, end, start, reversed, earlier, ...last]) engine.free(memory);
  return { lambda, h0: atStart, method, reason };
}

/** Cotangents of params (in their order), xs and h0 `(B, D)`, null where not wanted, from that of the trajectory. */
export function pullBackSolve(
  job: SolvedJob,
  cotangent: Memory,
  wanted: { readonly params: readonly boolean[]; readonly xs: boolean; readonly h0: boolean },
): {
  readonly params: (Memory | null)[];
  readonly xs: Memory | null;
  readonly h0: Memory | null;
  readonly adjoint: Adjoint;
} {
  const { device, program, params, xs, h0, ys, batch, time } = job;
  const engine = engineOf(device);
  const adjoint = solveAdjoint(job, cotangent);
  const { rows } = adjointOf(program);
  const call = {
    device,
    program: rows,
    params,
    inputs: xs === null ? [ys] : [ys, xs],
    starts: xs === null ? [h0] : [h0, null],
    batch,
    time,
  };
  const mask = [...wanted.params, false, ...(xs === null ? [] : [wanted.xs]), false];
  const parts = pullBackMap(call, [adjoint.lambda], mask);
  engine.free(adjoint.lambda);
  if (!wanted.h0) engine.free(adjoint.h0);
  return {
    params: parts.slice(0, params.length),
    xs: xs === null ? null : parts[params.length + 1]!,
    h0: wanted.h0 ? adjoint.h0 : null,
    adjoint,
  };
}
