import { assert, assertEquals } from "@std/assert";
import {
  blockDeer,
  defineStep,
  elman,
  enqueueSolve,
  type HostTensor,
  type Problem,
  solve,
  type Step,
} from "../../mod.ts";
import { host } from "./arrays.ts";
import { MACHINES, testOn } from "./machines.ts";
import { caught, type Refusal, testRefusals, wrong } from "./refusals.ts";

const cell = elman({ input: 2, hidden: 3 });
const free = defineStep({ name: "free", state: 2, input: 0, params: {}, step: ({ h }) => h });
const zeros = (...shape: number[]): HostTensor => host(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape);
const params = { weight_ih: zeros(3, 2), weight_hh: zeros(3, 3), bias: zeros(3) };
const xs = zeros(4, 5, 2);
const problem = (parts: Record<string, unknown>): Problem => wrong({ params, xs, ...parts });

/** A solve of a problem with other parts. */
const given = (parts: Record<string, unknown>, type: Refusal[1], fragment: string): Refusal => [
  (device) => solve(cell, problem(parts), { device }),
  type,
  `Cannot solve "elman": ${fragment}`,
];

/** A solve with other options. */
const option = (options: Record<string, unknown>, type: Refusal[1], fragment: string): Refusal => [
  (device) => solve(cell, { params, xs }, wrong({ device, ...options })),
  type,
  `Cannot solve "elman": ${fragment}`,
];

testRefusals("problems that do not fit", [
  option({ tol: 1e-3 }, TypeError, "options may have device, method, rtol, atol, maxSweeps"),
  option({ rtol: "1e-3" }, RangeError, 'rtol must be a number of at least 0, got "1e-3"'),
  option({ keepIterates: "no" }, TypeError, 'keepIterates must be a boolean, got "no"'),
  option({ onProgress: 3 }, TypeError, "onProgress must be a function, got 3"),
  option({ signal: {} }, TypeError, "signal must be an AbortSignal, got an object of Object"),
  [() => solve(cell, { params, xs }, wrong("deer")), TypeError, 'options must be a record, got "deer"'],
  given({ initial: xs }, TypeError, "the problem may have params, xs, time, h0, got initial"),
  given({ params: undefined }, TypeError, "params must be a record of arrays, got undefined"),
  given({ xs: undefined }, TypeError, "xs must have shape (B, T, 2) or (T, 2), got undefined"),
  given({ xs: [1, 2] }, TypeError, "xs must have shape (B, T, 2) or (T, 2), got an object of Array"),
  given({ xs: zeros(10) }, TypeError, "xs must have shape (B, T, 2) or (T, 2), got (10,)"),
  given({ xs: zeros(1, 1, 5, 2) }, TypeError, "xs must have shape (B, T, 2) or (T, 2), got (1, 1, 5, 2)"),
  given({ xs: zeros(4, 5, 3) }, TypeError, "xs must have shape (B, T, 2) or (T, 2), got (4, 5, 3)"),
  given(
    { xs: { data: new Int32Array(40), shape: [4, 5, 2] } },
    TypeError,
    "xs must hold floats, got an object of Int32Array",
  ),
  [
    (device) => solve(cell, problem({ xs: { data: new Float64Array(39), shape: [4, 5, 2] } }), { device }),
    TypeError,
    'Cannot solve "elman": xs must have 40 elements for its shape (4, 5, 2), got 39',
  ],
  given(
    { xs: { data: new Float64Array(40), shape: 40 } },
    TypeError,
    "the shape of xs must be an array of whole numbers, got 40",
  ),
  [
    (device) => solve(cell, problem({ h0: { data: new Float64Array(3), shape: null } }), { device }),
    TypeError,
    'Cannot solve "elman": the shape of h0 must be a list of whole numbers of at least 0, got Null',
  ],
  given({ time: 6 }, RangeError, "time must be that of xs, 5, or absent, got 6"),
  given({ h0: zeros(3, 3) }, TypeError, "h0 must have shape (4, 3) or (3,), got (3, 3)"),
  given({ h0: zeros(4) }, TypeError, "h0 must have shape (4, 3) or (3,), got (4,)"),
  given({ xs: zeros(5, 2), h0: zeros(1, 3) }, TypeError, "h0 must have shape (3,), got (1, 3)"),
  given({ h0: 0 }, TypeError, "h0 must be a tensor or { data, shape }, got 0"),
  given({ params: undefined }, TypeError, "params must be a record of arrays, got undefined"),
  given({ params: null }, TypeError, "params must be a record of arrays, got null"),
  [
    (device) => solve(cell, problem({ params: { ...params, bias: undefined } }), { device }),
    TypeError,
    'Cannot read the tree: "bias" must be a leaf, such as { data, shape }, or a record, got undefined',
  ],
  given(
    { params: { bias: zeros(3) } },
    TypeError,
    "params must be { bias, weight_hh, weight_ih }, but weight_hh, weight_ih missing",
  ),
  given(
    { params: { ...params, bias_n: zeros(3) } },
    TypeError,
    "params must be { bias, weight_hh, weight_ih }, but bias_n unknown",
  ),
  given(
    { params: { weight_ih: zeros(3, 2), weight_hh: zeros(3, 3), b: zeros(3) } },
    TypeError,
    "params must be { bias, weight_hh, weight_ih }, but bias missing, b unknown",
  ),
  given(
    { params: { ...params, weight_ih: zeros(2, 3) } },
    TypeError,
    "params.weight_ih must have shape (3, 2), got (2, 3)",
  ),
  given(
    { params: { ...params, bias: { value: zeros(3) } } },
    TypeError,
    "params must be { bias, weight_hh, weight_ih }, but bias missing, bias.value unknown",
  ),
]);

testRefusals("options that do not fit", [
  option({ rtol: -1 }, RangeError, "rtol must be a number of at least 0, got -1"),
  option({ atol: NaN }, RangeError, "atol must be a number of at least 0, got NaN"),
  option({ atol: Infinity }, RangeError, "atol must be a number of at least 0, got Infinity"),
  option({ atol: 0, rtol: 0 }, RangeError, "rtol and atol must not both be 0"),
  option({ maxSweeps: 0 }, RangeError, "maxSweeps must be a whole number of at least 1, got 0"),
  option({ maxSweeps: 1.5 }, RangeError, "maxSweeps must be a whole number of at least 1, got 1.5"),
  option({ window: 0 }, RangeError, "window must be a whole number of at least 1, got 0"),
  option({ window: "ten" }, RangeError, "window must be a whole number of at least 1, got ten"),
  option({ onFailure: "ignore" }, RangeError, 'onFailure must be "throw" or "return", got "ignore"'),
  option(
    { errorBound: "second" },
    RangeError,
    'errorBound must be a boolean, "first-order" or "absolute", got "second"',
  ),
  option(
    { keepIterates: true, window: 2, method: "deer" },
    RangeError,
    "keepIterates needs a single window, got windows of 2 for 5 steps",
  ),
  option({ guess: "ones" }, RangeError, 'guess must be "f0", "h0", "zeros", a tensor or a Solution, got "ones"'),
  option(
    { guess: {} },
    TypeError,
    'guess must be "f0", "h0", "zeros", a tensor or a Solution, got an object of Object',
  ),
  option(
    { guess: { data: new Float64Array(60), shape: null } },
    TypeError,
    "the shape of guess must be an array of whole numbers, got null",
  ),
  option({ guess: 0 }, TypeError, 'guess must be "f0", "h0", "zeros", a tensor or a Solution, got 0'),
  option({ guess: zeros(4, 4, 3) }, TypeError, "guess must have shape (4, 5, 3), got (4, 4, 3)"),
  option({ guess: zeros(5, 3) }, TypeError, "guess must have shape (4, 5, 3), got (5, 3)"),
  option({ method: blockDeer({ block: 2 }) }, RangeError, "block must divide the 3 states, got 2"),
  option({ device: undefined }, TypeError, "no argument is a tensor on a device; give the option device"),
  [
    (device) => solve(cell, { params, xs }, { device, method: wrong("newton") }),
    RangeError,
    'method must be one of auto, sequential, jacobi, picard, quasi-deer, block-deer, deer, quasi-elk, elk, got "newton"',
  ],
  [(device) => solve(cell, { params, xs }, { device, method: wrong({}) }), RangeError, "got an object of Object"],
  [(device) => solve(cell, { params, xs }, { device, method: wrong("toString") }), RangeError, 'got "toString"'],
  [
    (device) => solve(cell, { params, xs }, { device, method: { name: "deer", scale: 7 } }),
    RangeError,
    "Cannot solve by deer: scale must lie in [0, 1], got 7",
  ],
  [
    (device) => solve(cell, { params, xs }, { device, method: { name: "quasi-deer", diagonal: { probes: -1 } } }),
    RangeError,
    "Cannot solve by quasi-deer: probes must be a whole number of at least 1, got -1",
  ],
  [
    (device) => solve(cell, { params, xs }, { device, method: { name: "elk", damping: 0.1, scale: 0.5 } }),
    TypeError,
    "Cannot solve by elk: settings may have damping, estimate, got scale",
  ],
  [
    (device) => solve(cell, { params, xs }, { device, method: { name: "auto", scale: 0.1 } }),
    TypeError,
    "Cannot solve by auto: settings must be empty, got scale",
  ],
  [
    (device) => solve(cell, { params, xs }, { device, method: { name: "jacobi", clip: 1 } }),
    TypeError,
    "Cannot solve by jacobi: settings must be empty, got clip",
  ],
  [
    (device) => solve(cell, { params, xs }, { device, method: { name: "quasi-deer", diagonal: wrong(null) } }),
    RangeError,
    'Cannot solve by quasi-deer: diagonal must be "exact" or { probes }, got null',
  ],
  [
    (device) => solve(wrong<Step>({ name: "mine" }), { params }, { device }),
    TypeError,
    "Cannot use the step: expected one made by defineStep() or a cell, got an object of Object",
  ],
  [(device) => solve(wrong<Step>(undefined), { params }, { device }), TypeError, "got undefined"],
  [
    (device) => solve(cell, wrong(undefined), { device }),
    TypeError,
    "expected a problem { params, xs, h0 }, got undefined",
  ],
  [
    () => solve(cell, { params, xs }, { device: wrong({}) }),
    TypeError,
    "Cannot use the device: expected one made by openDevice(), got an object of Object",
  ],
  [
    (device) => solve(free, { params: {}, xs }, { device }),
    TypeError,
    'Cannot solve "free": the step has no input (I = 0); give time instead of xs',
  ],
  [
    (device) => solve(free, { params: {} }, { device }),
    RangeError,
    "time must be a whole number of steps below 2^53, as there are no xs, got undefined",
  ],
  [(device) => solve(free, { params: {}, time: -1 }, { device }), RangeError, "got -1"],
  [
    (device) => solve(free, { params: {}, time: 3, h0: zeros(1, 1, 2) }, { device }),
    TypeError,
    "h0 must have shape (B, 2) or (2,), got (1, 1, 2)",
  ],
  [
    (device) => solve(free, wrong({ params: {}, time: 3, h0: null }), { device }),
    TypeError,
    "h0 must have shape (B, 2) or (2,), got null",
  ],
  [
    (device) => solve(free, wrong({ params: {}, time: 3, h0: { data: new Float64Array(2), shape: 2 } }), { device }),
    TypeError,
    "the shape of h0 must be an array of whole numbers, got 2",
  ],
  [
    (device) => solve(free, { params: {}, time: 3, h0: zeros(4, 3) }, { device }),
    TypeError,
    "h0 must have shape (B, 2) or (2,), got (4, 3)",
  ],
]);

testOn(MACHINES, "solve() rejects, enqueueSolve() throws, both the same", async (device) => {
  for (const parts of [{ xs: zeros(3) }, { params: {} }, { h0: zeros(1) }]) {
    let promise: Promise<unknown> | undefined;
    const rejected = await caught(() => promise = solve(cell, problem(parts), { device }));
    assert(promise instanceof Promise, "solve() threw");
    const thrown = await caught(() => void enqueueSolve(cell, problem(parts), { device }));
    assert(rejected instanceof TypeError && thrown instanceof TypeError);
    assertEquals(thrown.message, rejected.message);
  }
});
