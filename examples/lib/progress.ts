/** A progress bar on stderr, for people only: nothing is written where stderr is no terminal. */

import type { SolveProgress } from "@cervid/cervid";

const WIDTH = 24;
const REDRAW_MS = 50;

/** A bar that follows one solve after the other. */
export interface ProgressBar {
  /** The callback for `onProgress` of a solve that may take `maxSweeps` sweeps. */
  follow(label: string, maxSweeps: number): (progress: SolveProgress) => void;
  /** Wipes the line. */
  clear(): void;
}

/** The bar of a terminal, or one that does nothing. */
export function createProgressBar(isTerminal: boolean = Deno.stderr.isTerminal()): ProgressBar {
  if (!isTerminal) return { follow: () => () => {}, clear: () => {} };
  const encoder = new TextEncoder();
  const write = (text: string): void => void Deno.stderr.writeSync(encoder.encode(text));
  let drawn = -Infinity;
  return {
    follow(label, maxSweeps) {
      let first = NaN;
      return (progress) => {
        const { sweep, residual } = progress;
        if (sweep === 1) first = residual;
        const now = performance.now();
        if (sweep > 1 && now - drawn < REDRAW_MS) return;
        drawn = now;
        const filled = Math.round(WIDTH * estimateShare(progress, first, maxSweeps));
        const bar = "█".repeat(filled) + "░".repeat(WIDTH - filled);
        const update = residual > 0 && residual < Infinity ? `, update ${residual.toPrecision(2)} tolerances` : "";
        write(`\r\x1b[2K${label.padEnd(10)} ${bar} sweep ${sweep}${update}`);
      };
    },
    clear: () => write("\r\x1b[2K"),
  };
}

/** How far a solve is: on the way of log(update) from the first one to the tolerance, or by its sweeps. */
function estimateShare({ sweep, residual }: SolveProgress, first: number, maxSweeps: number): number {
  const bySweeps = sweep / maxSweeps;
  if (residual <= 1) return 1;
  const byUpdate = first > 1 ? 1 - Math.log(residual) / Math.log(first) : 0;
  return Math.min(1, Math.max(bySweeps, byUpdate));
}
