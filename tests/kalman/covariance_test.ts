// Which covariances are taken: singular ones, whatever rounding made of them, and any where they are not used.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { kalmanFilter, kalmanSmoother, type LinearGaussianModel, openDevice, tensor } from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";
import { host } from "../solve/arrays.ts";
import { readPosterior, smooth } from "./posteriors.ts";
import { eye, MODEL, ones } from "./some_model.ts";

Deno.test("covariances: singular covariances are some, whatever rounding makes of them", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const { normal } = createRandom(1);
  for (let k = 0; k < 200; k++) {
    const n = 1 + k % 6;
    const rank = k % (n + 1);
    const scales = Array.from({ length: n }, () => 10 ** Math.round(2 * normal()));
    const factor = Array.from({ length: n }, (_, i) => Array.from({ length: rank }, () => scales[i]! * normal()));
    const product = factor.flatMap((a) => factor.map((b) => Math.fround(a.reduce((sum, x, j) => sum + x * b[j]!, 0))));
    const model: LinearGaussianModel = {
      initialMean: ones(n),
      initialCovariance: host(product, [n, n]),
      dynamics: eye(n),
      dynamicsCovariance: host(product, [n, n]),
      emission: ones(1, n),
      emissionCovariance: ones(1, 1),
    };
    using posterior = await kalmanFilter(model, ones(2, 1), { device });
    assertEquals(posterior.filteredMeans.shape, [2, n]);
  }
});

Deno.test("covariances: rows that are not used may hold anything", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const nothing = (n: number): number[] => new Array<number>(n).fill(NaN);
  const rows = (n: number, identity: number[], holes: readonly number[]) =>
    Array.from({ length: 3 }, (_, t) => holes.includes(t) ? nothing(n) : identity).flat();
  const flat = ({ data }: ReturnType<typeof eye>): number[] => Array.from(data);
  const changing = {
    dynamics: host(rows(4, [1, 0.5, 0, 1], [0]), [3, 2, 2]),
    dynamicsBias: host(rows(2, [0.1, 0.2], [0]), [3, 2]),
    dynamicsCovariance: host(rows(4, flat(eye(2)), [0]), [3, 2, 2]),
    emission: host(rows(6, flat(ones(3, 2)), [1]), [3, 3, 2]),
    emissionBias: host(rows(3, [0, 0, 0], [1]), [3, 3]),
    emissionCovariance: host(rows(9, flat(eye(3)), [1]), [3, 3, 3]),
  };
  const same = { ...MODEL, dynamics: host([1, 0.5, 0, 1], [2, 2]), dynamicsBias: host([0.1, 0.2], [2]) };
  // Two sequences, both of which miss the second row.
  const ys = host([1, 2, 3, NaN, 0, 0, 4, 5, 6, 3, 2, 1, 7, NaN, 7, 1, 1, 1], [2, 3, 3]);
  for (const parallel of [true, false]) {
    const expected = await smooth(device, same, ys, parallel);
    assert(Object.values(expected).every((values) => values.every(Number.isFinite)));
    assertEquals(await smooth(device, { ...MODEL, ...changing }, ys, parallel), expected);
    using measured = tensor(device, ys);
    using posterior = await kalmanSmoother({ ...MODEL, ...changing }, measured, { parallel });
    assertEquals(await readPosterior(posterior), expected, "measurements that only the device knows");
  }
  // A row at which one sequence is measured is used.
  const one = host(Array.from(ys.data, (x, i) => i === 13 ? 0 : x), [2, 3, 3]);
  await assertRejects(
    () => kalmanSmoother({ ...MODEL, ...changing }, one, { device }),
    RangeError,
    "Cannot smooth: emissionCovariance must be finite, got NaN at [1, 0, 0]",
  );
});
