// The elements of the parallel filter and smoother, and what combines them: the law, the neutral element, the largest size.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { associativeScan, checkAssociativity, DeviceError, type HostTensor, openDevice } from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";
import { engineOf } from "../../src/device.ts";
import { operatorPlan } from "../../src/engine/webgpu/operator_code.ts";
import { filterOperator, smootherOperator } from "../../src/kalman/elements.ts";
import { KalmanJob, MOST_PARALLEL_STATES } from "../../src/kalman/job.ts";
import { filterElements } from "../../src/kalman/programs.ts";
import { operatorProgram } from "../../src/scan/define_operator.ts";
import { assertClose, host, read } from "../solve/arrays.ts";
import { drawModel } from "./models.ts";
import { identity, type Matrix, matrix, times, transpose } from "./matrices.ts";

const COUNT = 12;

/** Elements with covariances, and with whatever else: rows of arrays by name. */
function drawElements(n: number): Record<string, HostTensor> {
  const { normal } = createRandom(n);
  const square = (): Matrix => matrix(n, n, () => normal());
  const covariance = (): Matrix => {
    const a = square();
    return times(a, transpose(a));
  };
  const vector = (): number[] => Array.from({ length: n }, normal);
  const rows = (size: readonly number[], draw: () => number[]): HostTensor =>
    host(Array.from({ length: COUNT }, draw).flat(), [COUNT, ...size]);
  return {
    mean: rows([n], vector),
    covariance: rows([n, n], () => covariance().flat()),
    rest: rows([2 * n * n + n], () => [...square().flat(), ...covariance().flat(), ...vector()]),
  };
}

const operatorOf = (kind: "filter" | "smoother", n: number) =>
  kind === "filter" ? filterOperator(n) : smootherOperator(n);

for (const kind of ["filter", "smoother"] as const) {
  Deno.test(`elements of the ${kind}: brackets do not matter`, async () => {
    for (const n of [1, 2, 3, 5]) {
      const report = await checkAssociativity(operatorOf(kind, n), drawElements(n), { rtol: 1e-10 });
      assert(report.associative, `${n} states: ${report.worst} of ${report.where?.path}`);
    }
  });
}

Deno.test("elements of the filter: what neither moves, nor adds noise, nor measures, is neutral on both sides", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const n = 3;
  const operator = filterOperator(n);
  const some = drawElements(n);
  const one = (name: string): number[] => Array.from(some[name]!.data.slice(0, some[name]!.data.length / COUNT));
  const neutral: Record<string, number[]> = {
    mean: [0, 0, 0],
    covariance: new Array<number>(9).fill(0),
    rest: [...identity(n).flat(), ...new Array<number>(12).fill(0)],
  };
  for (const first of [true, false]) {
    const elements = Object.fromEntries(
      Object.entries(neutral).map(([name, values]) => {
        const rows = first ? [values, one(name)] : [one(name), values];
        return [name, host(rows.flat(), [2, ...some[name]!.shape.slice(1)])];
      }),
    );
    const scanned = associativeScan(operator, elements, { device });
    for (const [name, tensor] of Object.entries(scanned)) {
      const values = await read(tensor as Parameters<typeof read>[0]);
      // Covariances are symmetric but for rounding, and become so.
      assertClose(values.slice(values.length / 2), one(name), 1e-14, `${name}, neutral ${first ? "first" : "last"}`);
    }
  }
});

Deno.test("elements of the filter: the first knows nothing of a state before it, measured or not", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const engine = engineOf(device);
  const [n, time] = [3, 4];
  for (const varying of [[], ["f"], ["q", "h"]] as const) {
    const { model, ys } = drawModel({ states: n, measured: 2, time, batch: 2, biased: true, varying });
    ys.data[0] = NaN;
    const job = new KalmanJob("Cannot test", model, ys, { device });
    const program = filterElements(job.layout);
    const outputs = program.outputs.map(({ node }) => job.allocate(node.size, "test"));
    const inputs = [{ memory: job.rows, start: null }];
    engine.map({ program, params: job.paramsOf(program), inputs, outputs, batch: 2, time });
    const k = program.outputs.findIndex(({ path }) => path === "rest");
    const [rest, size] = [await engine.read(outputs[k]!), 2 * n * n + n];
    for (let r = 0; r < 2 * time; r++) {
      const row = rest.slice(r * size, (r + 1) * size);
      assertEquals(row.every((x) => x === 0), r % time === 0, `row ${r}`);
    }
    job.end();
  }
});

Deno.test("elements: WebGPU takes as many states as are promised", () => {
  for (let n = 1; n <= MOST_PARALLEL_STATES; n++) {
    for (const kind of ["filter", "smoother"] as const) {
      const plan = operatorPlan(operatorProgram(operatorOf(kind, n)));
      // Enough rows for a chunk: an invocation may make 60 000 turns.
      const { row, fixed } = plan.turns("arrays");
      assert(row * 4 + fixed < 60_000, `${kind} of ${n}: ${row} turns a row`);
      assertEquals(plan.leaves.length, 3, "arrays that kernels can bind without copies");
    }
  }
  const beyond = operatorProgram(filterOperator(MOST_PARALLEL_STATES + 1));
  assertThrows(() => operatorPlan(beyond), DeviceError, "to combine elements of 533 words");
});
