import type { Engine, Memory, SweepJob, SweepRun } from "../engine/engine.ts";
import type { StepProgram } from "../trace/program.ts";
import type { Transition } from "../trace/transition.ts";
import { iterate } from "./iterate.ts";

/** A recurrence of cervid's own, on memory that is there already. */
export interface ProgramJob {
  readonly program: StepProgram;
  readonly transition: Transition;
  readonly params: readonly Memory[];
  /** `(B, T, I)` */
  readonly xs: Memory | null;
  /** `(B, D)` */
  readonly h0: Memory;
  readonly batch: number;
  readonly time: number;
}

/** One is enough; a sequence in which entries were replaced on the way gets more, and is NaN if that does not help. */
const MOST_SWEEPS = 4;

/**
 * The trajectory `(B, T, D)` of a step by one pass, or where it is affine by one sweep: enqueued, nothing waits, and the
 * memory is the caller's. A sequence that could not be solved is NaN throughout.
 */
export function runProgram(engine: Engine, job: ProgramJob): Memory {
  const maxSweeps = job.transition.kind === "sequential" ? 1 : MOST_SWEEPS;
  const { program: { name, state }, batch, time } = job;
  const epsilon = engine.dtype === "f32" ? 2 ** -23 : 2 ** -52;
  const rule = { atol: 0, rtol: 1e-5, affine: true, newton: true, floor: 0.25, epsilon, share: 1 };
  const partial: Omit<SweepJob, "window" | "ys" | "rule" | "maxSweeps"> = {
    ...job,
    guess: { kind: "zeros" },
    keepIterates: false,
    strict: true,
  };
  const window = Math.max(1, Math.min(time, engine.affordableWindow(partial)));
  const ys = engine.allocate(engine.dtype, batch * time * state, `ys of "${name}"`);
  let run: SweepRun | undefined;
  try {
    run = engine.beginRun({ ...partial, window, ys, rule, maxSweeps });
    for (const _ of iterate(engine, run, maxSweeps, null));
    return ys;
  } catch (error) {
    engine.free(ys);
    throw error;
  } finally {
    if (run !== undefined) engine.endRun(run);
  }
}

/** Row t of each sequence of `(B, T, width)` as `(B, width)`: the caller's memory. */
export function rowAt(engine: Engine, from: Memory, t: number, batch: number, time: number, width: number): Memory {
  const out = engine.allocate(engine.dtype, batch * width, "rows");
  const rows = { toStart: 0, toStride: width, width, rows: batch };
  engine.copy(from, out, { ...rows, fromStart: t * width, fromStride: time * width });
  return out;
}
