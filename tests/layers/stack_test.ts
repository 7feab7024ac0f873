import { assertEquals, assertThrows } from "@std/assert";
import {
  bidirectional,
  dense,
  gilr,
  gilrLstm,
  gru,
  type HostTensor,
  layerNorm,
  minGru,
  pool,
  qrnn,
  recurrent,
  residual,
  reversed,
  type SequenceLayer,
  sru,
  stack,
  type Tree,
} from "../../mod.ts";
import { assertClose, host, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { someInputs, someParams, treeOf } from "./cases.ts";
import { plainGilrLstm, plainMinGru, plainQrnn, runPlain } from "./reference.ts";

const own = (flat: Readonly<Record<string, HostTensor>>, k: number): Record<string, HostTensor> =>
  Object.fromEntries(
    Object.entries(flat).filter(([path]) => path.startsWith(`layer${k}.`)).map(([path, value]) => [
      path.slice(`layer${k}.`.length),
      value,
    ]),
  );

/** Columns of `(B, D)`. */
const columns = ({ data, shape }: HostTensor, from: number, to: number): HostTensor =>
  host(data.filter((_, i) => i % shape[1]! >= from && i % shape[1]! < to), [shape[0]!, to - from]);

testOn(MACHINES, "stack: the layers one after the other, against plain numbers", async (device, { epsilon }) => {
  for (const reverse of [false, true]) {
    const layers = [
      qrnn({ input: 3, hidden: 4, window: 2, reverse }),
      gilrLstm({ input: 4, hidden: 2, reverse }),
      minGru({ input: 2, hidden: 5, reverse: !reverse }),
    ];
    const plain = [plainQrnn(4, "fo"), plainGilrLstm(2, false), plainMinGru(5)];
    const deep = stack(layers);
    assertEquals([deep.input, deep.hidden, deep.state, deep.carry], [3, 5, 4 + 4 + 5, 3]);
    const params = someParams(deep);
    for (const [batch, time] of [[2, 40], [3, 1], [2, 0]] as const) {
      const { xs, h0 } = someInputs(deep, batch, time);
      let [values, offset] = [xs, 0];
      const ends: HostTensor[] = [];
      for (const [k, layer] of layers.entries()) {
        const start = columns(h0, offset, offset += layer.state);
        const run = runPlain(plain[k]!, own(params, k), values, start, layer);
        values = host(run.ys, [batch, time, layer.hidden]);
        ends.push(host(run.hT, [batch, layer.state]));
      }
      const { ys, hT, carry } = deep.run(treeOf(params), xs, { device, h0 });
      using alone = deep.apply(treeOf(params), xs, { device, h0 });
      assertEquals([ys.shape, hT.shape, carry?.shape], [[batch, time, 5], [batch, 13], [batch, 3]]);
      assertClose(await read(ys), values.data, 32 * epsilon, `ys, ${batch} × ${time}`);
      assertEquals(await read(alone), await read(ys));
      const together = Array.from({ length: batch }, (_, b) => ends.flatMap((end) => Array.from(rowOf(end, b).data)));
      assertClose(await read(hT), together.flat(), 32 * epsilon, `hT, ${batch} × ${time}`);
      for (const tensor of [ys, hT, carry]) tensor?.dispose();
    }
  }
});

testOn(MACHINES, "stack: of one layer is that layer; of one sequence; of stacks", async (device) => {
  const layer = gilrLstm({ input: 3, hidden: 3 });
  const params = treeOf(someParams(layer));
  const { xs, h0 } = someInputs(layer, 2, 6);
  using single = stack([layer]).apply({ layer0: params }, xs, { device, h0 });
  using expected = layer.apply(params, xs, { device, h0 });
  assertEquals(await read(single), await read(expected));
  const nested = stack([layer, stack([layer, layer])]);
  const flat = stack([layer, layer, layer]);
  const all: Tree<HostTensor> = { layer0: params, layer1: { layer0: params, layer1: params } };
  const start = host([...h0.data, ...h0.data, ...h0.data].slice(0, 18), [18]);
  const one = nested.run(all, rowOf(xs, 1), { device, h0: start });
  const other = flat.run({ layer0: params, layer1: params, layer2: params }, rowOf(xs, 1), { device, h0: start });
  assertEquals(one.ys.shape, [6, 3]);
  assertEquals(one.hT.shape, [18]);
  assertEquals(one.carry, undefined);
  assertEquals(await read(one.ys), await read(other.ys));
  assertEquals(await read(one.hT), await read(other.hT));
});

testOn(PRECISE, "stack: nothing that needs an axis of time may follow what pools it", async (device) => {
  const cell = gru({ input: 3, hidden: 3 });
  const [layer, norm] = [recurrent(cell), layerNorm({ size: 3, affine: false })];
  const pooled = stack([norm, pool({ size: 3 })]);
  const refused = (layers: readonly SequenceLayer[], message: string): void => {
    assertThrows(() => stack(layers), TypeError, message);
  };
  refused(
    [layer, pool({ size: 3 }), layer],
    'Cannot stack: layer 2 must do without an axis of time, as layer 1, "pool", makes one row of all steps, got "gru"; put it ' +
      "before layer 1",
  );
  refused([pool({ size: 3 }), pool({ size: 3, over: "last" })], 'makes one row of all steps, got "pool"');
  refused(
    [pool({ size: 3 }), norm, sru({ input: 3, hidden: 3 })],
    "layer 2 must do without an axis of time, as layer 0",
  );
  refused([pooled, residual(layer)], 'as layer 0, "stack of layerNorm, pool", makes one row');
  refused([pooled, stack([norm, reversed(layer)])], 'got "stack of layerNorm, reversed gru"');
  refused([pooled, bidirectional(layer)], 'got "bidirectional gru"');
  const several = bidirectional(stack([layer, pool({ size: 3 })]), stack([reversed(layer), pool({ size: 3 })]));
  refused([several, gilr({ input: 6, hidden: 2 })], 'makes one row of all steps, got "gilr"');

  // Rows may be normed, reversed, and multiplied; a batch of them is no sequence.
  const head = stack([several, dense({ input: 6, output: 3 }), stack([norm, residual(norm)])]);
  const { xs } = someInputs(head, 4, 5);
  const params = head.init(device, { seed: 2 });
  using all = head.apply(params, xs);
  assertEquals(all.shape, [4, 3]);
  using one = head.apply(params, rowOf(xs, 3));
  assertClose((await read(all)).slice(9), await read(one), 1e-12, "the last sequence by itself");
});

testOn(PRECISE, "layers say which steps an output depends on, as changes of the inputs show", async (device) => {
  const layer = recurrent(gru({ input: 3, hidden: 3 }));
  const [norm, window] = [layerNorm({ size: 3, affine: false }), { input: 3, hidden: 3, window: 3 }];
  const backward = gilr({ input: 3, hidden: 3, reverse: true });
  const layers: readonly SequenceLayer[] = [
    ...[layer, backward, norm, pool({ size: 3 }), qrnn(window), qrnn({ ...window, reverse: true })],
    ...[recurrent(gru({ input: 3, hidden: 3 }), { reverse: true }), reversed(backward), reversed(reversed(backward))],
    ...[reversed(norm), bidirectional(layer), bidirectional(norm), bidirectional(norm, backward), residual(backward)],
    ...[stack([layer, norm]), stack([norm, backward]), stack([layer, backward]), stack([norm, norm])],
    ...[
      stack([layer, pool({ size: 3, over: "mean" }), norm]),
      stack([bidirectional(layer), gilr({ input: 6, hidden: 1 })]),
    ],
  ];
  const found = new Set<string>();
  for (const own of layers) {
    const { name, direction, pools } = own;
    const params = own.init(device, { seed: 1 });
    const { xs } = someInputs(own, 1, 5);
    const changed = xs.data.map((value, i) => Math.floor(i / 3) === 2 ? value + 0.5 * (i % 3) : value);
    using before = own.apply(params, xs, { device });
    using after = own.apply(params, host(changed, xs.shape), { device });
    assertEquals(before.shape, pools ? [1, own.hidden] : [1, 5, own.hidden], name);
    const [old, now] = [await read(before), await read(after)];
    const depends = (t: number): boolean =>
      old.some((value, i) => Math.floor(i / own.hidden) === t && value !== now[i]);
    const expected = { forward: [2, 3, 4], backward: [0, 1, 2], both: [0, 1, 2, 3, 4], none: [2] }[direction];
    if (pools) assertEquals([direction, depends(0)], ["both", true], name);
    else assertEquals([0, 1, 2, 3, 4].filter(depends), expected, `${name}: ${direction}`);
    found.add(direction);
  }
  assertEquals(found.size, 4);
});

testOn(PRECISE, "stack: wrong calls say what was expected, what came, and the cure", (device) => {
  const layer = minGru({ input: 3, hidden: 4 });
  const wrong = <T>(value: unknown): T => value as T;
  const deep = stack([layer, minGru({ input: 4, hidden: 2 })]);
  const params = treeOf(someParams(deep));
  const { xs } = someInputs(deep, 2, 5);
  const name = 'Cannot apply "stack of minGru, minGru"';
  const table: readonly [call: () => unknown, message: string][] = [
    [() => stack([]), "Cannot stack: expected a list of at least one layer, got an empty list"],
    [() => stack(wrong(layer)), "Cannot stack: expected a list of at least one layer, got an object of Object"],
    [() => stack([layer, wrong(layer.cell)]), "Cannot stack: layer 1 must be made by defineLinearLayer()"],
    [
      () => stack([layer, layer]),
      'Cannot stack: layer 1, "minGru", must have input 4, as layer 0 has hidden 4, got 3',
    ],
    [() => deep.apply(params, host([1], [1, 1]), { device }), `${name}: xs must have shape (B, T, 3) or (T, 3), got`],
    [
      () => deep.apply({ layer0: params["layer0"]! }, xs, { device }),
      `${name}: params.layer1 must be a record of arrays`,
    ],
    [
      () => deep.apply({ ...params, layer2: {} }, xs, { device }),
      `${name}: params may have layer0, layer1, got layer2`,
    ],
    [
      () => deep.apply(params, xs, { device, h0: host([1], [1]) }),
      `${name}: h0 must have shape (2, 6) or (6,), got (1,)`,
    ],
    [
      () => deep.apply(params, xs, { device, carry: host([1], [1]) }),
      `${name}: carry must be absent, as no step looks`,
    ],
    [() => deep.apply(params, xs, wrong({ device, reverse: true })), `${name}: options may have h0, carry, device`],
    [() => deep.apply(params, xs), `${name}: no argument is a tensor on a device; give the option device`],
  ];
  for (const [call, message] of table) assertThrows(call, Error, message);
  return Promise.resolve();
});
