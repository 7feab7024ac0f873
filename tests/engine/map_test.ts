import { assertEquals } from "@std/assert";
import { engineOf } from "../../src/device.ts";
import { assertClose } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { ROW_CASES } from "./map_cases.ts";
import { freeJob, mapJob, runPlain } from "./map_support.ts";

// Functions over rows on every engine, against plain loops in double precision.

const SIZES = [[2, 0], [0, 3], [1, 1], [1, 2], [2, 1], [3, 3], [2, 65], [65, 2], [1, 1000]] as const;

for (const given of ROW_CASES) {
  testOn(MACHINES, `map: ${given.name}`, async (device, { epsilon }) => {
    const engine = engineOf(device);
    for (const [batch, time] of SIZES) {
      const data = runPlain(given, batch, time);
      const job = mapJob(engine, given, data, batch, time);
      engine.map(job);
      for (const [k, { path }] of given.program.outputs.entries()) {
        const expected = data.expected[k]!;
        const size = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
        const actual = await engine.read(job.outputs[k]!);
        assertClose(actual, expected, given.rounding * epsilon * size, `${path}, B = ${batch}, T = ${time}`);
      }
      freeJob(engine, job);
    }
  });
}

testOn(MACHINES, "map: the same function with and without rows outside of sequences", async (device) => {
  const engine = engineOf(device);
  const given = ROW_CASES[0]!;
  for (const starts of [["a", "b", "c"], [], ["b"], ["a", "d"]]) {
    const other = { ...given, starts };
    const data = runPlain(other, 2, 5);
    const job = mapJob(engine, other, data, 2, 5);
    engine.map(job);
    const actual = await engine.read(job.outputs[0]!);
    assertClose(actual, data.expected[0]!, 1e-5, `starts ${starts}`);
    freeJob(engine, job);
  }
});

testOn(MACHINES, "map: what is not finite stays in its rows", async (device) => {
  const engine = engineOf(device);
  for (const given of ROW_CASES.filter(({ name }) => /gates|before and after|sums/.test(name))) {
    const [batch, time] = [2, 12];
    const data = runPlain(given, batch, time);
    const { shift, leaf: { size } } = given.program.inputs[0]!;
    const row = 4 + shift;
    data.inputs[0]!.data.fill(NaN, 4 * size, 5 * size);
    const job = mapJob(engine, given, data, batch, time);
    engine.map(job);
    for (const [k, output] of job.outputs.entries()) {
      const values = await engine.read(output);
      const width = values.length / (batch * time);
      const touched = [...values].flatMap((value, e) => Number.isNaN(value) ? [Math.floor(e / width)] : []);
      const others = touched.filter((r) => !given.program.inputs.some(({ shift }) => r === 4 + shift) && r !== row);
      assertEquals(others, [], `${given.name}, output ${k}`);
    }
    freeJob(engine, job);
  }
});
