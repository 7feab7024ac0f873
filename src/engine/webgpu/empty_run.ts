import type { ErrorKind, Memory, SweepJob, SweepRun, Verdict } from "../engine.ts";

/** What the engine asks of a run. */
export interface EngineRun extends SweepRun {
  enterWindow(start: number, length: number): "later";
  sweep(): "done" | "later";
  settled(): Promise<boolean>;
  leaveWindow(): void;
  measureError(kind: ErrorKind): void;
  verdict(): Promise<Verdict>;
  end(): void;
  close(): () => Promise<Verdict>;
}

/** A solve of no sequences or no steps: no buffer can be empty. */
export class EmptyRun implements EngineRun {
  readonly residual: number = NaN;
  readonly iterates: Memory[] = [];
  #errorBound: number[] | undefined;

  constructor(readonly job: SweepJob) {}

  enterWindow(): "later" {
    return "later";
  }

  sweep(): "done" {
    return "done";
  }

  settled(): Promise<boolean> {
    return Promise.resolve(true);
  }

  leaveWindow(): void {}

  measureError(): void {
    this.#errorBound = [];
  }

  verdict(): Promise<Verdict> {
    return Promise.resolve({ sequences: [], residuals: [], ...(this.#errorBound && { errorBound: this.#errorBound }) });
  }

  end(): void {}

  close(): () => Promise<Verdict> {
    return () => this.verdict();
  }
}
