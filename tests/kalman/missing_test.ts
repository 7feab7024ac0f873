// Missing measurements: rows with NaN are predicted, and nothing of NaN gets any further.

import { assert, assertEquals } from "@std/assert";
import { assertClose, host } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { drawModel } from "./models.ts";
import { assertPosterior, flatten, smooth } from "./posteriors.ts";
import { recursion } from "./reference.ts";

testOn(MACHINES, "missing: the first row, the last row, all rows", async (device, { epsilon }) => {
  const drawn = drawModel({ states: 2, measured: 2, time: 8, batch: 3, biased: true });
  const holes: readonly (readonly number[])[] = [[0], [7], [0, 1, 2, 3, 4, 5, 6, 7]];
  const rows = drawn.rows.map((sequence, b) =>
    sequence.map((row, t) => holes[b]!.includes(t) ? row.map(() => NaN) : row)
  );
  const ys = host(rows.flat(2), [3, 8, 2]);
  const expected = flatten(rows.map((sequence) => recursion(drawn.plain, sequence)));
  for (const parallel of [true, false]) {
    const actual = await smooth(device, drawn.model, ys, parallel);
    assertPosterior(actual, expected, 64 * epsilon, `parallel ${parallel}`);
    // Of a sequence of which nothing is known.
    assertEquals(actual.logLik[2], 0);
    assertClose(actual.smoothedMeans.slice(32), actual.filteredMeans.slice(32), 32 * epsilon, "nothing to smooth");
  }
});

testOn(MACHINES, "missing: one NaN makes a row missing, whatever the rest of it is", async (device) => {
  const { model, ys } = drawModel({ states: 2, measured: 3, time: 6 });
  const withRow = (...row: number[]) => {
    const data = Float64Array.from(ys.data);
    data.set(row, 9);
    return { ...ys, data };
  };
  for (const parallel of [true, false]) {
    const whole = await smooth(device, model, withRow(NaN, NaN, NaN), parallel);
    assert(Object.values(whole).every((values) => values.every(Number.isFinite)), `parallel ${parallel}`);
    for (const row of [[1e30, NaN, 2], [NaN, Infinity, 0], [-Infinity, 1, NaN]]) {
      assertEquals(await smooth(device, model, withRow(...row), parallel), whole, `${row}, parallel ${parallel}`);
    }
  }
});

testOn(MACHINES, "missing: a sequence with holes does not touch the others", async (device) => {
  const { model, ys } = drawModel({ states: 2, measured: 1, time: 40, batch: 3 });
  const holes = Float64Array.from(ys.data);
  holes.fill(NaN, 45, 60);
  for (const parallel of [true, false]) {
    const [without, some] = [
      await smooth(device, model, ys, parallel),
      await smooth(device, model, { ...ys, data: holes }, parallel),
    ];
    for (const b of [0, 2]) {
      assertEquals(some.logLik[b], without.logLik[b]);
      const rows = (values: Float64Array) => values.slice(b * 80, (b + 1) * 80);
      assertEquals(rows(some.smoothedMeans), rows(without.smoothedMeans));
    }
  }
});

testOn(MACHINES, "missing: what is not finite but no NaN is measured, and shows", async (device) => {
  const { model, ys } = drawModel({ states: 1, measured: 1, time: 5 });
  const data = Float64Array.from(ys.data);
  data[2] = Infinity;
  for (const parallel of [true, false]) {
    const { filteredMeans, logLik } = await smooth(device, model, { ...ys, data }, parallel);
    assertEquals(Array.from(filteredMeans, Number.isFinite), [true, true, false, false, false]);
    assert(!Number.isFinite(logLik[0]));
  }
});
