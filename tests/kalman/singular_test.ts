// Models whose covariances are singular: constants, states without noise, models of moving averages, states of unlike sizes.

import { assert } from "@std/assert";
import type { LinearGaussianModel } from "../../mod.ts";
import { host } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { identity, type Matrix } from "./matrices.ts";
import type { PlainModel } from "./models.ts";
import { assertCovariances, assertPosterior, flatten, smooth } from "./posteriors.ts";
import { conditioning } from "./reference.ts";

interface Singular {
  readonly name: string;
  readonly covariance: Matrix;
  readonly f: Matrix;
  readonly q: Matrix;
  readonly h: Matrix;
  readonly r: number;
  /** How much larger than ε errors may be: the condition of what is inverted. */
  readonly condition: number;
}

const CASES: readonly Singular[] = [
  {
    name: "a straight line",
    covariance: identity(2, 100),
    f: [[1, 1], [0, 1]],
    q: identity(2, 0),
    h: [[1, 0]],
    r: 1,
    condition: 1000,
  },
  {
    name: "an autoregression of order 2",
    covariance: [[2, 0.5], [0.5, 1]],
    f: [[0.5, 1], [0.3, 0]],
    q: [[1, 0], [0, 0]],
    h: [[1, 0]],
    r: 0.1,
    condition: 32,
  },
  {
    name: "an autoregression with a moving average, measured almost exactly",
    covariance: [[2, 0.5, 0], [0.5, 1, 0], [0, 0, 1]],
    f: [[0.5, 1, 0], [0.3, 0, 1], [0.1, 0, 0]],
    q: [[1, 0.4, 0.2], [0.4, 0.16, 0.08], [0.2, 0.08, 0.04]],
    h: [[1, 0, 0]],
    r: 0.01,
    condition: 32,
  },
  {
    name: "a state that is known",
    covariance: [[0, 0], [0, 1]],
    f: [[1, 0], [0.1, 0.9]],
    q: [[0, 0], [0, 0.5]],
    h: [[1, 1]],
    r: 1,
    condition: 32,
  },
  {
    // What is predicted of the second step is exactly singular.
    name: "noise in one direction, from a state that is known",
    covariance: identity(2, 0),
    f: [[1, 0.5], [0, 1]],
    q: [[1, 0.5], [0.5, 0.25]],
    h: [[1, 0]],
    r: 1,
    condition: 64,
  },
  {
    name: "a level and a trend of unlike sizes",
    covariance: [[1e6, 0], [0, 1e-8]],
    f: [[1, 1], [0, 1]],
    q: [[10, 0], [0, 1e-10]],
    h: [[1, 0]],
    r: 100,
    condition: 32,
  },
];

testOn(MACHINES, "singular: states without noise of their own", async (device, machine) => {
  for (const { name, covariance, f, q, h, r, condition } of CASES) {
    const [n, time] = [f.length, 12];
    const zeros = new Array<number>(n).fill(0);
    const model: LinearGaussianModel = {
      initialMean: host(zeros, [n]),
      initialCovariance: host(covariance.flat(), [n, n]),
      dynamics: host(f.flat(), [n, n]),
      dynamicsCovariance: host(q.flat(), [n, n]),
      emission: host(h.flat(), [1, n]),
      emissionCovariance: host([r], [1, 1]),
    };
    const plain: PlainModel = {
      mean: zeros,
      covariance,
      f: () => f,
      u: () => zeros,
      q: () => q,
      h: () => h,
      d: () => [0],
      r: () => [[r]],
    };
    const rows = Array.from({ length: time }, (_, t) => [Math.fround(Math.sin(1.3 * t) * 2 + t * 0.1)]);
    const expected = flatten([conditioning(plain, rows)]);
    for (const parallel of [true, false]) {
      const what = `${name}, parallel ${parallel}`;
      const actual = await smooth(device, model, host(rows.flat(), [time, 1]), parallel);
      // Conditioning loses digits too.
      const tolerance = Math.max(1e-9, condition * machine.epsilon);
      assertPosterior(actual, expected, tolerance, what);
      assertCovariances(actual.smoothedCovariances, n, machine, what);
      assert(actual.logLik.every(Number.isFinite), what);
    }
  }
});
