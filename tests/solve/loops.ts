import { host } from "./arrays.ts";
import type { HostTensor } from "../../mod.ts";

/** A recurrence in plain JavaScript: what a traced step must agree with. */
export type Rule = (h: readonly number[], x: readonly number[], t: number) => number[];

/** `matrix · vector` */
export function product({ data, shape }: HostTensor, vector: readonly number[]): number[] {
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => {
    let total = 0;
    for (let j = 0; j < columns; j++) total += data[i * columns + j]! * vector[j]!;
    return total;
  });
}

export function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

/** The trajectories `(B, T, D)` of a rule, one step after the other in double precision. */
export function runLoop(rule: Rule, h0: HostTensor, xs: HostTensor | undefined, time: number): HostTensor {
  const [batch, state] = h0.shape as [number, number];
  const input = xs?.shape[2] ?? 0;
  const ys = new Float64Array(batch * time * state);
  for (let b = 0; b < batch; b++) {
    let h = Array.from(h0.data.slice(b * state, (b + 1) * state));
    for (let t = 0; t < time; t++) {
      const row = (b * time + t) * input;
      h = rule(h, xs === undefined ? [] : Array.from(xs.data.slice(row, row + input)), t);
      ys.set(h, (b * time + t) * state);
    }
  }
  return host(ys, [batch, time, state]);
}
