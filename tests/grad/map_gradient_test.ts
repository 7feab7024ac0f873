import { assertEquals } from "@std/assert";
import {
  defineMap,
  type HostTensor,
  map,
  ops,
  sum,
  type Tensor,
  tensor,
  toHost,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { MAP_CASES, mapArrays, plainMap, treeOf } from "../map/functions.ts";
import { assertClose, host, numbers } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { finiteDifferences, weighted } from "./finite.ts";

type Arrays = Record<string, HostTensor>;

/** All arrays of a case under one name each, and back. */
const join = ({ inputs, params, starts }: ReturnType<typeof mapArrays>): Arrays =>
  Object.fromEntries(
    Object.entries({ inputs, params, starts }).flatMap(([kind, group]) =>
      Object.entries(group).map(([name, value]) => [`${kind}:${name}`, value])
    ),
  );
const group = <T>(all: Record<string, T>, kind: string): Record<string, T> =>
  Object.fromEntries(
    Object.entries(all).filter(([name]) => name.startsWith(kind)).map(([name, value]) => [name.split(":")[1]!, value]),
  );

const addAll = defineMap({ name: "add", inputs: { x: [], y: [] }, params: {}, map: ({ x, y }) => ops.add(x, y) });

for (const given of MAP_CASES) {
  const large = given.name === "large products";
  const sizes = large ? [[1, 2]] as const : [[1, 1], [2, 5]] as const;
  const expected = sizes.map(([batch, time]) => {
    const arrays = mapArrays(given, batch, time);
    const outputs = plainMap(given, arrays, batch, time);
    const weights = Object.fromEntries(
      Object.entries(outputs).map(([name, values], k) => [name, numbers(values.length, 1, 77 + k)]),
    );
    const loss = (all: Arrays): number => {
      const parts = { inputs: group(all, "inputs"), params: group(all, "params"), starts: group(all, "starts") };
      const results = plainMap(given, parts, batch, time);
      return Object.entries(results).reduce(
        (total, [name, values]) => values.reduce((sum, value, i) => sum + value * weights[name]![i]!, total),
        0,
      );
    };
    const joined = join(arrays);
    // Of large matrices some rows are enough: each difference costs four evaluations.
    const some = large ? { "inputs:x": joined["inputs:x"]! } : joined;
    const differences = finiteDifferences(some, (changed) => loss({ ...joined, ...changed }));
    return { batch, time, joined, weights, value: loss(joined), differences };
  });

  testOn(MACHINES, `valueAndGrad: map, ${given.name}, against finite differences`, async (device, { epsilon }) => {
    for (const { batch, time, joined, weights, value, differences } of expected) {
      const leaves = Object.fromEntries(Object.entries(joined).map(([name, data]) => [name, tensor(device, data)]));
      const loss = valueAndGrad((all: Record<string, Tensor>) => {
        const answer = map(given.fn, {
          inputs: group(all, "inputs"),
          params: treeOf(group(all, "params")) as Tree<Tensor>,
          starts: group(all, "starts"),
        });
        const outputs = "shape" in answer ? { value: answer as Tensor } : answer as Record<string, Tensor>;
        const parts = Object.entries(outputs).map(([name, y]) => {
          const row = given.fn.outputs[name] as number[];
          return weighted(y, tensor(device, host(weights[name]!, y.shape)), row);
        });
        const rows = (x: Tensor): Tensor => map(asRow, { inputs: { one, x } });
        return parts.length === 1 ? parts[0]! : sum(
          parts.map(rows).reduce((x, y) => map(addAll, { inputs: { x, y } })),
        );
      });
      const one = tensor(device, host([1], [1]));
      const result = await loss(leaves);
      assertClose((await toHost(result.value)).data, [value], 400 * epsilon * batch * time, "the value");
      for (const [name, slope] of Object.entries(differences)) {
        const { data, shape } = await toHost(result.grads[name]!);
        assertEquals(shape, joined[name]!.shape, name);
        // Differences of fourth order are good to 1e-9 here; f32 sums up to 100 terms, each at most about 4, per row.
        assertClose(data, slope, 1e-9 + 800 * epsilon * Math.sqrt(batch * time), `${name}, ${batch} × ${time}`);
      }
    }
  });
}

/** A number as one row. */
const asRow = defineMap({
  name: "as row",
  inputs: { one: [], x: { shape: [], per: "sequence" } },
  params: {},
  map: ({ one, x }) => ops.mul(one, x),
});
