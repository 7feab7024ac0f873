/**
 * Sweeps of Newton's method by the Lyapunov exponent and T, beside what `expectedSweeps` says: networks of random weights by their
 * gain, maps, Lorenz 96, and a trained autoregressive GRU, all from the default guess. The formula was fitted to this table.
 *
 *     deno run -A bench/predictability.ts bench/results/predictability_MACHINE.json
 */
import {
  defineStep,
  type Device,
  elman,
  expectedSweeps,
  gru,
  type HostTensor,
  lyapunovExponent,
  openDevice,
  type Problem,
  solve,
  type Step,
} from "@cervid/cervid";
import { concat, mul, slice, sub } from "@cervid/cervid/ops";
import { AR_GRU, arGruProblem } from "../examples/lib/ar_gru.ts";
import { LORENZ_96, lorenzProblem } from "../examples/lib/lorenz96.ts";
import { formatTable } from "../examples/lib/table.ts";
import { createRandom } from "../src/core/random.ts";

const TIMES = [250, 1000, 4000];

/** One recurrence at one T. */
interface Row {
  readonly case: string;
  readonly time: number;
  readonly exponent: number;
  readonly sweeps: number;
  readonly expected: number;
}

type Pose = (device: Device, time: number) => Problem | Promise<Problem>;

/** Random weights of size gain / √H, driven by noise. */
function network(kind: "elman" | "gru", hidden: number, gain: number): [name: string, step: Step, pose: Pose] {
  const gates = kind === "gru" ? 3 : 1;
  const step = kind === "gru" ? gru({ input: 1, hidden }) : elman({ input: 1, hidden });
  const pose: Pose = (_, time) => {
    const random = createRandom(hidden);
    const normal = (scale: number, ...shape: number[]): HostTensor => ({
      data: Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => scale * random.normal()),
      shape,
    });
    const params = {
      weight_hh: normal(gain / Math.sqrt(hidden), gates * hidden, hidden),
      weight_ih: normal(0.1, gates * hidden, 1),
      bias: normal(0, gates * hidden),
      ...(kind === "gru" ? { bias_n: normal(0, hidden) } : {}),
    };
    return { params, xs: normal(1, time, 1) };
  };
  return [`${kind}, H = ${hidden}, gain ${gain}`, step, pose];
}

/** x' = r x (1 - x) */
function logistic(r: number): [name: string, step: Step, pose: Pose] {
  const spec = { name: "logistic", state: 1, input: 0, params: {} };
  const step = defineStep({ ...spec, step: ({ h }) => mul(r, mul(h, sub(1, h))) });
  return [
    `logistic map, r = ${r}`,
    step,
    (_, time) => ({ params: {}, time, h0: { data: Float64Array.of(0.3), shape: [1] } }),
  ];
}

const HENON = defineStep({
  name: "Hénon",
  state: 2,
  input: 0,
  params: {},
  step: ({ h }) => {
    const x = slice(h, 0, 1);
    return concat(sub(slice(h, 1, 2), sub(mul(1.4, mul(x, x)), 1)), mul(0.3, x));
  },
});

const CASES: readonly (readonly [name: string, step: Step, pose: Pose])[] = [
  ...[8, 32, 64].flatMap((hidden) => [0.5, 0.9, 1.2, 1.5, 2, 3].map((gain) => network("elman", hidden, gain))),
  ...[1, 3, 6, 10].map((gain) => network("gru", 16, gain)),
  ...[2.5, 3.2, 3.56, 3.6, 3.7, 3.9, 4].map(logistic),
  ["Hénon map", HENON, (_, time) => ({ params: {}, time, h0: { data: Float64Array.of(0.1, 0.1), shape: [2] } })],
  ["Lorenz 96", LORENZ_96, (device, time) => lorenzProblem(device, { time, seed: 1 })],
  ["AR-GRU", AR_GRU, (_, time) => arGruProblem({ time, noise: 1, start: 0, seed: 0 })],
];

const [path] = Deno.args;
if (path === undefined) {
  console.error("Cannot measure: give the file that results go to");
  Deno.exit(2);
}
// In f64: in f32 orbits of maps soon repeat.
await using device = await openDevice({ backend: "cpu", dtype: "f64" });
const rows: Row[] = [];
for (const [name, step, pose] of CASES) {
  for (const time of TIMES) {
    const problem = await pose(device, time);
    const { exponents: [exponent = NaN] } = await lyapunovExponent(step, problem, { device });
    using solution = await solve(step, problem, { device, method: "deer", maxSweeps: time });
    rows.push({ case: name, time, exponent, sweeps: solution.stats.sweeps, expected: expectedSweeps(exponent, time) });
  }
}
const cpu = device.description;
const text = JSON.stringify({ version: 1, runtime: `Deno/${Deno.version.deno}`, cpu, rows }, null, 2);
await Deno.writeTextFile(path, text + "\n");
const titles = ["case", "T", "exponent", "sweeps", "expected", "expected / sweeps"];
console.log(formatTable(
  titles.map((title) => ({ title, left: title === "case" })),
  rows.map(({ case: name, time, exponent, sweeps, expected }) => [
    name,
    String(time),
    exponent.toFixed(4),
    String(sweeps),
    String(expected),
    (expected / sweeps).toFixed(2),
  ]),
));
