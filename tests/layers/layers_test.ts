import { assertEquals } from "@std/assert";
import { assertClose, host, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { LAYER_CASES, someInputs, someParams, treeOf } from "./cases.ts";
import { runPlain } from "./reference.ts";

/**
 * In units of epsilon, for all T: states are averages with weights that sum to about 1, so what a step adds (the roundings
 * of a sum of some ten products and of two or three functions, of numbers below 2) is forgotten at the rate of the gates.
 */
const TOLERANCE = 32;

for (const { name, make, plain } of LAYER_CASES) {
  for (const reverse of [false, true]) {
    const title = `${name}${reverse ? ", reversed" : ""}`;
    testOn(MACHINES, `layers: ${title}, against plain numbers`, async (device, { epsilon }) => {
      const layer = make({ reverse });
      const params = someParams(layer);
      for (const [batch, time] of [[1, 0], [3, 1], [1, 2], [3, 50], [1, 1000]] as const) {
        for (const given of [true, false]) {
          const { xs, h0 } = someInputs(layer, batch, time);
          const start = given ? h0 : host(new Float64Array(h0.data.length), h0.shape);
          const expected = runPlain(plain, params, xs, start, layer);
          const run = layer.run(treeOf(params), xs, { device, ...(given && { h0 }) });
          const what = `${title}, ${batch} × ${time}`;
          assertEquals(run.ys.shape, [batch, time, layer.hidden]);
          assertEquals(run.hT.shape, [batch, layer.state]);
          assertClose(await read(run.ys), expected.ys, TOLERANCE * epsilon, what);
          assertClose(await read(run.hT), expected.hT, TOLERANCE * epsilon, `${what}: hT`);
          for (const tensor of [run.ys, run.hT, run.carry]) tensor?.dispose();
        }
      }
    });
  }

  testOn(MACHINES, `layers: ${name}, one sequence without the axis of the batch, one h0 for all`, async (device) => {
    const layer = make();
    const params = treeOf(someParams(layer));
    const { xs, h0 } = someInputs(layer, 2, 7);
    const one = rowOf(h0, 0);
    using whole = layer.apply(params, xs, { device, h0: one });
    const all = await read(whole);
    for (const b of [0, 1]) {
      const { ys, hT, carry } = layer.run(params, rowOf(xs, b), { device, h0: one });
      assertEquals(ys.shape, [7, layer.hidden]);
      assertEquals(hT.shape, [layer.state]);
      assertEquals(carry?.shape, layer.carry === 0 ? undefined : [layer.carry]);
      assertEquals(await read(ys), all.slice(b * 7 * layer.hidden, (b + 1) * 7 * layer.hidden));
      for (const tensor of [ys, hT, carry]) tensor?.dispose();
    }
  });
}
