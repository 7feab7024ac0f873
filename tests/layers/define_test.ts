import { assertEquals, assertThrows } from "@std/assert";
import { type HostTensor, sum, type Tensor, tensor, toDevice, TraceError, valueAndGrad } from "../../mod.ts";
import type { LinearLayerSpec } from "../../src/layers/describe_layer.ts";
import { defineLinearLayer, type LinearLayer } from "../../src/layers/linear_layer.ts";
import { gilr } from "../../src/layers/gilr.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import { minGru } from "../../src/layers/min_gru.ts";
import { minLstm } from "../../src/layers/min_lstm.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { sru } from "../../src/layers/sru.ts";
import { stronglyTyped } from "../../src/layers/strongly_typed.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { someInputs, someParams, treeOf } from "./cases.ts";
import { type PlainStep, runPlain } from "./reference.ts";

/** Three recurrences of different widths that read each other now and before, and whatever else a layer may do. */
const braid = (reverse: boolean): LinearLayer =>
  defineLinearLayer({
    name: "braid",
    input: 2,
    hidden: 3,
    window: 2,
    reverse,
    params: { decay: [], w: [3, 4], v: [1, 3] },
    recurrences: [{
      name: "slow",
      state: 3,
      // One number for all states, from a parameter alone.
      gates: ({ x, p }) => ({ a: ops.sigmoid(p.decay), b: ops.matvec(p.w, x), total: ops.sum(x) }),
    }, {
      name: "one",
      state: 1,
      gates: ({ p, states }) => ({ a: ops.constant(0.5), b: ops.matvec(p.v, states.slow.before) }),
    }, {
      name: "two",
      state: 2,
      gates: ({ x, states }) => {
        const a = ops.tanh(ops.concat(states.one.now, states.one.before));
        return { a, b: ops.mean(states.slow.now), last: ops.slice(x, 2, 4) };
      },
    }],
    output: ({ x, p, states, kept }) =>
      ops.concat(
        ops.mul(kept.total!, ops.dot(kept.last!, states.two.now)),
        ops.add(states.one.before, ops.mul(p.decay, ops.sum(ops.slice(x, 0, 2)))),
        ops.sub(ops.sum(states.two.before), ops.sum(states.slow.now)),
      ),
  });

const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const plainBraid: PlainStep = ({ decay, w, v }, window, before) => {
  const x = window.flat();
  const a = 1 / (1 + Math.exp(-decay!.data[0]!));
  const slow = [0, 1, 2].map((i) => a * before[i]! + sumOf(x.map((value, j) => w!.data[4 * i + j]! * value)));
  const one = 0.5 * before[3]! + sumOf([0, 1, 2].map((i) => v!.data[i]! * before[i]!));
  const two = [one, before[3]!].map((value, i) => Math.tanh(value) * before[4 + i]! + sumOf(slow) / 3);
  const y = [
    sumOf(x) * (x[2]! * two[0]! + x[3]! * two[1]!),
    before[3]! + decay!.data[0]! * (x[0]! + x[1]!),
    before[4]! + before[5]! - sumOf(slow),
  ];
  return { states: [...slow, one, ...two], y };
};

testOn(
  MACHINES,
  "layers: recurrences that read each other, one number for a, values kept",
  async (device, { epsilon }) => {
    for (const reverse of [false, true]) {
      const layer = braid(reverse);
      assertEquals([layer.state, layer.carry, layer.cell.input, layer.cell.state], [6, 2, 4, 6]);
      const params = someParams(layer);
      for (const [batch, time] of [[2, 60], [3, 1], [2, 0]] as const) {
        const { xs, h0 } = someInputs(layer, batch, time);
        const expected = runPlain(plainBraid, params, xs, h0, layer);
        const { ys, hT } = layer.run(treeOf(params), xs, { device, h0 });
        // States of up to 10, outputs of up to 50.
        assertClose(await read(ys), expected.ys, 1000 * epsilon, `${batch} × ${time}`);
        assertClose(await read(hT), expected.hT, 1000 * epsilon, `hT, ${batch} × ${time}`);
      }
    }
  },
);

testOn(MACHINES, "layers: of widths for which products are products of matrices", async (device, { epsilon }) => {
  // 3 H k I = 6144 and 4 H H = 4096 weights.
  for (const reverse of [false, true]) {
    const wide = [
      qrnn({ input: 32, hidden: 16, window: 4, reverse }),
      gilrLstm({ input: 40, hidden: 32, reverse }),
      sru({ input: 64, hidden: 32, reverse }),
    ];
    for (const layer of wide) {
      const params = treeOf(someParams(layer));
      const { xs, h0 } = someInputs(layer, 2, 20);
      const { ys, hT } = layer.run(params, xs, { device, h0 });
      // Against the CPU engine in double precision, which the tests of all layers hold to plain numbers.
      await using other = await PRECISE[0]!.open();
      const expected = layer.run(params, xs, { device: other, h0 });
      assertClose(await read(ys), await read(expected.ys), 200 * epsilon, `${layer.name}`);
      assertClose(await read(hT), await read(expected.hT), 200 * epsilon, `${layer.name}: hT`);
    }
  }
});

testOn(MACHINES, "layers: gates of minLstm that are both shut share the state, none is NaN", async (device) => {
  const layer = minLstm({ input: 1, hidden: 1 });
  const run = async (f: number, i: number): Promise<number> => {
    const params = { weight_ih: host([0, 0, 1], [3, 1]), bias: host([f, i, 0], [3]) };
    using ys = layer.apply(params, host([3], [1, 1]), { device, h0: host([1], [1]) });
    return (await read(ys))[0]!;
  };
  for (const shut of [-90, -500, 500]) assertClose([await run(shut, shut)], [2], 1e-6, `both at ${shut}`);
  assertClose([await run(-500, 500), await run(500, -500)], [3, 1], 1e-6, "one of them");
});

testOn(
  MACHINES,
  "layers: gates and outputs that read no input, and know no more than how many steps there are",
  async (device) => {
    const layer = defineLinearLayer({
      name: "clock",
      input: 1,
      hidden: 1,
      params: { a: [2], b: [2], y: [1] },
      recurrences: [{ name: "c", state: 2, gates: ({ p }) => ({ a: p.a, b: p.b }) }],
      output: ({ p }) => p.y,
    });
    assertEquals(layer.cell.jacobian, "diagonal");
    const params = { a: host([0.5, -1], [2]), b: host([1, 2], [2]), y: host([7], [1]) };
    const { ys, hT } = layer.run(params, host([NaN, NaN, NaN], [3, 1]), { device });
    assertEquals(Array.from(await read(ys)), [7, 7, 7]);
    assertEquals(Array.from(await read(hT)), [1.75, 2]);
  },
);

testOn(MACHINES, "layers: the gradient of elu where its exponential would overflow", async (device) => {
  const layer = gilr({ input: 1, hidden: 1, activation: "elu" });
  const params = toDevice(device, { weight_ih: host([0, 1], [2, 1]), bias: host([0, 0], [2]) });
  const xs = tensor(device, host([1000, -1000], [2, 1, 1]));
  const { value, grads } = await valueAndGrad(({ xs }: { xs: Tensor }) => sum(layer.apply(params, xs)))({ xs });
  assertEquals(Array.from(await read(value)), [499.5]);
  assertEquals(Array.from(await read(grads.xs)), [0.5, 0]);
});

const good = {
  name: "l",
  input: 2,
  hidden: 2,
  params: { w: [2, 2] },
  recurrences: [{ name: "c", state: 2, gates: ({ x }) => ({ a: x, b: x }) }],
  output: ({ states }) => states.c.now,
} satisfies LinearLayerSpec<{ w: [2, 2] }, "c">;

Deno.test("layers: descriptions that do not fit say what was expected, what came, and the cure", () => {
  const gates = (fn: unknown): unknown => ({ recurrences: [{ name: "c", state: 2, gates: fn }] });
  const vector = ops.constant;
  const table: readonly [change: unknown, message: string][] = [
    [{ name: "" }, "Cannot define a layer: name must be a string that is not empty"],
    [{ inputs: 2 }, "Cannot define a layer: the description may have name, input, hidden"],
    [{ input: 0 }, 'Cannot define "l": input must be a whole number of at least 1, got 0'],
    [{ hidden: 1.5 }, 'Cannot define "l": hidden must be a whole number of at least 1, got 1.5'],
    [{ window: 0 }, 'Cannot define "l": window must be a whole number of at least 1, got 0'],
    [{ reverse: 1 }, 'Cannot define "l": reverse must be true or false, got 1'],
    [{ params: [2] }, 'Cannot define "l": params must be a record of shapes, got an object of Array'],
    [{ recurrences: [] }, 'Cannot define "l": recurrences must be a list of at least one'],
    [
      { recurrences: [{ name: "c d", state: 2, gates: () => 0 }] },
      "must have a name of its own, of letters and digits",
    ],
    [{ recurrences: [good.recurrences[0], good.recurrences[0]] }, "must have a name of its own"],
    [{ recurrences: [{ name: "c", state: 0, gates: () => 0 }] }, 'state of "c" must be a whole number of at least 1'],
    [{ recurrences: [{ name: "c", state: 2, gates: 3 }] }, 'gates of "c" must be a function, got 3'],
    [{ recurrences: [{ name: "c", state: 2, gate: 3 }] }, "a recurrence may have name, state, gates, got gate"],
    [{ output: 3 }, 'Cannot define "l": output must be a function, got 3'],
    [{ init: { v: 1 } }, 'init has a rule for "v", which is no parameter'],
    [gates(() => 3), 'the gates of "c" returned 3; return a record { a, b } of symbols'],
    [gates(({ x }: { x: unknown }) => x), 'the gates of "c" returned an object of Node; return a record'],
    [gates(({ x }: { x: unknown }) => ({ a: x })), 'b of "c" must have shape (2,) or (), got undefined'],
    [
      gates(({ x }: { x: unknown }) => ({ a: x, b: vector([1, 2, 3]) })),
      'b of "c" must have shape (2,) or (), got shape (3,)',
    ],
    [
      gates(({ x }: { x: unknown }) => ({ a: vector([1]), b: x })),
      'a of "c" must have shape (2,) or (), got shape (1,)',
    ],
    [gates(({ x, p }: { x: unknown; p: { w: unknown } }) => ({ a: x, b: x, w: p.w })), 'keep "w", which is (2, 2)'],
    [gates(({ x }: { x: unknown }) => ({ a: x, b: x, o: 1 })), 'keep "o", which is 1'],
    [
      gates(({ states }: { states: { c: { now: unknown } } }) => states.c),
      'there is no state "c" here; gates of "c" may',
    ],
    [gates(({ p }: { p: { v: unknown } }) => ({ a: p.v, b: p.v })), 'there is no parameter "v"'],
    [
      { output: ({ states }: { states: { d: { now: unknown } } }) => states.d.now },
      'no state "d" here; the recurrences are c',
    ],
    [{ output: ({ kept }: { kept: { o: unknown } }) => kept.o }, 'no kept value "o" here; gates keep none'],
    [{ output: () => vector([1, 2, 3]) }, "the output must have shape (2,), got shape (3,)"],
    [{ output: () => undefined }, "the output must have shape (2,), got undefined"],
  ];
  for (const [change, message] of table) {
    const spec = { ...good, ...(change as object) } as unknown as typeof good;
    assertThrows(() => defineLinearLayer(spec), Error, message);
  }
  const twice = (name: string): unknown => ({
    name,
    state: 2,
    gates: ({ x }: { x: HostTensor }) => ({ a: x, b: x, o: x }),
  });
  const both = { ...good, recurrences: [twice("c"), twice("d")] } as unknown as typeof good;
  assertThrows(() => defineLinearLayer(both), TypeError, 'only one recurrence may keep "o", got it from two');
  assertThrows(() => defineLinearLayer({ ...good, ...gates(() => 3) as object }), TraceError);
});

Deno.test("layers: sizes and settings that do not fit", () => {
  const wrong = <T>(value: unknown): T => value as T;
  const size = { input: 2, hidden: 2 };
  const table: readonly [call: () => unknown, message: string][] = [
    [() => sru(wrong(3)), "Cannot make sru(): expected { input, hidden }, got 3"],
    [() => minGru({ input: 0, hidden: 2 }), "Cannot make minGru(): input must be a whole number of at least 1, got 0"],
    [
      () => minLstm({ input: 1, hidden: 0 }),
      "Cannot make minLstm(): hidden must be a whole number of at least 1, got 0",
    ],
    [
      () => minLstm(wrong({ ...size, window: 2 })),
      "Cannot make minLstm(): options may have input, hidden, reverse, got",
    ],
    [() => gilr(wrong({ ...size, reverse: "yes" })), 'Cannot make gilr(): reverse must be true or false, got "yes"'],
    [() => sru(wrong({ ...size, activation: "relu" })), 'activation must be "identity" or "tanh", got "relu"'],
    [() => gilr(wrong({ ...size, activation: "relu" })), 'activation must be "identity", "tanh" or "elu", got "relu"'],
    [() => gilr({ ...size, forgetBias: NaN }), "Cannot make gilr(): forgetBias must be a finite number, got NaN"],
    [() => gilrLstm(wrong({ ...size, forgetBias: "5" })), 'gilrLstm(): forgetBias must be a finite number, got "5"'],
    [() => gilrLstm(wrong({ ...size, surrogate: "next" })), 'surrogate must be "previous" or "current", got "next"'],
    [() => qrnn({ ...size, window: 0 }), "Cannot make qrnn(): window must be a whole number of at least 1, got 0"],
    [() => qrnn(wrong({ ...size, pooling: "o" })), 'qrnn(): pooling must be "f", "fo" or "ifo", got "o"'],
    [() => stronglyTyped(wrong({ ...size, kind: "rnn" })), 'kind must be "t-rnn", "t-lstm" or "t-gru", got "rnn"'],
  ];
  for (const [call, message] of table) assertThrows(call, Error, message);
});

testOn(PRECISE, "layers: arrays that do not fit", async (device) => {
  const layer = qrnn({ input: 3, hidden: 2, window: 3 });
  const params = treeOf(someParams(layer));
  const { xs, h0 } = someInputs(layer, 2, 5);
  const wrong = <T>(value: unknown): T => value as T;
  const name = 'Cannot apply "qrnn"';
  const one = host(numbers(2), [1, 2]);
  const table: readonly [call: () => unknown, message: string][] = [
    [() => layer.apply(params, one, { device }), `${name}: xs must have shape (B, T, 3) or (T, 3), got (1, 2)`],
    [() => layer.apply(params, wrong(7), { device }), `${name}: xs must have shape (B, T, 3) or (T, 3), got 7`],
    [() => layer.apply({}, xs, { device }), `${name}: params must be { bias, weight_ih }, but bias, weight_ih missing`],
    [
      () => layer.apply({ ...params, bias: host([1], [1]) }, xs, { device }),
      `${name}: params.bias must have shape (6,), got (1,)`,
    ],
    [() => layer.apply(params, xs, { device, h0: one }), `${name}: h0 must have shape (2, 2) or (2,), got (1, 2)`],
    [
      () => layer.apply(params, host(numbers(15), [5, 3]), { device, h0 }),
      `${name}: h0 must have shape (2,), got (2, 2)`,
    ],
    [() => layer.run(params, xs, { device, carry: one }), `${name}: carry must have shape (2, 6) or (6,), got (1, 2)`],
    [() => layer.run(params, xs, wrong({ device, h1: one })), `${name}: options may have h0, carry, device, `],
    [() => layer.run(params, xs), `${name}: no argument is a tensor on a device; give the option device`],
  ];
  for (const [call, message] of table) assertThrows(call, Error, message);
  await Promise.resolve();
});
