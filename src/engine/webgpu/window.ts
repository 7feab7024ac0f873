import type { Kernel } from "../../../kernels/kernel.ts";
import type { SweepJob } from "../engine.ts";
import { recordCopy } from "./arrays.ts";
import type { Machine, Region } from "./machine.ts";
import { floatsIn, WORD_BYTES } from "./memory.ts";
import { stepPlan } from "./step_plan.ts";

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

/** Bytes of working memory beyond which a solve goes on in windows. */
const WORKING_BYTES = 2 ** 30;

/** The longest window whose arrays can be bound, and are affordable together. */
export function affordableRows(
  machine: Machine,
  { program, transition, batch, time }: Pick<SweepJob, "program" | "transition" | "batch" | "time">,
): number {
  const { stages, form, projection } = stepPlan(program, transition);
  const { state, input } = program;
  // f, and behind it the entries of G at a multiple of 256 bytes.
  const trust = form.kind === "trust" ? form.trust.spec : null;
  const blocks = form.kind === "sparse" && form.matrix === "full" ? form.size : trust?.size ?? 0;
  const values = form.kind === "sparse" || form.kind === "trust" ? state * (1 + blocks) : 0;
  // Predictions, and two iterates.
  const kept = trust?.adaptive === true ? 3 * state : 0;
  const projected = projection?.columns ?? 0;
  const arrays = [state, input, stages.hoistedSize, values, projected, kept];
  const bytesOf = (words: number): number => Math.max(1, batch * words * WORD_BYTES);
  const bound = Math.floor((machine.limits.bindingBytes - 1024) / bytesOf(Math.max(...arrays)));
  const total = 2 * state + input + stages.hoistedSize + values + projected + kept;
  const rows = Math.min(bound, Math.floor(WORKING_BYTES / bytesOf(total)));
  return Math.max(1, Math.min(time, rows));
}

/** Rows of every sequence of one array, `time` of them in memory, `width` words each, from row `first` on. */
export interface WindowRows {
  readonly buffer: GPUBuffer;
  readonly first: number;
  readonly time: number;
}

/** Copies `rows` rows of every sequence. */
export function copyWindow(
  machine: Machine,
  from: WindowRows,
  to: WindowRows,
  { batch, rows, width }: { readonly batch: number; readonly rows: number; readonly width: number },
): void {
  const memory = ({ buffer, time }: WindowRows): ReturnType<typeof floatsIn> => floatsIn(buffer, batch * time * width);
  recordCopy(machine, memory(from), memory(to), {
    fromStart: from.first * width,
    fromStride: from.time * width,
    toStart: to.first * width,
    toStride: to.time * width,
    width: rows * width,
    rows: batch,
  });
}
