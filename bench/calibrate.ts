/**
 * Measures what `auto` knows of machines, and prints rows for the table in src/solve/costs.ts.
 *
 *     deno run -A bench/calibrate.ts
 */
import { type Device, elman, gru, openDevice, solve, type Step, tensor } from "@cervid/cervid";
import { engineOf } from "../src/device.ts";
import { operationsOf } from "../src/solve/auto.ts";
import { programOf } from "../src/step.ts";
import type { RowProgram } from "../src/trace/rows.ts";

/** The best of some runs, in microseconds. */
async function best(run: () => Promise<void>, runs = 5): Promise<number> {
  await run();
  let shortest = Infinity;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run();
    shortest = Math.min(shortest, performance.now() - start);
  }
  return 1000 * shortest;
}

const operations = (step: Step): number => operationsOf([programOf(step).output]);

/** Microseconds a row of one pass over `batch` sequences. */
async function rowCost(device: Device, step: Step, batch: number, time: number): Promise<number> {
  const xs = tensor(device, { data: new Float32Array(batch * time), shape: [batch, time, 1] });
  const problem = { params: step.init(device), xs };
  const total = await best(async () => (await solve(step, problem, { method: "sequential" })).dispose());
  xs.dispose();
  return total / time;
}

async function calibrate(device: Device): Promise<void> {
  const engine = engineOf(device);
  const [small, large] = [elman({ input: 1, hidden: 1 }), gru({ input: 1, hidden: 64 })];
  const [row, wide] = [await rowCost(device, small, 1, 4000), await rowCost(device, large, 1, 2000)];
  const many = await rowCost(device, small, 256, 1000);
  const serialOperation = Math.max(0, wide - row) / (operations(large) - operations(small));
  let [dispatch, operation] = [0, serialOperation];
  if (engine.backend === "webgpu") {
    const words = engine.upload(new Float32Array(4));
    const job = { op: "sum", input: words, out: engine.allocate("f32", 1), outer: 1, length: 4, inner: 1 } as const;
    const wait = await best(async () => void await engine.read(words));
    dispatch = (await best(async () => {
      for (let i = 0; i < 500; i++) engine.reduce(job);
      await engine.read(words);
    }) - wait) / 500;
    const step = gru({ input: 1, hidden: 32 });
    const program = programOf(step);
    const time = engine.speed === "hardware" ? 1 << 18 : 1 << 12;
    const params = program.params.map(({ leaf }) => engine.upload(new Float32Array(leaf.size)));
    const inputs = [32, time].map((length) => ({ memory: engine.upload(new Float32Array(length)), start: null }));
    const outputs = [engine.allocate("f32", time * 32)];
    // The step at one state, for all rows.
    const { name, trace, t, h, x, output } = program;
    const rows: RowProgram = {
      name,
      trace,
      params: program.params,
      inputs: [
        { path: "h", shape: h.shape, leaf: h, shift: 0, per: "sequence" },
        { path: "x", shape: x.shape, leaf: x, shift: 0, per: "step" },
      ],
      t,
      outputs: [{ path: "y", node: output }],
    };
    operation = (await best(async () => {
      engine.map({ program: rows, params, inputs, outputs, batch: 1, time });
      await engine.read(words);
    }) - wait) / (time * operations(step));
  }
  const sequences = engine.backend === "cpu" ? 1 : Math.max(1, Math.round(256 * row / many));
  const costs = { dispatch, row, serialOperation, operation, sequences };
  const text = Object.entries(costs).map(([name, value]) => `${name}: ${Number(value.toPrecision(2))}`).join(", ");
  console.log(`// ${device.description}\n${engine.speed}: { ${text} },`);
}

for (const backend of ["cpu", "webgpu"] as const) {
  const device = await openDevice({ backend }).catch((error: Error) => console.error(error.message));
  if (!device) continue;
  await calibrate(device);
  await device.dispose();
}
