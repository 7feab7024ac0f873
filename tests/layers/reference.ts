import type { HostTensor } from "../../mod.ts";
import { host } from "../solve/arrays.ts";
import { product, sigmoid } from "../solve/loops.ts";

/** Parameters by their paths ("surrogate.bias"). */
export type Flat = Readonly<Record<string, HostTensor>>;

/** One step of a network in plain numbers: inputs, the oldest first, and states to the next states and the output. */
export type PlainStep = (
  p: Flat,
  window: readonly (readonly number[])[],
  before: readonly number[],
) => { readonly states: number[]; readonly y: number[] };

/** What a network gives, and what it would hand on. */
export interface PlainRun {
  /** `(B, T, H)` */
  readonly ys: Float64Array;
  /** `(B, T, D)`, in the order of rows */
  readonly states: Float64Array;
  /** `(B, D)` */
  readonly hT: Float64Array;
}

/** The gates of `weight v + bias`, each a list of numbers. */
function gates(weight: HostTensor, bias: HostTensor, v: readonly number[], hidden: number): number[][] {
  const all = product(weight, v).map((value, i) => value + bias.data[i]!);
  return Array.from({ length: all.length / hidden }, (_, k) => all.slice(k * hidden, (k + 1) * hidden));
}

/** Lei et al. 2017, equations (3) to (7). */
export const plainSru = (hidden: number, g: (v: number) => number): PlainStep => (p, [x], before) => {
  const [tilde, forget, reset] = gates(p.weight_ih!, p.bias!, x!, hidden) as [number[], number[], number[]];
  const skip = p.weight_skip === undefined ? x! : product(p.weight_skip, x!);
  const states = tilde.map((v, i) => {
    const f = sigmoid(forget[i]!);
    return f * before[i]! + (1 - f) * v;
  });
  const y = states.map((c, i) => {
    const r = sigmoid(reset[i]!);
    return r * g(c) + (1 - r) * skip[i]!;
  });
  return { states, y };
};

/** Bradbury et al. 2017, equations (1) to (5); the columns of the weights as if the inputs were one vector. */
export const plainQrnn = (hidden: number, pooling: "f" | "fo" | "ifo"): PlainStep => (p, window, before) => {
  const [z, forget, out, into] = gates(p.weight_ih!, p.bias!, window.flat(), hidden);
  const states = z!.map((v, i) => {
    const f = sigmoid(forget![i]!);
    return f * before[i]! + (pooling === "ifo" ? sigmoid(into![i]!) : 1 - f) * Math.tanh(v);
  });
  return { states, y: pooling === "f" ? states : states.map((c, i) => sigmoid(out![i]!) * c) };
};

/** Balduzzi & Ghifary 2016, section 3. */
export const plainTyped = (hidden: number, kind: "t-rnn" | "t-lstm" | "t-gru"): PlainStep => (p, window, before) => {
  const [z, forget, out] = gates(p.weight_ih!, p.bias!, window.flat(), hidden);
  const states = z!.map((v, i) => {
    const f = sigmoid(forget![i]!);
    return f * before[i]! + (kind === "t-gru" ? v * Math.tanh(out![i]!) : (1 - f) * v);
  });
  return { states, y: kind === "t-lstm" ? states.map((c, i) => c * Math.tanh(out![i]!)) : states };
};

/** Feng et al. 2024, section 3.1. */
export const plainMinGru = (hidden: number): PlainStep => (p, [x], before) => {
  const [z, candidate] = gates(p.weight_ih!, p.bias!, x!, hidden) as [number[], number[]];
  const states = z.map((v, i) => (1 - sigmoid(v)) * before[i]! + sigmoid(v) * candidate[i]!);
  return { states, y: states };
};

/** Feng et al. 2024, section 3.2. */
export const plainMinLstm = (hidden: number): PlainStep => (p, [x], before) => {
  const [forget, into, candidate] = gates(p.weight_ih!, p.bias!, x!, hidden) as [number[], number[], number[]];
  const states = forget.map((v, i) => {
    const [f, j] = [sigmoid(v), sigmoid(into[i]!)];
    return f / (f + j) * before[i]! + j / (f + j) * candidate[i]!;
  });
  return { states, y: states };
};

const TAU: Readonly<Record<"identity" | "tanh" | "elu", (v: number) => number>> = {
  identity: (v) => v,
  tanh: Math.tanh,
  elu: (v) => v > 0 ? v : Math.expm1(v),
};

/** Martin & Cundy 2018, equations (5). */
export const plainGilr = (hidden: number, activation: keyof typeof TAU): PlainStep => (p, [x], before) => {
  const [gate, impulse] = gates(p.weight_ih!, p.bias!, x!, hidden) as [number[], number[]];
  const states = gate.map((v, i) => sigmoid(v) * before[i]! + (1 - sigmoid(v)) * TAU[activation](impulse[i]!));
  return { states, y: states };
};

/** Martin & Cundy 2018, equations (8); with `current` their code. */
export const plainGilrLstm = (hidden: number, current: boolean): PlainStep => (p, [x], before) => {
  const own = { weight_ih: p["surrogate.weight_ih"]!, bias: p["surrogate.bias"]! };
  const surrogate = plainGilr(hidden, "tanh")(own, [x!], before).states;
  const fromStates = product(p.weight_hh!, current ? surrogate : before.slice(0, hidden));
  const all = product(p.weight_ih!, x!).map((v, i) => v + fromStates[i]! + p.bias!.data[i]!);
  const [f, i, o, z] = [0, 1, 2, 3].map((k) => all.slice(k * hidden, (k + 1) * hidden)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const c = f.map((v, k) => sigmoid(v) * before[hidden + k]! + sigmoid(i[k]!) * Math.tanh(z[k]!));
  return { states: [...surrogate, ...c], y: c.map((v, k) => sigmoid(o[k]!) * v) };
};

/** Runs a network over sequences, one step after the other; `reverse` from the last row to the first. */
export function runPlain(
  step: PlainStep,
  p: Flat,
  xs: HostTensor,
  h0: HostTensor,
  { window, reverse }: { readonly window: number; readonly reverse: boolean },
): PlainRun {
  const [batch, time, input] = xs.shape as [number, number, number];
  const width = h0.shape[1]!;
  const ys: number[][] = [];
  const states: number[][] = [];
  const hT: number[] = [];
  for (let b = 0; b < batch; b++) {
    const row = (t: number): number[] =>
      t < 0 || t >= time
        ? Array<number>(input).fill(0)
        : Array.from(xs.data.slice((b * time + t) * input, (b * time + t + 1) * input));
    let before = Array.from(h0.data.slice(b * width, (b + 1) * width));
    for (let s = 0; s < time; s++) {
      const t = reverse ? time - 1 - s : s;
      const inputs = Array.from(
        { length: window },
        (_, k) => row(reverse ? t + (window - 1 - k) : t - (window - 1 - k)),
      );
      const after = step(p, inputs, before);
      before = after.states;
      ys[b * time + t] = after.y;
      states[b * time + t] = after.states;
    }
    hT.push(...before);
  }
  return { ys: Float64Array.from(ys.flat()), states: Float64Array.from(states.flat()), hT: Float64Array.from(hT) };
}

/** `(B, T, k I)`: the inputs that the cell of a network with a window reads at each step. */
export function windowsOf(xs: HostTensor, window: number): HostTensor {
  const [batch, time, input] = xs.shape as [number, number, number];
  const out = new Float64Array(batch * time * window * input);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      for (let k = 0; k < window; k++) {
        const from = t - (window - 1 - k);
        if (from < 0) continue;
        const row = xs.data.slice((b * time + from) * input, (b * time + from + 1) * input);
        out.set(row, ((b * time + t) * window + k) * input);
      }
    }
  }
  return host(out, [batch, time, window * input]);
}
