import {
  defineStep,
  elman,
  fromTorchElman,
  fromTorchGru,
  fromTorchLstm,
  gru,
  type HostTensor,
  lem,
  lstm,
  type Problem,
  type Step,
  type Tree,
} from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { goldenTensors, host, numbers, rowOf } from "./arrays.ts";
import { product, type Rule, runLoop, sigmoid } from "./loops.ts";

/** A recurrence with its answer, found without cervid: by PyTorch or by a plain loop. */
export interface SolveCase {
  readonly name: string;
  readonly step: Step;
  readonly params: Tree<HostTensor>;
  /** `(B, T, I)`, absent without input */
  readonly xs?: HostTensor;
  /** `(B, D)` */
  readonly h0: HostTensor;
  /** T */
  readonly time: number;
  /** `(B, T, D)`, or its first columns */
  readonly expected: HostTensor;
  /** The step as a plain function, where there is one. */
  readonly rule?: Rule;
  /** The same from other parameters, in the tree of `params`. */
  readonly ruleOf?: (params: Record<string, HostTensor>) => Rule;
}

/** What solve() takes: the whole batch, or sequence `b` without the axis of the batch. */
export function problemOf({ params, xs, h0, time }: SolveCase, b?: number): Problem {
  const one = (value: HostTensor): HostTensor => b === undefined ? value : rowOf(value, b);
  return xs === undefined ? { params, time, h0: one(h0) } : { params, xs: one(xs), h0: one(h0) };
}

/** Columns `0` to `width` of trajectories: goldens of an LSTM hold h, not c. */
export function columnsOf(values: Float64Array, state: number, width: number): Float64Array {
  return values.filter((_, i) => i % state < width);
}

function torchCase(file: string, step: (sizes: { input: number; hidden: number }) => Step): SolveCase {
  const { xs, ys, h0, c0, ...dict } = goldenTensors(`torch_${file}`) as Record<string, HostTensor>;
  const [input, hidden] = [xs!.shape[2]!, h0!.shape[1]!];
  const convert = file === "gru" ? fromTorchGru : file === "lstm" ? fromTorchLstm : fromTorchElman;
  const rows = Array.from({ length: h0!.shape[0]! }, (_, b) => [h0!, ...(c0 ? [c0] : [])].map((v) => rowOf(v, b).data));
  const start = rows.flatMap((parts) => parts.flatMap((part) => Array.from(part)));
  return {
    name: `torch ${file}`,
    step: step({ input, hidden }),
    params: convert(dict),
    xs: xs!,
    h0: host(start, [rows.length, start.length / rows.length]),
    time: xs!.shape[1]!,
    expected: ys!,
  };
}

/** PyTorch's trajectories. */
export const TORCH_CASES: readonly SolveCase[] = [
  torchCase("gru", gru),
  torchCase("lstm", lstm),
  torchCase("elman_tanh", elman),
  torchCase("elman_relu", (sizes) => elman({ ...sizes, activation: "relu" })),
];

function loopCase(
  name: string,
  step: Step,
  rule: (params: Record<string, HostTensor>) => Rule,
  { params = {}, batch = 2, time = 60, seed = 1, bound = 1 }: {
    params?: Record<string, HostTensor>;
    batch?: number;
    time?: number;
    seed?: number;
    bound?: number;
  },
): SolveCase {
  const h0 = host(numbers(batch * step.state, 0.5, seed), [batch, step.state]);
  const xs = host(numbers(batch * time * step.input, bound, seed + 1), [batch, time, step.input]);
  const plain = rule(params);
  const expected = runLoop(plain, h0, step.input === 0 ? undefined : xs, time);
  return { name, step, params, ...(step.input === 0 ? {} : { xs }), h0, time, expected, rule: plain, ruleOf: rule };
}

const LEM = { input: 2, hidden: 3, dt: 0.5 };
const lemWeights = {
  weight_ih: host(numbers(12 * 2, 1, 11), [12, 2]),
  weight_hh: host(numbers(9 * 3, 1, 12), [9, 3]),
  weight_z: host(numbers(9, 1, 13), [3, 3]),
  bias: host(numbers(12, 0.5, 14), [12]),
};

/** Rusch et al. 2022, equations (6): Δ1 drives y, Δ2 drives z; the new z enters y. */
const lemRule = ({ weight_ih, weight_hh, weight_z, bias }: Record<string, HostTensor>): Rule => (state, x) => {
  const { hidden: H, dt } = LEM;
  const [y, z] = [state.slice(0, H), state.slice(H)];
  const fromX = product(weight_ih!, x).map((value, i) => value + bias!.data[i]!);
  const fromY = product(weight_hh!, y);
  const nextZ = z.map((old, i) => {
    const delta2 = dt * sigmoid(fromX[H + i]! + fromY[H + i]!);
    return (1 - delta2) * old + delta2 * Math.tanh(fromX[3 * H + i]! + fromY[2 * H + i]!);
  });
  const fromZ = product(weight_z!, nextZ);
  const nextY = y.map((old, i) => {
    const delta1 = dt * sigmoid(fromX[i]! + fromY[i]!);
    return (1 - delta1) * old + delta1 * Math.tanh(fromZ[i]! + fromX[2 * H + i]!);
  });
  return [...nextY, ...nextZ];
};

export const LEM_CASE: SolveCase = loopCase("lem", lem(LEM), lemRule, { params: lemWeights, time: 200, seed: 15 });

const network = defineStep({
  name: "network",
  state: 4,
  input: 2,
  params: { first: { weight: [5, 6], bias: [5] }, second: [3, 5], rate: [] },
  step: ({ h, x, p, t }) => {
    const layer = ops.tanh(ops.add(ops.matvec(p.first.weight, ops.concat(h, x)), p.first.bias));
    const out = ops.matvec(p.second, layer);
    const wave = ops.sin(ops.add(ops.mul(0.3, t), ops.slice(h, 3, 4)));
    const kinked = ops.where(ops.greater(out, 0), out, ops.mul(0.2, out));
    return ops.concat(ops.mul(0.6, kinked), ops.mul(p.rate, wave));
  },
});

const networkRule = (params: Record<string, HostTensor>): Rule => (h, x, t) => {
  const { first, second, rate } = params as unknown as {
    first: { weight: HostTensor; bias: HostTensor };
    second: HostTensor;
    rate: HostTensor;
  };
  const layer = product(first.weight, [...h, ...x]).map((value, i) => Math.tanh(value + first.bias.data[i]!));
  const out = product(second, layer).map((value) => 0.6 * (value > 0 ? value : 0.2 * value));
  return [...out, rate.data[0]! * Math.sin(0.3 * t + h[3]!)];
};

const networkParams = {
  first: { weight: host(numbers(30, 0.8, 21), [5, 6]), bias: host(numbers(5, 0.3, 22), [5]) },
  second: host(numbers(15, 0.8, 23), [3, 5]),
  rate: host([0.75], []),
};

/** A user's own step: a network of two layers, a kink, a wave in t, parameters in a tree. */
export const NETWORK_CASE: SolveCase = loopCase("network", network, networkRule, {
  params: networkParams as unknown as Record<string, HostTensor>,
  batch: 3,
  time: 80,
  seed: 24,
});

const leaky = (units: number): Step =>
  defineStep({
    name: "leaky",
    state: units,
    input: units,
    params: { rate: [units] },
    step: ({ h, x, p }) => ops.add(h, ops.mul(ops.sigmoid(p.rate), ops.sub(ops.tanh(ops.add(x, ops.mul(0.5, h))), h))),
  });

const leakyRule = ({ rate }: Record<string, HostTensor>): Rule => (h, x) =>
  h.map((value, i) => value + sigmoid(rate!.data[i]!) * (Math.tanh(x[i]! + 0.5 * value) - value));

const pendulum = defineStep({
  name: "pendulum",
  state: 2,
  input: 0,
  params: { dt: [] },
  step: ({ h, p, t }) => {
    const [q, v] = [ops.slice(h, 0, 1), ops.slice(h, 1, 2)];
    const force = ops.sub(ops.cos(ops.mul(0.1, t)), ops.add(ops.sin(q), ops.mul(0.5, v)));
    const next = ops.add(v, ops.mul(p.dt, force));
    return ops.concat(ops.add(q, ops.mul(p.dt, next)), next);
  },
});

const rotors = defineStep({
  name: "rotors",
  state: 4,
  input: 4,
  params: { angle: [] },
  step: ({ h, x, p }) => {
    const pair = (k: number): ReturnType<typeof ops.concat> => {
      const [a, b] = [ops.slice(h, 2 * k, 2 * k + 1), ops.slice(h, 2 * k + 1, 2 * k + 2)];
      const [c, s] = [ops.cos(p.angle), ops.sin(p.angle)];
      return ops.concat(ops.sub(ops.mul(c, a), ops.mul(s, b)), ops.add(ops.mul(s, a), ops.mul(c, b)));
    };
    return ops.tanh(ops.add(x, ops.mul(0.9, ops.concat(pair(0), pair(1)))));
  },
});

const rotorsRule = ({ angle }: Record<string, HostTensor>): Rule => (h, x) => {
  const [c, s] = [Math.cos(angle!.data[0]!), Math.sin(angle!.data[0]!)];
  const turned = [c * h[0]! - s * h[1]!, s * h[0]! + c * h[1]!, c * h[2]! - s * h[3]!, s * h[2]! + c * h[3]!];
  return turned.map((value, i) => Math.tanh(x[i]! + 0.9 * value));
};

const turning = defineStep({
  name: "turning",
  state: 2,
  input: 6,
  params: {},
  step: ({ h, x }) => ops.add(ops.matvec(ops.reshape(ops.slice(x, 0, 4), [2, 2]), h), ops.slice(x, 4, 6)),
});

/** Steps of every structure, each against a plain loop. */
export const LOOP_CASES: readonly SolveCase[] = [
  LEM_CASE,
  NETWORK_CASE,
  loopCase("leaky (diagonal)", leaky(3), leakyRule, { params: { rate: host([-1, 0, 1.5], [3]) }, time: 90, seed: 31 }),
  loopCase("nine units (diagonal)", leaky(9), leakyRule, {
    params: { rate: host(numbers(9, 2, 33), [9]) },
    batch: 3,
    time: 77,
    seed: 34,
  }),
  loopCase("pendulum (no input)", pendulum, ({ dt }) => ([q, v], _, t) => {
    const next = v! + dt!.data[0]! * (Math.cos(0.1 * t) - Math.sin(q!) - 0.5 * v!);
    return [q! + dt!.data[0]! * next, next];
  }, { params: { dt: host([0.0625], []) }, batch: 3, time: 120, seed: 41 }),
  loopCase("rotors (blocks)", rotors, rotorsRule, { params: { angle: host([0.5], []) }, time: 70, seed: 51 }),
  loopCase("turning (affine)", turning, () => ([a, b], [m00, m01, m10, m11, u, v]) => [
    m00! * a! + m01! * b! + u!,
    m10! * a! + m11! * b! + v!,
  ], { time: 75, seed: 61, bound: 0.6875 }),
];

/** All of them. */
export const CASES: readonly SolveCase[] = [...TORCH_CASES, ...LOOP_CASES];
