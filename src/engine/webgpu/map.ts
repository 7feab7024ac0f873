import { DeviceError } from "../../core/errors.ts";
import type { MapJob, SweepJob } from "../engine.ts";
import type { Machine, Region } from "./machine.ts";
import { bufferOf, WORD_BYTES } from "./memory.ts";
import { Pass } from "./pass.ts";
import { stepPlan } from "./step_plan.ts";

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
  const values = form.kind === "sparse" ? state * (form.matrix === "full" ? 1 + form.size : 1) : 0;
  const projected = projection?.columns ?? 0;
  const arrays = [state, input, stages.hoistedSize, values, projected];
  const bytesOf = (words: number): number => Math.max(1, batch * words * WORD_BYTES);
  const bound = Math.floor((machine.limits.bindingBytes - 256) / bytesOf(Math.max(...arrays)));
  const total = 2 * state + input + stages.hoistedSize + values + projected;
  const rows = Math.min(bound, Math.floor(WORKING_BYTES / bytesOf(total)));
  return Math.max(1, Math.min(time, rows));
}

/** A traced function over all rows: the evaluation that guesses are made by, in windows where it does not fit. */
export function recordMap(machine: Machine, job: MapJob): void {
  const { program, batch, time, params, xs, h, out } = job;
  if (batch * time === 0) return;
  const transition = { kind: "zero", scale: 0, clip: Infinity } as const;
  const window = affordableRows(machine, { program, transition, batch, time });
  const owned: GPUBuffer[] = [];
  const allocate = (words: number, label: string): Region => {
    const buffer = machine.pool.allocate(words * WORD_BYTES, label);
    owned.push(buffer);
    return { buffer, size: words * WORD_BYTES };
  };
  const { state, input } = program;
  try {
    const whole = window === time;
    if (!whole && batch * Math.max(state, input) * WORD_BYTES > machine.limits.bindingBytes) {
      throw new DeviceError(
        `Cannot map "${program.name}": a row of ${batch} sequences is more than a binding holds; use fewer sequences`,
      );
    }
    const region = (memory: { buffer: GPUBuffer }, words: number): Region => ({
      buffer: memory.buffer,
      size: words * WORD_BYTES,
    });
    const rows = batch * window;
    const ys = whole ? region({ buffer: bufferOf(out) }, rows * state) : allocate(rows * state, "values of a window");
    const inputs = xs === null
      ? null
      : whole
      ? region({ buffer: bufferOf(xs) }, rows * input)
      : allocate(rows * input, "inputs of a window");
    const start = region({ buffer: bufferOf(h) }, batch * state);
    const status = allocate(batch, "status");
    const buffers = { start, xs: inputs, ys, guess: null, status };
    const rule = { atol: 0, rtol: 0, affine: false, newton: false, floor: 0, share: 1, epsilon: 0 };
    const pass = new Pass(
      machine,
      stepPlan(program, transition),
      { params, batch, window, rule, program },
      buffers,
      "update",
      allocate,
    );
    for (let t = 0; t < time; t += window) {
      const length = Math.min(window, time - t);
      if (!whole && inputs !== null) {
        copyRows(machine, bufferOf(xs!), t, time, inputs.buffer, 0, length, length, input, batch);
      }
      pass.enterValues(t, length);
      pass.hoist();
      pass.value(ys);
      if (!whole) copyRows(machine, ys.buffer, 0, length, bufferOf(out), t, time, length, state, batch);
    }
  } finally {
    for (const buffer of owned) machine.pool.release(buffer);
  }
}

/** Copies `rows` rows of every sequence, from row `from` to row `to`; sequences have `fromTime` and `toTime` rows in memory. */
export function copyRows(
  machine: Machine,
  source: GPUBuffer,
  from: number,
  fromTime: number,
  target: GPUBuffer,
  to: number,
  toTime: number,
  rows: number,
  width: number,
  batch: number,
): void {
  const bytes = width * WORD_BYTES;
  for (let b = 0; b < batch; b++) {
    machine.copy(source, (b * fromTime + from) * bytes, target, (b * toTime + to) * bytes, rows * bytes);
  }
}
