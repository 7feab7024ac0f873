// Every misuse is refused with a message that says what was expected, and leaves nothing behind.

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DeviceError,
  kalmanFilter,
  type KalmanOptions,
  kalmanSmoother,
  type LinearGaussianModel,
  openDevice,
  sum,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../mod.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { host } from "../solve/arrays.ts";
import { watchMemory } from "../solve/memory.ts";
import { eye, MODEL, ones } from "./some_model.ts";
const YS = ones(5, 3);

const SIGHT = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/** What a mistaken program gives: types would refuse some of it. */
type Given = readonly [name: string, model: unknown, ys: unknown, message: string, options?: unknown];

const part = (fields: Record<string, unknown>) => ({ ...MODEL, ...fields });

const TYPE_ERRORS: readonly Given[] = [
  ["no model", undefined, YS, "the model must be a record, got undefined"],
  [
    "an unknown part",
    part({ transition: eye(2) }),
    YS,
    "the model may have initialMean, initialCovariance, dynamics, dynamicsBias, dynamicsCovariance, emission, " +
    "emissionBias, emissionCovariance, got transition",
  ],
  [
    "a part that is missing",
    part({ dynamics: undefined }),
    YS,
    "dynamics must be a tensor or { data, shape }, got und",
  ],
  ["a number", part({ emissionCovariance: 1 }), YS, "emissionCovariance must be a tensor or { data, shape }, got 1"],
  ["a mean with an axis too many", part({ initialMean: ones(1, 2) }), YS, "initialMean must have shape (D,) with D of"],
  ["no states", part({ initialMean: ones(0) }), YS, "initialMean must have shape (D,) with D of at least 1, got (0,)"],
  [
    "an emission of other states",
    part({ emission: ones(3, 4) }),
    YS,
    "emission must have shape (E, 2) or (T, E, 2), as initialMean has 2 states, got (3, 4)",
  ],
  ["an emission without rows", part({ emission: ones(0, 2) }), YS, "emission must have shape (E, 2) or (T, E, 2), as"],
  ["no measurements", MODEL, undefined, "ys must have shape (B, T, 3) or (T, 3), got undefined"],
  [
    "a vector of measurements",
    MODEL,
    ones(5),
    "ys must have shape (B, T, 3) or (T, 3), as emission has 3 rows, got (5",
  ],
  [
    "measurements of another width",
    MODEL,
    ones(5, 2),
    "ys must have shape (B, T, 3) or (T, 3), as emission has 3 rows",
  ],
  [
    "a covariance of another size",
    part({ initialCovariance: eye(3) }),
    YS,
    "initialCovariance must have shape (2, 2), got (3, 3)",
  ],
  [
    "dynamics of another number of steps",
    part({ dynamics: ones(4, 2, 2) }),
    YS,
    "dynamics must have shape (2, 2) or (5, 2, 2), got (4, 2, 2)",
  ],
  [
    "dynamics of a batch",
    part({ dynamics: ones(3, 5, 2, 2) }),
    ones(3, 5, 3),
    "dynamics must have shape (2, 2) or (5, 2, 2), got (3, 5, 2, 2)",
  ],
  [
    "a bias of measurements",
    part({ dynamicsBias: ones(3) }),
    YS,
    "dynamicsBias must have shape (2,) or (5, 2), got (3,)",
  ],
  ["a bias of states", part({ emissionBias: ones(2) }), YS, "emissionBias must have shape (3,) or (5, 3), got (2,)"],
  [
    "noise of states",
    part({ emissionCovariance: eye(2) }),
    YS,
    "emissionCovariance must have shape (3, 3) or (5, 3, 3), got (2, 2)",
  ],
  [
    "an array that does not fit its shape",
    part({ dynamics: { data: new Float32Array(3), shape: [2, 2] } }),
    YS,
    "dynamics must have 4 elements for its shape (2, 2), got 3",
  ],
  ["whole numbers", MODEL, { data: new Int32Array(15), shape: [5, 3] }, "ys must hold floats, got an object of Int32"],
  ["an unknown option", MODEL, YS, "options may have device, parallel, got batch", { batch: 3 }],
  ["a word for parallel", MODEL, YS, 'parallel must be true or false, got "yes"', { parallel: "yes" }],
];

const RANGE_ERRORS: readonly Given[] = [
  [
    "no covariance",
    part({ dynamicsCovariance: host([1, 2, 3, 4], [2, 2]) }),
    YS,
    "dynamicsCovariance must be symmetric, got 3 at [1, 0] and 2 at [0, 1]",
  ],
  [
    "a variance below 0",
    part({ initialCovariance: host([1, 0, 0, -1], [2, 2]) }),
    YS,
    "variances of initialCovariance must not be negative, got -1 at [1, 1]",
  ],
  [
    "a covariance with a hole, at one step",
    part({ dynamicsCovariance: host([...new Array(18).fill(1), NaN, 1], [5, 2, 2]) }),
    YS,
    "dynamicsCovariance must be finite, got NaN at [4, 1, 0]",
  ],
  [
    "correlations beyond 1",
    part({ dynamicsCovariance: host([1, 2, 2, 1], [2, 2]) }),
    YS,
    "dynamicsCovariance must be positive semidefinite, got the pivot -3 at [1, 1]; write it as a product with its own",
  ],
  [
    "correlations that do not go together, at one step, of small numbers",
    part({
      emissionCovariance: host(
        [...SIGHT, ...SIGHT, ...SIGHT, ...[1, 0.9, 0.9, 0.9, 1, -0.9, 0.9, -0.9, 1].map((x) => x * 1e-9), ...SIGHT],
        [5, 3, 3],
      ),
    }),
    YS,
    "emissionCovariance must be positive semidefinite, got the pivot -1.5",
  ],
  [
    "a covariance with a state that is known",
    part({ initialCovariance: host([0, 0.1, 0.1, 1], [2, 2]) }),
    YS,
    "initialCovariance must be positive semidefinite, got the pivot",
  ],
];

for (const [what, run] of [["filter", kalmanFilter], ["smooth", kalmanSmoother]] as const) {
  Deno.test(`misuse: what cannot be a model or its measurements, ${what}`, async () => {
    await using device = await openDevice({ backend: "cpu", dtype: "f64" });
    const ledger = watchMemory(device);
    for (const [errorType, table] of [[TypeError, TYPE_ERRORS], [RangeError, RANGE_ERRORS]] as const) {
      for (const [name, model, ys, message, options = {}] of table) {
        const call = run(model as LinearGaussianModel, ys as typeof YS, { device, ...options as KalmanOptions });
        const error = await assertRejects(() => call, errorType, `Cannot ${what}: ${message}`);
        assert(!error.message.endsWith("."), name);
        assertEquals(ledger.held(), [], name);
      }
    }
  });
}

Deno.test("misuse: what is nearly symmetric is a covariance, as f32 leaves it", async () => {
  await using device = await openDevice({ backend: "cpu" });
  const model = part({ dynamicsCovariance: host([1, 0.5, 0.50001, 1], [2, 2]) });
  using posterior = await kalmanFilter(model as LinearGaussianModel, YS, { device });
  assertEquals(posterior.filteredMeans.shape, [5, 2]);
});

Deno.test("misuse: arrays of no device, or of two", async () => {
  await assertRejects(
    () => kalmanFilter(MODEL, YS),
    TypeError,
    "Cannot filter: no argument is a tensor on a device; give the option device: await openDevice()",
  );
  await using one = await openDevice({ backend: "cpu" });
  await using other = await openDevice({ backend: "cpu" });
  const model = { ...MODEL, dynamics: tensor(other, MODEL.dynamics as typeof YS) };
  await assertRejects(() => kalmanFilter(model, YS, { device: one }), TypeError, "dynamics lives on another device");
});

Deno.test("misuse: gradients through smoothed states, or after their call, are refused and leave nothing", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const params = { dynamics: tensor(device, eye(2)) };
  const ledger = watchMemory(device);
  for (const [name, run] of [["kalmanFilter", kalmanFilter], ["kalmanSmoother", kalmanSmoother]] as const) {
    if (run === kalmanSmoother) {
      const loss = valueAndGrad(async ({ dynamics }: typeof params) =>
        sum((await kalmanSmoother({ ...MODEL, dynamics }, YS)).smoothedMeans)
      );
      const refused = "Cannot differentiate the smoothed states of kalmanSmoother(): they have no pullback";
      await assertRejects(() => loss(params), TypeError, refused);
      assertEquals(ledger.held(), [], name);
    }
    let escaped: Tensor | undefined;
    const other = valueAndGrad(({ dynamics }: typeof params) => sum(escaped = dynamics));
    const { value, grads } = await other(params);
    for (const made of [value, grads.dynamics]) made.dispose();
    const late = run({ ...MODEL, dynamics: escaped! }, YS);
    await assertRejects(
      () => late,
      TypeError,
      `Cannot differentiate ${name}(): the valueAndGrad call of its arguments`,
    );
    assertEquals(ledger.held(), [], name);
  }
});

testOnGpu("misuse: more states than an invocation can combine", async () => {
  await using device = await openDevice({ backend: "webgpu" });
  const ledger = watchMemory(device);
  const model: LinearGaussianModel = {
    initialMean: ones(13),
    initialCovariance: eye(13),
    dynamics: eye(13),
    dynamicsCovariance: eye(13),
    emission: ones(1, 13),
    emissionCovariance: eye(1),
  };
  await assertRejects(
    () => kalmanSmoother(model, ones(4, 1), { device, parallel: true }),
    DeviceError,
    "Cannot smooth: in parallel WebGPU takes up to 12 states, got 13; give parallel: false, or use the CPU engine",
  );
  assertEquals(ledger.held(), []);
  // Unless it is told it goes step after step.
  using posterior = await kalmanFilter(model, ones(4, 1), { device });
  assertEquals(posterior.filteredMeans.shape, [4, 13]);
});
