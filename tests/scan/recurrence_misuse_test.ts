import { type HostTensor, type LinearRecurrence, linearRecurrence, openDevice, tensor } from "../../mod.ts";
import { host } from "../solve/arrays.ts";
import { type Refusal, testRefusals, wrong } from "../solve/refusals.ts";

const zeros = (...shape: number[]): HostTensor => host(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape);
const fitting = { a: zeros(8, 10, 6), b: zeros(8, 10, 6) };

/** A recurrence with other parts. */
const given = (parts: Record<string, unknown>, fragment: string): Refusal => [
  (device) => linearRecurrence(wrong<LinearRecurrence>({ ...fitting, ...parts }), { device }),
  TypeError,
  `Cannot solve the linear recurrence: ${fragment}`,
];

const option = (options: unknown, fragment: string): Refusal => [
  () => linearRecurrence(fitting, wrong(options)),
  TypeError,
  `Cannot solve the linear recurrence: ${fragment}`,
];

const batched = "a must have shape (8, 10), (8, 10, 6), (8, 10, 6, 6) or (8, 10, 6/k, k, k) for b of shape (8, 10, 6)";
const single = "a must have shape (10,), (10, 6), (10, 6, 6) or (10, 6/k, k, k) for b of shape (10, 6)";

testRefusals("linear recurrences that do not fit", [
  given({ a: undefined }, "a must be a tensor or { data, shape }, got undefined"),
  given({ b: [1, 2] }, "b must be a tensor or { data, shape }, got an object of Array"),
  given({ c: fitting.a }, "the problem may have a, b, h0, got c"),
  given({ b: zeros(6) }, "b must have shape (B, T, D) or (T, D), got (6,)"),
  given({ b: zeros(1, 8, 10, 6) }, "b must have shape (B, T, D) or (T, D), got (1, 8, 10, 6)"),
  given({ b: zeros() }, "b must have shape (B, T, D) or (T, D), got ()"),
  given({ b: { data: new Float64Array(3), shape: [2, 2] } }, "b must have 4 elements for its shape (2, 2), got 3"),
  given({ b: { data: new Float64Array(4), shape: 4 } }, "the shape of b must be a list of whole numbers"),
  given({ a: zeros(10) }, `${batched}, got (10,)`),
  given({ a: zeros() }, `${batched}, got ()`),
  given({ a: zeros(8, 9, 6) }, `${batched}, got (8, 9, 6)`),
  given({ a: zeros(10, 6) }, `${batched}, got (10, 6)`),
  given({ a: zeros(8, 10, 5) }, `${batched}, got (8, 10, 5)`),
  given({ a: zeros(8, 10, 6, 5) }, `${batched}, got (8, 10, 6, 5)`),
  given({ a: zeros(8, 10, 1, 4, 4) }, `${batched}, got (8, 10, 1, 4, 4)`),
  given({ a: zeros(8, 10, 2, 2, 2) }, `${batched}, got (8, 10, 2, 2, 2)`),
  given({ a: zeros(8, 10, 3, 2, 3) }, `${batched}, got (8, 10, 3, 2, 3)`),
  given({ a: zeros(8, 10, 0, 0, 0) }, `${batched}, got (8, 10, 0, 0, 0)`),
  given({ b: zeros(10, 6) }, `${single}, got (8, 10, 6)`),
  given({ a: zeros(10, 4, 2, 2), b: zeros(10, 6) }, `${single}, got (10, 4, 2, 2)`),
  given({ a: { data: new Int32Array(80), shape: [8, 10] } }, "a must hold floats, got an object of Int32Array"),
  given({ h0: zeros(7) }, "h0 must have shape (8, 6) or (6,), got (7,)"),
  given({ h0: zeros(1, 6) }, "h0 must have shape (8, 6) or (6,), got (1, 6)"),
  given({ h0: zeros(8, 1, 6) }, "h0 must have shape (8, 6) or (6,), got (8, 1, 6)"),
  given({ a: zeros(10), b: zeros(10, 6), h0: zeros(1, 6) }, "h0 must have shape (6,), got (1, 6)"),
  given({ h0: null }, "h0 must be a tensor or { data, shape }, got null"),
  option({ reversed: true }, "options may have reverse, device, got reversed"),
  option({ reverse: 1 }, "reverse must be true or false, got 1"),
  option("reverse", 'options must be a record, got "reverse"'),
  option({}, "no argument is a tensor on a device; give the option device: await openDevice()"),
  [
    async (device) => {
      await using other = await openDevice({ backend: "cpu", dtype: "f64" });
      linearRecurrence({ ...fitting, a: tensor(other, fitting.a) }, { device });
    },
    TypeError,
    "Cannot solve the linear recurrence: a lives on another device; copy it with tensor(device, await toHost(...))",
  ],
  [
    (device) => linearRecurrence({ ...fitting, b: tensor(device, { data: new Int32Array(480), shape: [8, 10, 6] }) }),
    TypeError,
    "Cannot solve the linear recurrence: b must have dtype f64, got i32",
  ],
]);
