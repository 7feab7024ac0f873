import { assertEquals, assertRejects } from "@std/assert";
import {
  defineMap,
  type Device,
  type HostTensor,
  kalmanFilter,
  kalmanSmoother,
  type LinearGaussianModel,
  map,
  ops,
  reshape,
  sum,
  type Tensor,
  tensor,
  toDevice,
  toHost,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { finiteDifferences, weighted } from "../grad/finite.ts";
import { assertClose, host, numbers } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";
import { type Matrix, matrix, type Vector } from "./matrices.ts";
import { drawModel, type ModelSpec, type PlainModel } from "./models.ts";
import { recursion } from "./reference.ts";

type Arrays = Readonly<Record<string, HostTensor>>;

const CASES: Readonly<Record<string, ModelSpec>> = {
  "two states": { states: 2, measured: 1, time: 12, seed: 1 },
  "a batch with biases and missing rows": {
    ...{ states: 2, measured: 2, time: 9, batch: 3, biased: true, missing: 0.3, seed: 2 },
  },
  "everything changes": {
    ...{ states: 2, measured: 1, time: 7, batch: 2, biased: true, seed: 3 },
    varying: ["f", "u", "q", "h", "d", "r"],
  },
  "one state, more measurements": { states: 1, measured: 3, time: 20, varying: ["h"], seed: 4 },
  "one step": { states: 2, measured: 1, time: 1, seed: 5 },
};

const isCovariance = (name: string): boolean => name.endsWith("ovariance");

/** The symmetric part of every matrix of an array. */
function symmetric({ data, shape }: HostTensor): Float64Array {
  const n = shape.at(-1)!;
  return Float64Array.from(data, (value, e) => {
    const [first, i, j] = [e - e % (n * n), Math.floor(e % (n * n) / n), e % n];
    return (value + data[first + j * n + i]!) / 2;
  });
}

/** Of the model that arrays hold, in which only symmetric parts of covariances count. */
function plainOf(arrays: Arrays): PlainModel {
  const n = arrays.initialMean!.shape[0]!;
  const e = arrays.emission!.shape.at(-2)!;
  const part = (name: string, rows: number, columns: number) => (t: number): Matrix => {
    const array = arrays[name];
    if (array === undefined) return matrix(rows, columns, () => 0);
    const data = isCovariance(name) ? symmetric(array) : array.data;
    const first = data.length > rows * columns ? t * rows * columns : 0;
    return matrix(rows, columns, (i, j) => data[first + i * columns + j]!);
  };
  const vector = (name: string, rows: number) => (t: number): Vector => part(name, rows, 1)(t).flat();
  return {
    mean: vector("initialMean", n)(0),
    covariance: part("initialCovariance", n, n)(0),
    f: part("dynamics", n, n),
    u: vector("dynamicsBias", n),
    q: part("dynamicsCovariance", n, n),
    h: part("emission", e, n),
    d: vector("emissionBias", e),
    r: part("emissionCovariance", e, e),
  };
}

/** What of the answer a loss is made of, in plain numbers. */
type Pick = "likelihood" | "states";

function plainLoss(arrays: Arrays, pick: Pick, [means, covariances]: readonly Float64Array[]): number {
  const { data, shape } = arrays.ys!;
  const [time, e] = shape.slice(-2) as [number, number];
  const model = plainOf(arrays);
  let total = 0;
  for (let b = 0; b < data.length / (time * e); b++) {
    const rows = Array.from({ length: time }, (_, t) => Array.from(data.subarray((b * time + t) * e).subarray(0, e)));
    const answer = recursion(model, rows);
    if (pick === "likelihood") total += answer.logLik;
    else {
      const [m, p] = [answer.filteredMeans.flat(), answer.filteredCovariances.flat(2)];
      for (const [i, value] of m.entries()) total += value * means![b * m.length + i]!;
      for (const [i, value] of p.entries()) total += value * covariances![b * p.length + i]!;
    }
  }
  return total;
}

const addTwo = defineMap({ name: "add", inputs: { a: [], b: [] }, params: {}, map: ({ a, b }) => ops.add(a, b) });

function addScalars(a: Tensor, b: Tensor): Tensor {
  return sum(map(addTwo, { inputs: { a: reshape(a, [1]), b: reshape(b, [1]) } }));
}

async function gradientsOf(
  device: Device,
  arrays: Arrays,
  pick: Pick,
  weights: readonly Float64Array[],
  parallel: boolean,
): Promise<Record<string, HostTensor>> {
  const loss = async ({ ys, ...model }: Record<string, Tensor>): Promise<Tensor> => {
    const found = await kalmanFilter(model as unknown as LinearGaussianModel, ys!, { parallel });
    if (pick === "likelihood") return sum(found.marginalLogLik);
    const { filteredMeans: m, filteredCovariances: p } = found;
    using w = tensor(device, host(weights[0]!, [...m.shape]));
    using v = tensor(device, host(weights[1]!, [...p.shape]));
    const n = m.shape.at(-1)!;
    return addScalars(weighted(m, w, [n]), weighted(p, v, [n, n]));
  };
  const params = toDevice(device, arrays as Tree<HostTensor>) as Record<string, Tensor>;
  const { value, grads } = await valueAndGrad(loss)(params);
  value.dispose();
  const entries = Object.entries(grads as Record<string, Tensor>).map(async ([name, tensor]) => {
    const array = await toHost(tensor);
    tensor.dispose();
    return [name, array] as const;
  });
  const found = Object.fromEntries(await Promise.all(entries));
  for (const tensor of Object.values(params)) tensor.dispose();
  return found;
}

for (const [name, spec] of Object.entries(CASES)) {
  const { model, ys } = drawModel(spec);
  const arrays: Arrays = { ...model as unknown as Arrays, ys };
  const steps = ys.data.length / spec.measured;
  const weights = [numbers(steps * spec.states, 1, 7), numbers(steps * spec.states ** 2, 1, 8)].map((one) =>
    Float64Array.from(one)
  );
  const wanted = new Map(
    (["likelihood", "states"] as const).map((pick) => [
      pick,
      finiteDifferences(arrays, (moved) => plainLoss(moved, pick, weights), 1e-3),
    ]),
  );
  testOn(MACHINES, `kalmanFilter, ${name}: gradients are finite differences`, async (device, machine) => {
    const ledger = watchMemory(device);
    for (const pick of ["likelihood", "states"] as const) {
      for (const parallel of [false, true]) {
        const found = await gradientsOf(device, arrays, pick, weights, parallel);
        assertEquals(Object.keys(found).sort(), Object.keys(arrays).sort());
        for (const [part, array] of Object.entries(found)) {
          assertEquals(array.shape, arrays[part]!.shape);
          const expected = wanted.get(pick)![part]!;
          const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
          // Finite differences are good for nine digits.
          const tolerance = size * (machine.dtype === "f64" ? 1e-8 : 3e-4);
          // A matrix that the plain loop makes symmetric has the symmetric part of the gradient.
          const actual = isCovariance(part) ? symmetric(array) : array.data;
          assertClose(actual, expected, tolerance, `${part} of the ${pick}, parallel ${parallel}`);
        }
      }
    }
    assertEquals(ledger.held(), []);
  });
}

testOn(PRECISE, "kalmanSmoother: the likelihood has gradients, smoothed states refuse", async (device) => {
  const { model, ys } = drawModel(CASES["two states"]!);
  const params = toDevice(device, { ...model, ys } as unknown as Tree<HostTensor>) as Record<string, Tensor>;
  const smooth = ({ ys, ...model }: Record<string, Tensor>) =>
    kalmanSmoother(model as unknown as LinearGaussianModel, ys!, {});
  const filter = ({ ys, ...model }: Record<string, Tensor>) =>
    kalmanFilter(model as unknown as LinearGaussianModel, ys!, {});
  const [one, two] = [
    await valueAndGrad(async (p: Record<string, Tensor>) => (await smooth(p)).marginalLogLik)(params),
    await valueAndGrad(async (p: Record<string, Tensor>) => (await filter(p)).marginalLogLik)(params),
  ];
  for (const name of Object.keys(params)) {
    const [a, b] = [
      await toHost((one.grads as typeof params)[name]!),
      await toHost((two.grads as typeof params)[name]!),
    ];
    assertEquals(a, b, name);
  }
  await assertRejects(
    () => valueAndGrad(async (p: Record<string, Tensor>) => sum((await smooth(p)).smoothedMeans))(params),
    TypeError,
    "Cannot differentiate the smoothed states of kalmanSmoother(): they have no pullback",
  );
});
