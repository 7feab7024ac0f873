import type { Engine, ErrorKind, SweepRun } from "../engine/engine.ts";

/** What is told after every sweep. */
export interface SolveProgress {
  /** Sweeps of the present window, from 1. */
  readonly sweep: number;
  /** The largest update in units of the tolerance; NaN where only the device knows it. */
  readonly residual: number;
  /** The present window, from 0. */
  readonly window: number;
  /** How many windows there are. */
  readonly windows: number;
}

/**
 * The one loop: windows in order, and in each as many sweeps as the engine asks for. Yields after every sweep; an answer of
 * true ends the window.
 */
export function* iterate(
  engine: Engine,
  run: SweepRun,
  maxSweeps: number,
  errorKind: ErrorKind | null,
): Generator<SolveProgress, void, boolean | undefined> {
  const { time, window } = run.job;
  const windows = Math.ceil(time / window);
  for (let w = 0; w < windows; w++) {
    if (engine.enterWindow(run, w * window, Math.min(window, time - w * window)) === "done") break;
    try {
      for (let sweep = 1; sweep <= maxSweeps; sweep++) {
        const state = engine.sweep(run);
        const stop = yield { sweep, residual: run.residual, window: w, windows };
        if (state === "done" || stop === true) break;
      }
    } finally {
      // Also when the caller has had enough.
      engine.leaveWindow(run);
    }
    if (errorKind !== null) engine.measureError(run, errorKind);
  }
}
