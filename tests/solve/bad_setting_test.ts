import {
  blockDeer,
  deer,
  defineStep,
  elman,
  gru,
  type HostTensor,
  lem,
  lstm,
  openDevice,
  quasiDeer,
  type Step,
  type StepSpec,
  tensor,
  tidy,
  toDevice,
  toHost,
} from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { host } from "./arrays.ts";
import { testRefusals, wrong } from "./refusals.ts";

const cell = elman({ input: 2, hidden: 3 });
const zeros = (...shape: number[]): HostTensor => host(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape);

function define(parts: Record<string, unknown>): Step {
  const spec = { name: "s", state: 1, input: 0, params: {}, step: () => ops.constant(0), ...parts };
  return defineStep(wrong<StepSpec>(spec));
}

testRefusals("settings of methods, cells and steps that do not fit", [
  [() => deer({ scale: 1.5 }), RangeError, "Cannot make deer(): scale must lie in [0, 1], got 1.5"],
  [() => quasiDeer({ scale: NaN }), RangeError, "Cannot make quasiDeer(): scale must lie in [0, 1], got NaN"],
  [() => deer({ clip: -1 }), RangeError, "Cannot make deer(): clip must be at least 0, got -1"],
  [
    () => quasiDeer({ diagonal: { probes: 0 } }),
    RangeError,
    "Cannot make quasiDeer(): probes must be a whole number of at least 1, got 0",
  ],
  [() => quasiDeer({ diagonal: wrong("rough") }), RangeError, 'diagonal must be "exact" or { probes }, got "rough"'],
  [
    () => blockDeer({ block: 0.5 }),
    RangeError,
    "Cannot make blockDeer(): block must be a whole number of at least 1, got 0.5",
  ],
  [() => blockDeer({ layout: wrong("random") }), RangeError, 'layout must be "contiguous" or "strided", got "random"'],
  [() => deer(wrong(0.1)), TypeError, "Cannot make deer(): settings must be a record, got 0.1"],
  [
    () => quasiDeer(wrong({ k: 0.5 })),
    TypeError,
    "Cannot make quasiDeer(): settings may have scale, clip, diagonal, got k",
  ],
  [() => openDevice(wrong("cpu")), TypeError, 'Cannot open a device: options must be a record, got "cpu"'],
  [
    () => openDevice(wrong({ type: "f64" })),
    TypeError,
    "options may have backend, dtype, gpu, gpuDevice, profile, got type",
  ],
  [() => gru(wrong(undefined)), TypeError, "Cannot make gru(): expected { input, hidden }, got undefined"],
  [
    () => gru({ input: 0, hidden: 2 }),
    RangeError,
    "Cannot make gru(): input must be a whole number of at least 1, got 0",
  ],
  [
    () => lstm({ input: 1, hidden: 0 }),
    RangeError,
    "Cannot make lstm(): hidden must be a whole number of at least 1, got 0",
  ],
  [
    () => elman({ input: 1, hidden: 1.5 }),
    RangeError,
    "Cannot make elman(): hidden must be a whole number of at least 1, got 1.5",
  ],
  [
    () => elman({ input: 1, hidden: 1, activation: wrong("gelu") }),
    RangeError,
    'activation must be "tanh" or "relu", got "gelu"',
  ],
  [() => lem({ input: 1, hidden: 1, dt: 0 }), RangeError, "Cannot make lem(): dt must be positive, got 0"],
  [
    () => defineStep(wrong<StepSpec>(undefined)),
    TypeError,
    "Cannot define a step: expected { name, state, input, params, step }, got undefined",
  ],
  [() => define({ name: "" }), TypeError, 'Cannot define a step: name must be a string that is not empty, got ""'],
  [() => define({ state: 0 }), RangeError, 'Cannot define "s": state must be a whole number of at least 1, got 0'],
  [() => define({ input: -1 }), RangeError, 'Cannot define "s": input must be a whole number of at least 0, got -1'],
  [
    () => define({ params: undefined }),
    TypeError,
    'Cannot define "s": params must be a record of shapes, got undefined',
  ],
  [
    () => define({ params: { w: [2, 2, 2] } }),
    RangeError,
    'parameter "w" must have at most two axes of at least 1, got (2, 2, 2)',
  ],
  [
    () => define({ params: { w: [0] } }),
    RangeError,
    'parameter "w" must have at most two axes of at least 1, got (0,)',
  ],
  [() => define({ units: 0 }), RangeError, 'Cannot define "s": units must be a whole number of at least 1, got 0'],
  [(device) => cell.init(device, { seed: 0.5 }), RangeError, "seed must be a whole number, got 0.5"],
  [
    (device) => cell.init(device, { scheme: wrong("keras") }),
    RangeError,
    'scheme must be one of "own", "torch", "glorot", "orthogonal", "he-uniform", "lecun-normal", got "keras"',
  ],
]);

testRefusals("devices and tensors that do not fit", [
  [
    () => openDevice({ backend: wrong("cuda") }),
    RangeError,
    'Cannot open a device: backend must be "auto", "webgpu" or "cpu", got "cuda"',
  ],
  [
    () => openDevice({ dtype: wrong("f16") }),
    RangeError,
    'Cannot open a device: dtype must be "f32" or "f64", got "f16"',
  ],
  [
    (device) => tensor(device, wrong({ data: [1], shape: [1] })),
    TypeError,
    "Cannot make a tensor: the data of value must be a Float32Array",
  ],
  [(device) => tensor(device, wrong(1)), TypeError, "Cannot make a tensor: value must be { data, shape }, got Number"],
  [
    (device) => tensor(device, wrong({ data: new Float32Array(1), shape: "1" })),
    TypeError,
    "the shape of value must be a list of whole numbers of at least 0, got String",
  ],
  [
    (device) => tensor(device, { data: new Float32Array(0), shape: [-1] }),
    TypeError,
    "the shape of value must be a list of whole numbers of at least 0, got (-1,)",
  ],
  [
    (device) => tensor(device, { data: new Float32Array(3), shape: [2, 2] }, "w"),
    TypeError,
    "Cannot make w: value must have 4 elements for its shape (2, 2), got 3",
  ],
  [(device) => tensor(device, wrong(tensor(device, zeros(1)))), TypeError, "it is a tensor already"],
  [() => tensor(wrong({}), zeros(1)), TypeError, "Cannot use the device: expected one made by openDevice()"],
  [
    () => toHost(wrong(zeros(1))),
    TypeError,
    "Cannot use the tensor: expected one made by tensor(), got an object of Object",
  ],
  [() => tidy(wrong(null), () => 1), TypeError, "Cannot use the device: expected one made by openDevice(), got null"],
  [
    (device) => toDevice(device, wrong({ a: 1 })),
    TypeError,
    '"a" must be a leaf, such as { data, shape }, or a record, got 1',
  ],
]);
