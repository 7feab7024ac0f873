import type { HostTensor, Tree } from "../../src/io/mod.ts";

/** The equations of PyTorch's documentation in plain loops, over params as `fromTorch*` gives them. */

type State = { h: number[]; c: number[] };
type Cell = (params: Tree<HostTensor>, state: State, x: number[]) => State;

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

function matvec(matrix: HostTensor, vector: number[]): number[] {
  const [rows, columns] = matrix.shape as [number, number];
  return Array.from(
    { length: rows },
    (_, i) => vector.reduce((sum, v, j) => sum + matrix.data[i * columns + j]! * v, 0),
  );
}

/** n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h. */
export const gruCell: Cell = ({ weight_ih, weight_hh, bias, bias_n }, { h }, x) => {
  const H = h.length;
  const b = (bias as HostTensor).data;
  const fromX = matvec(weight_ih as HostTensor, x).map((value, i) => value + b[i]!);
  const fromH = matvec(weight_hh as HostTensor, h);
  const next = h.map((old, i) => {
    const r = sigmoid(fromX[i]! + fromH[i]!);
    const z = sigmoid(fromX[H + i]! + fromH[H + i]!);
    const n = Math.tanh(fromX[2 * H + i]! + r * (fromH[2 * H + i]! + (bias_n as HostTensor).data[i]!));
    return (1 - z) * n + z * old;
  });
  return { h: next, c: [] };
};

/** c' = f c + i g, h' = o tanh(c'). */
export const lstmCell: Cell = ({ weight_ih, weight_hh, bias }, { h, c }, x) => {
  const H = h.length;
  const fromH = matvec(weight_hh as HostTensor, h);
  const gates = matvec(weight_ih as HostTensor, x).map((v, i) => v + fromH[i]! + (bias as HostTensor).data[i]!);
  const nextC = c.map((old, i) => sigmoid(gates[H + i]!) * old + sigmoid(gates[i]!) * Math.tanh(gates[2 * H + i]!));
  return { h: nextC.map((value, i) => sigmoid(gates[3 * H + i]!) * Math.tanh(value)), c: nextC };
};

/** h' = activate(W_ih x + W_hh h + b). */
export const elmanCell = (activate: (value: number) => number): Cell => ({ weight_ih, weight_hh, bias }, { h }, x) => {
  const fromH = matvec(weight_hh as HostTensor, h);
  const next = matvec(weight_ih as HostTensor, x).map((v, i) =>
    activate(v + fromH[i]! + (bias as HostTensor).data[i]!)
  );
  return { h: next, c: [] };
};

/** The hidden states of one sequence, (T, H), from the first to the last or backwards. */
export function runCell(
  cell: Cell,
  params: Tree<HostTensor>,
  xs: number[][],
  { h, c }: Partial<State> = {},
  reverse = false,
): number[][] {
  const zeros = new Array<number>((params.weight_hh as HostTensor).shape[1]!).fill(0);
  let state = { h: h ?? zeros, c: c ?? zeros };
  const ys = (reverse ? xs.toReversed() : xs).map((x) => (state = cell(params, state, x)).h);
  return reverse ? ys.toReversed() : ys;
}

/** The sequence `b` of a batch: (T, D) out of (B, T, D). */
export function sequenceOf({ data, shape }: HostTensor, b: number): number[][] {
  const [, T, D] = shape as [number, number, number];
  return Array.from({ length: T }, (_, t) => Array.from(data.subarray((b * T + t) * D, (b * T + t + 1) * D)));
}
