import {
  concat,
  type Device,
  type HostTensor,
  last,
  matmul,
  meanPool,
  reshape,
  softmaxCrossEntropy,
  squaredError,
  take,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { host, numbers, plainProduct } from "../solve/arrays.ts";

/** A tensor function, the same with plain numbers, and what it is applied to. */
export interface FunctionCase {
  readonly name: string;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** The numbers are uniform in ±bound. */
  readonly bound?: number;
  readonly shape: readonly number[];
  apply(arrays: Readonly<Record<string, Tensor>>, device: Device): Tensor;
  plain(arrays: Readonly<Record<string, ArrayLike<number>>>): number[];
}

const list = (values: ArrayLike<number>): number[] => Array.from(values);
/** Row b, t of an array `(B, T, n)`. */
const row = (values: ArrayLike<number>, n: number, r: number): number[] => list(values).slice(r * n, (r + 1) * n);
const sumOf = (rows: readonly number[][]): number[] => rows[0]!.map((_, i) => rows.reduce((s, r) => s + r[i]!, 0));
const integers = (values: number[], shape: readonly number[]): HostTensor => ({
  data: Uint32Array.from(values),
  shape,
});

/** The mean cross entropy of rows, without care for overflow but for the largest logit. */
function plainEntropy(logits: ArrayLike<number>, classes: number, labels: readonly number[]): number[] {
  const losses = labels.map((label, r) => {
    const x = row(logits, classes, r);
    const top = Math.max(...x);
    return Math.log(x.reduce((total, value) => total + Math.exp(value - top), 0)) + top - x[label]!;
  });
  return [losses.reduce((a, b) => a + b, 0) / labels.length];
}

const TAKEN = [4, 0, 4, 4, 1, 5];

export const FUNCTION_CASES: readonly FunctionCase[] = [
  {
    name: "matmul of many axes",
    shapes: { a: [2, 3, 4], b: [4, 5] },
    shape: [2, 3, 5],
    apply: ({ a, b }) => matmul(a!, b!),
    plain: ({ a, b }) => plainProduct(a!, b!, 6, 4, 5),
  },
  {
    name: "matmul of a vector",
    shapes: { a: [4], b: [4, 3] },
    shape: [3],
    apply: ({ a, b }) => matmul(a!, b!),
    plain: ({ a, b }) => plainProduct(a!, b!, 1, 4, 3),
  },
  {
    name: "matmul of a matrix with itself",
    shapes: { a: [3, 3] },
    shape: [3, 3],
    apply: ({ a }) => matmul(a!, a!),
    plain: ({ a }) => plainProduct(a!, a!, 3, 3, 3),
  },
  {
    name: "matmul with a host array",
    shapes: { a: [2, 3] },
    shape: [2, 2],
    apply: ({ a }) => matmul(a!, host(numbers(6, 1, 50), [3, 2])),
    plain: ({ a }) => plainProduct(a!, numbers(6, 1, 50), 2, 3, 2),
  },
  {
    name: "take rows, some more than once",
    shapes: { x: [6, 3] },
    shape: [2, 3, 3],
    apply: ({ x }) => take(x!, integers(TAKEN, [2, 3])),
    plain: ({ x }) => TAKEN.flatMap((r) => row(x!, 3, r)),
  },
  {
    name: "take numbers by a list",
    shapes: { x: [6] },
    shape: [6],
    apply: ({ x }) => take(x!, TAKEN),
    plain: ({ x }) => TAKEN.map((r) => x![r]!),
  },
  {
    name: "take matrices by indices on the device",
    shapes: { x: [6, 2, 2] },
    shape: [6, 2, 2],
    apply: ({ x }, device) => take(x!, tensor(device, { data: Int32Array.from(TAKEN), shape: [6] })),
    plain: ({ x }) => TAKEN.flatMap((r) => row(x!, 4, r)),
  },
  {
    name: "concat of features",
    shapes: { a: [2, 3, 2], b: [2, 3, 1] },
    shape: [2, 3, 5],
    apply: ({ a, b }) => concat([a!, b!, a!]),
    plain: ({ a, b }) => [0, 1, 2, 3, 4, 5].flatMap((r) => [...row(a!, 2, r), ...row(b!, 1, r), ...row(a!, 2, r)]),
  },
  {
    name: "concat in time",
    shapes: { a: [2, 3, 2], b: [2, 1, 2] },
    shape: [2, 4, 2],
    apply: ({ a, b }) => concat([a!, b!], -2),
    plain: ({ a, b }) => [0, 1].flatMap((r) => [...row(a!, 6, r), ...row(b!, 2, r)]),
  },
  {
    name: "concat of batches, with a host array",
    shapes: { a: [2, 3] },
    shape: [3, 3],
    apply: ({ a }) => concat([a!, host([1, 2, 3], [1, 3])], 0),
    plain: ({ a }) => [...list(a!), 1, 2, 3],
  },
  {
    name: "last of a batch",
    shapes: { x: [2, 4, 3] },
    shape: [2, 3],
    apply: ({ x }) => last(x!),
    plain: ({ x }) => [...row(x!, 3, 3), ...row(x!, 3, 7)],
  },
  {
    name: "last of a sequence",
    shapes: { x: [4, 3] },
    shape: [3],
    apply: ({ x }) => last(x!),
    plain: ({ x }) => row(x!, 3, 3),
  },
  {
    name: "reshape, twice",
    shapes: { x: [2, 6] },
    shape: [2, 2, 3],
    apply: ({ x }) => reshape(reshape(x!, [3, -1]), [2, 2, 3]),
    plain: ({ x }) => list(x!),
  },
  {
    name: "meanPool",
    shapes: { x: [2, 3, 2] },
    shape: [2, 2],
    apply: ({ x }) => meanPool(x!),
    plain: ({ x }) =>
      [0, 1].flatMap((b) => sumOf([0, 1, 2].map((t) => row(x!, 2, 3 * b + t))).map((value) => value / 3)),
  },
  {
    name: "meanPool of a sequence",
    shapes: { x: [5, 2] },
    shape: [2],
    apply: ({ x }) => meanPool(x!, { lengths: [4] }),
    plain: ({ x }) => sumOf([0, 1, 2, 3].map((t) => row(x!, 2, t))).map((value) => value / 4),
  },
  {
    name: "meanPool of lengths on the device",
    shapes: { x: [3, 4, 2] },
    shape: [3, 2],
    apply: ({ x }, device) => meanPool(x!, { lengths: tensor(device, integers([4, 1, 3], [3])) }),
    plain: ({ x }) =>
      [4, 1, 3].flatMap((length, b) =>
        sumOf(Array.from({ length }, (_, t) => row(x!, 2, 4 * b + t))).map((value) => value / length)
      ),
  },
  {
    name: "squaredError",
    shapes: { x: [2, 3], y: [2, 3] },
    shape: [],
    apply: ({ x, y }) => squaredError(x!, y!),
    plain: ({ x, y }) => [list(x!).reduce((total, value, i) => total + (value - y![i]!) ** 2, 0) / 6],
  },
  {
    name: "squaredError of numbers",
    shapes: { x: [] },
    shape: [],
    apply: ({ x }) => squaredError(x!, host([2], [])),
    plain: ({ x }) => [(x![0]! - 2) ** 2],
  },
  {
    name: "softmaxCrossEntropy",
    shapes: { logits: [3, 4] },
    bound: 3,
    shape: [],
    apply: ({ logits }) => softmaxCrossEntropy(logits!, [3, 0, 0]),
    plain: ({ logits }) => plainEntropy(logits!, 4, [3, 0, 0]),
  },
  {
    name: "softmaxCrossEntropy of steps, with labels on the device",
    shapes: { logits: [2, 3, 40] },
    shape: [],
    apply: ({ logits }, device) => softmaxCrossEntropy(logits!, tensor(device, integers([39, 0, 7, 7, 1, 38], [2, 3]))),
    plain: ({ logits }) => plainEntropy(logits!, 40, [39, 0, 7, 7, 1, 38]),
  },
  {
    name: "softmaxCrossEntropy of one row",
    shapes: { logits: [2] },
    shape: [],
    apply: ({ logits }) => softmaxCrossEntropy(logits!, integers([1], [])),
    plain: ({ logits }) => plainEntropy(logits!, 2, [1]),
  },
];

/** The arrays of a case, reproducible. */
export function arraysOf({ shapes, bound = 1 }: FunctionCase): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape], k) => [
      name,
      host(numbers(shape.reduce((a, b) => a * b, 1), bound, 60 + k), shape),
    ]),
  );
}
