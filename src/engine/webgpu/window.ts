import type { Kernel } from "../../../kernels/kernel.ts";
import type { Region } from "./machine.ts";

/** What the passes of a solve share: arrays over the rows of the present window, sequences one after the other. */
export interface WindowBuffers {
  /** `(B, D)`: the state before the window. */
  readonly start: Region;
  /** `(B, L, I)`, null without input */
  readonly xs: Region | null;
  /** `(B, L, D)`: the iterate */
  readonly ys: Region;
  /** `(B, L, D)`, null for one pass without sweeps */
  readonly guess: Region | null;
  /** The state words of the sequences. */
  readonly status: Region;
}

/** A dispatch that is ready: its kernel, what it works on, and how many workgroups. */
export interface Recorded {
  readonly kernel: Kernel;
  readonly group: GPUBindGroup;
  readonly count: number;
}
