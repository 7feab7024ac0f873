import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  fromTorchElman,
  fromTorchGru,
  fromTorchLstm,
  type HostTensor,
  readSafetensors,
  type TorchOptions,
  type Tree,
} from "../../src/io/mod.ts";
import { elmanCell, gruCell, lstmCell, runCell, sequenceOf } from "./torch_cells.ts";

type StateDict = Record<string, HostTensor>;
type Convert = (stateDict: StateDict, options?: TorchOptions) => Tree<HostTensor>;

const relu = (value: number): number => Math.max(0, value);
const golden = (path: string): StateDict =>
  readSafetensors(Deno.readFileSync(new URL(`../golden/${path}.safetensors`, import.meta.url))).tensors;

const CASES = [
  { file: "torch_gru", convert: fromTorchGru, cell: gruCell, gates: 3 },
  { file: "torch_lstm", convert: fromTorchLstm, cell: lstmCell, gates: 4 },
  { file: "torch_elman_tanh", convert: fromTorchElman, cell: elmanCell(Math.tanh), gates: 1 },
  { file: "torch_elman_relu", convert: fromTorchElman, cell: elmanCell(relu), gates: 1 },
];

/** A state dict of `gates` gates, H = 2, I = 3, whose elements all differ. */
function example(gates: number, { path = "", suffix = "_l0", bias = true, wide = false } = {}): StateDict {
  let next = 0;
  const tensor = (...shape: number[]): HostTensor => {
    const values = Array.from({ length: shape.reduce((a, b) => a * b) }, () => ++next / 8);
    return { data: wide ? Float64Array.from(values) : Float32Array.from(values), shape };
  };
  const rows = 2 * gates;
  const weights = { weight_ih: tensor(rows, 3), weight_hh: tensor(rows, 2) };
  const all = bias ? { ...weights, bias_ih: tensor(rows), bias_hh: tensor(rows) } : weights;
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [path + name + suffix, value]));
}

function largestError(actual: number[][], expected: number[][]): number {
  return Math.max(...expected.map((row, t) => Math.max(...row.map((value, i) => Math.abs(value - actual[t]![i]!)))));
}

Deno.test("params fold the biases as the formulas say", () => {
  for (const { file, convert, gates } of CASES) {
    const dict = golden(file);
    const before = structuredClone(dict);
    const { weight_ih, weight_hh, bias, bias_n } = convert(dict) as Record<string, HostTensor>;
    assertEquals(dict, before, `${file} is left as it was`);
    assertEquals(weight_ih, dict.weight_ih_l0);
    assertEquals(weight_hh, dict.weight_hh_l0);
    const ih = Array.from(dict.bias_ih_l0!.data);
    const hh = Array.from(dict.bias_hh_l0!.data);
    const H = hh.length / gates;
    const isGru = convert === fromTorchGru;
    const folded = ih.map((value, i) => isGru && i >= 2 * H ? value : value + hh[i]!);
    assertEquals(bias, { data: Float64Array.from(folded), shape: [gates * H] });
    assertEquals(bias_n, isGru ? { data: Float64Array.from(hh.slice(2 * H)), shape: [H] } : undefined);
  }
});

Deno.test("params reproduce one step of PyTorch from its h0", () => {
  for (const { file, convert, cell } of CASES) {
    const dict = golden(file);
    const params = convert(dict);
    const H = dict.h0!.shape[1]!;
    const row = (tensor: HostTensor | undefined, b: number): number[] =>
      Array.from(tensor?.data.subarray(b * H, (b + 1) * H) ?? []);
    for (let b = 0; b < dict.h0!.shape[0]!; b++) {
      const first = sequenceOf(dict.xs!, b).slice(0, 1);
      const actual = runCell(cell, params, first, { h: row(dict.h0, b), c: row(dict.c0, b) });
      assert(largestError(actual, sequenceOf(dict.ys!, b).slice(0, 1)) < 1e-12, `${file}, sequence ${b}`);
    }
  }
});

Deno.test("params of both layers and directions reproduce a bidirectional PyTorch model", () => {
  const stacks = [
    { file: "gru", convert: fromTorchGru, cell: gruCell },
    { file: "lstm", convert: fromTorchLstm, cell: lstmCell },
    { file: "elman", convert: fromTorchElman, cell: elmanCell(relu) },
  ];
  for (const { file, convert, cell } of stacks) {
    const dict = golden(`io/torch_stack_${file}`);
    for (const b of [0, 1]) {
      let xs = sequenceOf(dict.xs!, b);
      for (const layer of [0, 1]) {
        const forward = runCell(cell, convert(dict, { layer }), xs);
        const backward = runCell(cell, convert(dict, { layer, reverse: true }), xs, {}, true);
        xs = forward.map((row, t) => [...row, ...backward[t]!]);
      }
      // Five steps of two layers, each rounded a few times: far below 1e-13 in f64.
      assert(largestError(xs, sequenceOf(dict.ys!, b)) < 1e-13, `${file}, sequence ${b}`);
    }
  }
});

Deno.test("params keep the dtype, share no memory, and are zero where a module has no biases", () => {
  for (const wide of [false, true]) {
    const dict = example(3, { wide });
    const params = fromTorchGru(dict) as StateDict;
    for (const { data } of Object.values(params)) {
      assertEquals(data.constructor, wide ? Float64Array : Float32Array);
      assert(Object.values(dict).every((tensor) => tensor.data.buffer !== data.buffer));
    }
    const plain = fromTorchGru(example(3, { wide, bias: false })) as StateDict;
    const array = wide ? Float64Array : Float32Array;
    assertEquals(plain.bias, { data: new array(6), shape: [6] });
    assertEquals(plain.bias_n, { data: new array(2), shape: [2] });
  }
  assertEquals(fromTorchLstm(example(4, { bias: false })).bias, { data: new Float32Array(8), shape: [8] });
  assertEquals(fromTorchElman(example(1, { bias: false })).bias, { data: new Float32Array(2), shape: [2] });
});

Deno.test("the module is found by its path", () => {
  const plain = example(3);
  const nested = example(3, { path: "encoder.rnn." });
  const other = example(3, { path: "decoder.", wide: true });
  const expected = fromTorchGru(plain);
  assertEquals(fromTorchGru(nested), expected);
  assertEquals(fromTorchGru({ ...nested, my_weight_ih_l0: plain.weight_hh_l0! }), expected);
  for (const prefix of ["encoder.rnn", "encoder.rnn."]) {
    assertEquals(fromTorchGru({ ...nested, ...other }, { prefix }), expected);
  }
  // Gradients and optimizer states stand under the same names: the plain names win.
  assertEquals(fromTorchGru({ ...plain, ...example(3, { path: "grad.", wide: true }) }), expected);
  assertEquals(fromTorchGru({ ...plain, ...other }, { prefix: "" }), expected);
  assertEquals(fromTorchGru({ ...plain, ...other }, { prefix: "decoder" }), fromTorchGru(example(3, { wide: true })));
});

Deno.test("fromTorch*() refuse what does not fit", () => {
  const gru = example(3);
  const lstm = example(4);
  const without = (...names: string[]): StateDict =>
    Object.fromEntries(Object.entries(gru).filter(([name]) => !names.includes(name)));
  const shaped = (name: string, ...shape: number[]): StateDict => ({
    ...gru,
    [name]: { data: new Float32Array(shape.reduce((a, b) => a * b, 1)), shape },
  });
  const two = { ...example(3, { path: "b." }), ...example(3, { path: "a." }) };
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`p${i}`, gru.bias_ih_l0!]));
  const options = (value: unknown): TorchOptions => value as TorchOptions;

  const table: [convert: Convert, stateDict: unknown, options: TorchOptions | undefined, fragment: string][] = [
    [
      fromTorchGru,
      undefined,
      undefined,
      "Cannot convert the PyTorch GRU: the state dict must be a record, got Undefined",
    ],
    [fromTorchLstm, null, undefined, "Cannot convert the PyTorch LSTM: the state dict must be a record, got Null"],
    [fromTorchElman, [], undefined, "Cannot convert the PyTorch RNN: the state dict must be a record, got Array"],
    [fromTorchGru, new Map(Object.entries(gru)), undefined, "the state dict must be a record, got Map"],
    [fromTorchGru, gru, options(null), "options must be a record, got Null"],
    [fromTorchGru, gru, options(1), "options must be a record, got Number"],
    [fromTorchGru, gru, options({ reverse: 1 }), "reverse must be a boolean, got Number"],
    [fromTorchGru, gru, options({ prefix: 1 }), "prefix must be a string, got Number"],
    [fromTorchGru, {}, {}, "expected weight_ih_l0, weight_hh_l0, got an empty state dict"],
    [fromTorchGru, many, {}, "got p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 and 8 more"],
    [
      fromTorchGru,
      gru,
      { layer: 1 },
      "expected weight_ih_l1, weight_hh_l1, got weight_ih_l0, weight_hh_l0, bias_ih_l0",
    ],
    [fromTorchGru, gru, { layer: 1, reverse: true }, "expected weight_ih_l1_reverse, weight_hh_l1_reverse, got"],
    [fromTorchGru, gru, { prefix: "rnn" }, "expected rnn.weight_ih_l0, rnn.weight_hh_l0, got weight_ih_l0"],
    [fromTorchGru, without("weight_ih_l0"), {}, "expected weight_ih_l0, got weight_hh_l0, bias_ih_l0, bias_hh_l0"],
    [fromTorchGru, without("weight_hh_l0"), {}, "expected weight_hh_l0, got weight_ih_l0, bias_ih_l0, bias_hh_l0"],
    [fromTorchGru, without("bias_ih_l0"), {}, "expected bias_ih_l0, got weight_ih_l0, weight_hh_l0, bias_hh_l0"],
    [fromTorchGru, without("bias_hh_l0"), {}, "expected bias_hh_l0, got weight_ih_l0, weight_hh_l0, bias_ih_l0"],
    [fromTorchGru, Object.create(gru), {}, "got an empty state dict"],
    [fromTorchGru, two, {}, 'expected one module, got "a", "b"; choose one with the option prefix'],
    [fromTorchLstm, { ...lstm, weight_hr_l0: gru.weight_hh_l0 }, {}, "weight_hr_l0 makes it an LSTM with projections"],
    [fromTorchLstm, gru, {}, "weight_hh_l0 must have shape (4H, H), got (6, 2)"],
    [fromTorchGru, lstm, {}, "weight_hh_l0 must have shape (3H, H), got (8, 2)"],
    [fromTorchElman, gru, {}, "weight_hh_l0 must have shape (H, H), got (6, 2)"],
    [fromTorchGru, shaped("weight_hh_l0", 12), {}, "weight_hh_l0 must have shape (3H, H), got (12,)"],
    [fromTorchGru, shaped("weight_hh_l0", 0, 0), {}, "weight_hh_l0 must have shape (3H, H), got (0, 0)"],
    [fromTorchGru, shaped("weight_hh_l0", 6, 2, 1), {}, "got (6, 2, 1)"],
    [fromTorchGru, shaped("weight_ih_l0", 3, 6), {}, "weight_ih_l0 must have shape (6, I), got (3, 6)"],
    [fromTorchGru, shaped("weight_ih_l0", 18), {}, "weight_ih_l0 must have shape (6, I), got (18,)"],
    [fromTorchGru, shaped("weight_ih_l0"), {}, "weight_ih_l0 must have shape (6, I), got ()"],
    [fromTorchGru, shaped("bias_ih_l0", 2), {}, "bias_ih_l0 must have shape (6,), got (2,)"],
    [fromTorchGru, shaped("bias_hh_l0", 6, 1), {}, "bias_hh_l0 must have shape (6,), got (6, 1)"],
    [fromTorchGru, { ...gru, bias_ih_l0: undefined }, {}, "bias_ih_l0 must be { data, shape }, got Undefined"],
    [fromTorchGru, { ...gru, weight_ih_l0: { shape: [6, 3] } }, {}, "the data of weight_ih_l0 must be a Float32Array"],
    [fromTorchGru, { ...gru, weight_hh_l0: { data: new Float32Array(1) } }, {}, "the shape of weight_hh_l0 must be"],
    [fromTorchGru, { ...gru, bias_ih_l0: { data: new Float32Array(5), shape: [6] } }, {}, "(6,), got 5"],
    [
      fromTorchGru,
      { ...gru, bias_ih_l0: { data: new Int32Array(6), shape: [6] } },
      {},
      "hold f32 or f64, got Int32Array",
    ],
    [
      fromTorchGru,
      { ...gru, bias_hh_l0: { data: new Float64Array(6), shape: [6] } },
      {},
      "expected one dtype, got weight_ih Float32Array, weight_hh Float32Array, bias_ih Float32Array, bias_hh Float64Array",
    ],
  ];
  for (const [convert, stateDict, options, fragment] of table) {
    const { message } = assertThrows(() => convert(stateDict as StateDict, options), TypeError, fragment);
    assert(message.startsWith("Cannot convert the PyTorch ") && !message.endsWith("."), message);
  }
  for (const layer of [-1, 0.5, NaN, "0"]) {
    assertThrows(() => fromTorchGru(gru, options({ layer })), RangeError, "layer must be a whole number of at least 0");
  }
});
