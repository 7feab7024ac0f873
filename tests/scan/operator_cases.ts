// Associative operators, traced and written a second time with plain loops. The file runs in pages too: nothing of Deno here.

import { defineOperator, type Operator, ops } from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";

const { add, concat, constant, div, exp, greater, log, matmul, matvec, max, min, mul, outer, sigmoid, sub, where } =
  ops;

/** An element: its arrays by their paths. */
export type PlainElement = Readonly<Record<string, readonly number[]>>;

/** An operator with the same on plain numbers. */
export interface OperatorCase {
  readonly operator: Operator;
  /** Arrays of parameters by their paths. */
  readonly params: PlainElement;
  readonly combine: (earlier: PlainElement, later: PlainElement, p: PlainElement) => PlainElement;
  /** Random elements of short binary fractions. */
  readonly draw: (random: Draw) => PlainElement;
  /** Units of eps · T · size that an answer may be off by; 0: exact. */
  readonly tolerance: number;
}

/** Reproducible numbers. */
export interface Draw {
  /** In ±bound, rounded to f32. */
  numbers(count: number, bound: number): number[];
  /** 0 to below - 1. */
  whole(below: number): number;
}

/** A stream of reproducible numbers. */
export function createDraw(seed: number): Draw {
  const random = createRandom(seed);
  return {
    numbers: (count, bound) => Array.from({ length: count }, () => Math.fround(bound * (2 * random.uniform() - 1))),
    whole: (below) => Math.floor(below * random.uniform()),
  };
}

/** `a b` of n × n matrices, row by row. */
function times(a: readonly number[], b: readonly number[], n: number): number[] {
  return a.map((_, e) => {
    let total = 0;
    for (let k = 0; k < n; k++) total += a[n * Math.floor(e / n) + k]! * b[k * n + e % n]!;
    return total;
  });
}

/** A reflection, as good as f32 can tell: products of many stay of size 1, and do not commute. */
function reflection(n: number, draw: Draw): number[] {
  const v = draw.numbers(n, 1).map((x) => x + 0.01);
  const length = v.reduce((sum, x) => sum + x * x, 0);
  return Array.from({ length: n * n }, (_, e) => {
    const [i, j] = [Math.floor(e / n), e % n];
    return Math.fround(Number(i === j) - 2 * v[i]! * v[j]! / length);
  });
}

const productCase = (n: number): OperatorCase => ({
  operator: defineOperator({
    name: `product of ${n}`,
    element: { m: [n, n] },
    combine: (earlier, later) => ({ m: matmul(later.m, earlier.m) }),
  }),
  params: {},
  combine: (earlier, later) => ({ m: times(later.m!, earlier.m!, n) }),
  draw: (random) => ({ m: reflection(n, random) }),
  tolerance: 4 * n,
});

/** Maps x → A x + b of R^n: n² + n words. */
const mapsCase = (n: number): OperatorCase => ({
  operator: defineOperator({
    name: `maps of ${n}`,
    element: { a: [n, n], b: [n] },
    combine: (earlier, later) => ({
      a: matmul(later.a, earlier.a),
      b: add(matvec(later.a, earlier.b), later.b),
    }),
  }),
  params: {},
  combine: (earlier, later) => ({
    a: times(later.a!, earlier.a!, n),
    b: later.b!.map((b, i) => earlier.b!.reduce((sum, x, j) => sum + later.a![i * n + j]! * x, b)),
  }),
  draw: (random) => ({ a: reflection(n, random).map((x) => Math.fround(0.9 * x)), b: random.numbers(n, 1) }),
  tolerance: 4 * n,
});

/** The last number that is not 0, of 300: a large element without products, over which software adapters take long. */
const latest: OperatorCase = {
  operator: defineOperator({
    name: "latest",
    element: { x: [300] },
    combine: (earlier, later) => ({ x: where(later.x, later.x, earlier.x) }),
  }),
  params: {},
  combine: (earlier, later) => ({ x: later.x!.map((x, i) => x === 0 ? earlier.x![i]! : x) }),
  draw: (random) => ({ x: random.numbers(300, 1).map((x) => Math.abs(x) < 0.95 ? 0 : x) }),
  tolerance: 0,
};

/** Number, mean, and sum of squares of samples, with the first and the last of them: six arrays, two levels of names. */
const moments: OperatorCase = {
  operator: defineOperator({
    name: "moments",
    element: { count: [], spread: { mean: [3], squares: [3, 3] }, low: [3], first: [6], last: [2] },
    combine: (earlier, later) => {
      const count = add(earlier.count, later.count);
      const change = sub(later.spread.mean, earlier.spread.mean);
      const share = div(later.count, count);
      const squares = add(earlier.spread.squares, later.spread.squares);
      return {
        count,
        spread: {
          mean: add(earlier.spread.mean, mul(share, change)),
          squares: add(squares, mul(mul(earlier.count, share), outer(change, change))),
        },
        low: min(earlier.low, later.low),
        first: earlier.first,
        last: later.last,
      };
    },
  }) as Operator,
  params: {},
  combine(earlier, later) {
    const [n1, n2] = [earlier.count![0]!, later.count![0]!];
    const [m1, m2] = [earlier["spread.mean"]!, later["spread.mean"]!];
    return {
      count: [n1 + n2],
      "spread.mean": m1.map((x, i) => (n1 * x + n2 * m2[i]!) / (n1 + n2)),
      "spread.squares": earlier["spread.squares"]!.map((x, e) => {
        const [i, j] = [Math.floor(e / 3), e % 3];
        return x + later["spread.squares"]![e]! + (m2[i]! - m1[i]!) * (m2[j]! - m1[j]!) * n1 * n2 / (n1 + n2);
      }),
      low: earlier.low!.map((x, i) => Math.min(x, later.low![i]!)),
      first: earlier.first!,
      last: later.last!,
    };
  },
  draw(random) {
    const x = random.numbers(3, 1);
    const none = new Array<number>(9).fill(0);
    const [first, last] = [random.numbers(6, 1), random.numbers(2, 1)];
    return { count: [1], "spread.mean": x, "spread.squares": none, low: x, first, last };
  },
  tolerance: 8,
};

/** Every operator of the tables. */
export const OPERATOR_CASES: readonly OperatorCase[] = [
  {
    operator: defineOperator({
      name: "sum",
      element: { x: [] },
      combine: (earlier, later) => ({ x: add(earlier.x, later.x) }),
    }),
    params: {},
    combine: (earlier, later) => ({ x: [earlier.x![0]! + later.x![0]!] }),
    draw: (random) => ({ x: random.numbers(1, 1) }),
    tolerance: 1,
  },
  {
    operator: defineOperator({
      name: "affine",
      element: { a: [], b: [2] },
      combine: (earlier, later) => ({ a: mul(later.a, earlier.a), b: add(mul(later.a, earlier.b), later.b) }),
    }),
    params: {},
    combine: (earlier, later) => ({
      a: [later.a![0]! * earlier.a![0]!],
      b: later.b!.map((b, i) => later.a![0]! * earlier.b![i]! + b),
    }),
    draw: (random) => ({ a: random.numbers(1, 1), b: random.numbers(2, 1) }),
    tolerance: 2,
  },
  {
    // Few values, many ties: the first of the largest is wanted.
    operator: defineOperator({
      name: "largest",
      element: { value: [], at: [] },
      combine: (earlier, later) => {
        const newer = greater(later.value, earlier.value);
        return { value: where(newer, later.value, earlier.value), at: where(newer, later.at, earlier.at) };
      },
    }),
    params: {},
    combine: (earlier, later) => later.value![0]! > earlier.value![0]! ? later : earlier,
    draw: (random) => ({ value: [random.whole(4) ** 3], at: random.numbers(1, 1) }),
    tolerance: 0,
  },
  {
    operator: defineOperator({
      name: "log of a sum",
      element: { y: [] },
      combine: (earlier, later) => {
        const top = max(earlier.y, later.y);
        return { y: add(top, log(add(exp(sub(earlier.y, top)), exp(sub(later.y, top))))) };
      },
    }),
    params: {},
    combine: (earlier, later) => {
      const [x, y] = [earlier.y![0]!, later.y![0]!];
      return { y: [Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(x - y)))] };
    },
    draw: (random) => ({ y: random.numbers(1, 20) }),
    tolerance: 8,
  },
  {
    // Parameters, and what follows from them alone, in long arrays.
    operator: defineOperator({
      name: "decay",
      element: { x: [9], steps: [] },
      params: { rate: [9], unit: { length: [] } },
      combine: (earlier, later, p) => {
        const logs = log(sigmoid(p.rate));
        const lengths = mul(later.steps, div(1, p.unit.length));
        return {
          x: add(later.x, mul(earlier.x, exp(mul(logs, lengths)))),
          steps: add(earlier.steps, later.steps),
        };
      },
    }) as unknown as Operator,
    params: { rate: [-4, -2, -1, 0, 0.5, 1, 2, 3, 4], "unit.length": [2] },
    combine: (earlier, later, { rate, "unit.length": length }) => ({
      x: later.x!.map((x, i) => {
        const base = 1 / (1 + Math.exp(-rate![i]!));
        return x + earlier.x![i]! * base ** (later.steps![0]! / length![0]!);
      }),
      steps: [earlier.steps![0]! + later.steps![0]!],
    }),
    draw: (random) => ({ x: random.numbers(9, 1), steps: [1 + random.whole(3)] }),
    tolerance: 16,
  },
  {
    // Constants beside the elements, arrays of which some are in registers, others not.
    operator: defineOperator({
      name: "bounded maximum",
      element: { long: [6], short: [2] },
      combine: (earlier, later) => ({
        long: max(max(earlier.long, later.long), constant([-0.625, -0.5, -0.375, -0.25, -0.125, 0])),
        short: max(concat(max(ops.slice(earlier.short, 0, 1), -0.25), ops.slice(earlier.short, 1, 2)), later.short),
      }),
    }),
    params: {},
    combine: (earlier, later) => ({
      long: later.long!.map((x, i) => Math.max(x, earlier.long![i]!, (i - 5) / 8)),
      short: later.short!.map((x, i) =>
        Math.max(x, i === 0 ? Math.max(earlier.short![0]!, -0.25) : earlier.short![1]!)
      ),
    }),
    draw: (random) => ({ long: random.numbers(6, 1), short: random.numbers(2, 1) }),
    tolerance: 0,
  },
  productCase(2),
  productCase(4),
  moments,
  mapsCase(3),
  mapsCase(8),
  latest,
];

/** The case of an operator by its name. */
export function operatorCase(name: string): OperatorCase {
  return OPERATOR_CASES.find(({ operator }) => operator.name === name)!;
}
