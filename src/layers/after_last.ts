import { concat } from "../map/concat.ts";
import { reshape } from "../map/reshape.ts";
import type { Tensor } from "../tensor.ts";
import { assemble, type Part } from "./assemble.ts";
import { rowsOf } from "./carried.ts";
import { takeSteps } from "./lengths.ts";
import type { Evaluation } from "./run_layer.ts";

/** The states after the last step that counts, side by side; those before the first where there is no step. */
export function lastStates(
  { layer, axes, states, xs: { device }, lengths, temporary }: Evaluation,
  start: Tensor | undefined,
): Tensor {
  const { spec: { recurrences, reverse = false }, state: width } = layer;
  const { batch, time } = axes;
  const parts: Part[] = [];
  if (time === 0) {
    const rows = { fromStart: 0, fromStride: width, toStart: 0, toStride: width, width, rows: batch };
    if (start !== undefined) parts.push({ from: start, rows });
    return assemble(device, rowsOf(axes, width), parts, "states after the last step");
  }
  let toStart = 0;
  for (const { name, state } of recurrences) {
    const all = states.get(name)!;
    const to = { toStart, toStride: width, width: state, rows: batch };
    toStart += state;
    if (lengths === undefined) {
      const fromStart = reverse ? 0 : (time - 1) * state;
      parts.push({ from: all, rows: { ...to, fromStart, fromStride: time * state } });
      continue;
    }
    const from = takeSteps(all, lengths.map((length) => reverse ? time - length : length - 1));
    temporary.push(from);
    parts.push({ from, rows: { ...to, fromStart: 0, fromStride: state } });
  }
  return assemble(device, rowsOf(axes, width), parts, "states after the last step");
}

/** The last k - 1 inputs that count in the order of their rows, from before the first step where there are fewer. */
export function lastInputs({ layer, axes, xs, carry, lengths, temporary }: Evaluation): Tensor {
  const { input, window = 1, reverse = false } = layer.spec;
  const { batch, time } = axes;
  const width = (window - 1) * input;
  if (lengths !== undefined) {
    const keep = (tensor: Tensor): Tensor => {
      temporary.push(tensor);
      return tensor;
    };
    const before = carry ?? keep(assemble(xs.device, rowsOf(axes, width), [], "no inputs"));
    const rows = keep(reshape(before, rowsOf(axes, window - 1, input)));
    const all = keep(concat(reverse ? [xs, rows] : [rows, xs], -2));
    return takeSteps(all, lengths.map((length) => reverse ? time - length : length), window - 1);
  }
  const own = Math.min(window - 1, time) * input;
  const old = width - own;
  const common = { toStride: width, rows: batch };
  const parts: Part[] = [];
  if (own > 0) {
    const [fromStart, toStart] = reverse ? [0, 0] : [time * input - own, old];
    parts.push({ from: xs, rows: { ...common, fromStart, fromStride: time * input, toStart, width: own } });
  }
  if (carry !== undefined && old > 0) {
    const [fromStart, toStart] = reverse ? [0, own] : [own, 0];
    parts.push({ from: carry, rows: { ...common, fromStart, fromStride: width, toStart, width: old } });
  }
  return assemble(xs.device, rowsOf(axes, width), parts, "the last inputs");
}
