import { DeviceError } from "../../core/errors.ts";
import type { MapJob } from "../engine.ts";
import type { Machine, Region } from "./machine.ts";
import { bufferOf, WORD_BYTES } from "./memory.ts";
import { Pass } from "./pass.ts";
import { stepPlan } from "./step_plan.ts";
import { affordableRows, copyWindow } from "./window.ts";

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
        const from = { buffer: bufferOf(xs!), first: t, time };
        const to = { buffer: inputs.buffer, first: 0, time: length };
        copyWindow(machine, from, to, { batch, rows: length, width: input });
      }
      pass.enterValues(t, length);
      pass.hoist();
      pass.value(ys);
      if (whole) continue;
      const from = { buffer: ys.buffer, first: 0, time: length };
      copyWindow(machine, from, { buffer: bufferOf(out), first: t, time }, { batch, rows: length, width: state });
    }
  } finally {
    for (const buffer of owned) machine.pool.release(buffer);
  }
}
