// Every misuse of operators is refused where it stands, in the words of the person who wrote it.

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  associativeScan,
  checkAssociativity,
  defineOperator,
  DeviceError,
  type HostTensor,
  openDevice,
  type Operator,
  ops,
  type Shape,
  tensor,
  TraceError,
} from "../../mod.ts";
import { host } from "../solve/arrays.ts";
import { watchMemory } from "../solve/memory.ts";
import { MACHINES, testOn } from "../solve/machines.ts";

const { add, matmul, mul, sub, sum } = ops;

/** What a mistaken program takes a value for: types would refuse it. */
const as = <T>(value: unknown): T => value as T;

// deno-lint-ignore no-explicit-any
type Combine = (earlier: any, later: any, p: any) => unknown;

/** An operator on a [] and nested b.v [2]. */
function define(combine: Combine): Operator {
  return defineOperator({ name: "mistaken", element: { a: [], b: { v: [2] } }, combine: as<never>(combine) });
}

const good: Combine = (earlier, later) => ({ a: add(earlier.a, later.a), b: { v: add(earlier.b.v, later.b.v) } });
const element = "but an element is { a, b.v }; return a record of the arrays that an element has";

const TRACED: readonly (readonly [name: string, combine: Combine, message: string])[] = [
  ["nothing", () => undefined, "combine() returned undefined, not an element; return a record"],
  ["a value", ({ a }) => a, "combine() returned a single value, not an element"],
  ["an array", ({ a, b }) => [a, b], "combine() returned an array, not an element"],
  ["a promise", (e, l) => Promise.resolve(good(e, l, {})), `combine() returned {  }, ${element}`],
  ["too little", ({ a }) => ({ a }), `combine() returned { a }, ${element}`],
  ["too much", (e, l) => ({ ...as<object>(good(e, l, {})), c: e.a }), `combine() returned { a, b.v, c }, ${element}`],
  ["other names", ({ a, b }) => ({ a, b: { w: b.v } }), `combine() returned { a, b.w }, ${element}`],
  ["no branch", ({ a, b }) => ({ a, b: b.v }), `combine() returned { a, b }, ${element}`],
  ["a hole", ({ a }) => ({ a, b: { v: undefined } }), 'combine() returned undefined for "b.v"; return a record'],
  ["a string", ({ b }) => ({ a: "1", b }), 'combine() returned "1" for "a"'],
  ["another shape", ({ a }) => ({ a, b: { v: a } }), 'returned shape () for "b.v", but element.b.v is (2,); slice'],
  ["a number for a vector", ({ a }) => ({ a, b: { v: 1 } }), 'returned shape () for "b.v", but element.b.v is (2,)'],
  ["a vector for a scalar", ({ b }) => ({ a: b.v, b }), 'returned shape (2,) for "a", but element.a is ()'],
  ["an unknown leaf", (e) => ({ a: e.c, b: e.b }), 'there is no input "earlier.c"; declared are: a, b'],
  ["an unknown leaf below", (e, l) => ({ a: l.b.w, b: e.b }), 'there is no input "later.b.w"; declared are: v'],
  ["an unknown parameter", (e, _, p) => ({ a: p.k, b: e.b }), 'there is no parameter "k"; declared are: none'],
  ["JavaScript's +", (e, l) => ({ a: as<number>(e.a) + as<number>(l.a), b: e.b }), "used as a number"],
  [
    "shapes that do not fit",
    (e, l) => ({ a: e.a, b: { v: matmul(e.b.v, l.b.v) } }),
    "must be a matrix, got shape (2,)",
  ],
];

for (const [name, combine, message] of TRACED) {
  Deno.test(`operators: combine() that returns or uses ${name} is refused`, () => {
    const error = assertThrows(() => define(combine), TraceError);
    assert(
      /^Cannot trace "mistaken" at operator_misuse_test\.ts:\d+:\d+: .*; .*[^.]$/.test(error.message),
      error.message,
    );
    assertStringIncludes(error.message, message);
  });
}

Deno.test("operators: a symbol of another operator is refused", () => {
  let leaked: unknown;
  define((earlier, later) => {
    leaked = earlier.a;
    return good(earlier, later, {});
  });
  const { message } = assertThrows(() => define((e) => ({ a: leaked, b: e.b })), TraceError);
  assertStringIncludes(message, 'the output "a" is a value of another trace');
});

Deno.test("operators: numbers are scalars", async () => {
  const operator = defineOperator({ name: "one", element: { a: [] }, combine: () => ({ a: 1 }) });
  await using device = await openDevice({ backend: "cpu" });
  const { a } = associativeScan(operator, { a: host([5, 6, 7], [3]) }, { device });
  assertEquals(a.shape, [3]);
});

Deno.test("operators: fields are checked before they are traced", () => {
  const spec = { name: "mistaken", element: { a: [] }, combine: (e: unknown) => e };
  const rows: [spec: unknown, type: typeof TypeError | typeof RangeError, message: string][] = [
    [undefined, TypeError, "Cannot define an operator: expected { name, element, combine }, got undefined"],
    [{ ...spec, combine: 3 }, TypeError, "expected { name, element, combine }, got an object of Object"],
    [{ ...spec, name: "" }, TypeError, 'name must be a string that is not empty, got ""'],
    [
      { ...spec, element: undefined },
      TypeError,
      'Cannot define "mistaken": element must be a record of shapes, such as',
    ],
    [{ ...spec, element: [2] }, TypeError, "element must be a record of shapes, such as { a: [] }, got the shape (2,)"],
    [{ ...spec, element: {} }, TypeError, 'Cannot define "mistaken": element must have at least one array, got {}'],
    [{ ...spec, element: { a: 3 } }, TypeError, '"a" must be a leaf'],
    [
      { ...spec, element: { a: { b: [0] } } },
      RangeError,
      "element.a.b must have at most two axes of at least 1, got (0,)",
    ],
    [
      { ...spec, element: { a: [1, 2, 3] } },
      RangeError,
      "element.a must have at most two axes of at least 1, got (1, 2, 3)",
    ],
    [{ ...spec, element: { a: [2.5] } }, RangeError, "element.a must have at most two axes"],
    [{ ...spec, element: { "a.b": [] } }, RangeError, 'input names have no dots, got "a.b"'],
    [{ ...spec, params: [2] }, TypeError, "params must be a record of shapes, such as { a: [] }, got the shape (2,)"],
    [{ ...spec, params: { p: [0] } }, RangeError, 'parameter "p" must have at most two axes of at least 1, got (0,)'],
  ];
  for (const [spec, type, message] of rows) {
    const error = assertThrows(() => defineOperator(as<never>(spec)), type);
    assertStringIncludes(error.message, message);
    assert(/^Cannot .*[^.]$/.test(error.message), error.message);
  }
});

const array = (...shape: Shape): HostTensor => host(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape);

testOn(MACHINES, "operators: arrays that do not fit are refused, and nothing is kept", async (device) => {
  const operator = defineOperator({
    name: "mistaken",
    element: { a: [], b: { v: [2] } },
    params: { k: [] },
    combine: (earlier, later, p) => ({
      a: mul(p.k, add(earlier.a, later.a)),
      b: { v: add(earlier.b.v, later.b.v) },
    }),
  });
  await using other = await openDevice({ backend: "cpu" });
  const elsewhere = tensor(other, array(5));
  const params = { k: array() };
  const fits = { a: array(3, 5), b: { v: array(3, 5, 2) } };
  type Row = [elements: unknown, options: object, type: typeof TypeError, message: string];
  const rows: Row[] = [
    [undefined, {}, TypeError, "elements must be a record of arrays, got undefined"],
    [array(5), {}, TypeError, "elements must be a record of arrays, got a single array"],
    [{ a: array(5) }, {}, TypeError, "elements must be { a, b.v }, but b.v is missing"],
    [{ a: array(5), b: array(5, 2) }, {}, TypeError, "elements must be { a, b.v }, but b.v is missing, b is unknown"],
    [{ ...fits, c: array(5) }, {}, TypeError, "elements must be { a, b.v }, but c is unknown"],
    [{ ...fits, a: 3 }, {}, TypeError, '"a" must be a leaf, such as { data, shape }, or a record, got 3'],
    [{ ...fits, a: array() }, {}, TypeError, "elements.a must have shape (B, T) or (T,), got ()"],
    [{ ...fits, a: array(1, 3, 5) }, {}, TypeError, "elements.a must have shape (B, T) or (T,), got (1, 3, 5)"],
    [{ ...fits, b: { v: array(3, 5) } }, {}, TypeError, "elements.b.v must have shape (B, T, 2) or (T, 2), got (3, 5)"],
    [
      { ...fits, a: array(5) },
      {},
      TypeError,
      "elements.b.v must have shape (5, 2), to go with elements.a, got (3, 5, 2)",
    ],
    [
      { ...fits, b: { v: array(3, 4, 2) } },
      {},
      TypeError,
      "elements.b.v must have shape (3, 5, 2), to go with elements.a, got (3, 4, 2)",
    ],
    [
      { a: { data: [1], shape: [1] }, b: { v: array(1, 2) } },
      {},
      TypeError,
      "the data of elements.a must be a Float32Array",
    ],
    [{ a: elsewhere, b: { v: array(5, 2) } }, {}, TypeError, "elements.a lives on another device"],
    [fits, { params: {} }, TypeError, "params must be { k }, but k missing"],
    [fits, { params: { k: array(2) } }, TypeError, "params.k must have shape (), got (2,)"],
    [fits, { reverse: 1 }, TypeError, "reverse must be true or false, got 1"],
    [fits, { revers: true }, TypeError, "options may have reverse, params, device, got revers"],
  ];
  const ledger = watchMemory(device);
  for (const [elements, options, type, message] of rows) {
    const call = () => associativeScan(operator, as<typeof fits>(elements), { device, params, ...options });
    const error = assertThrows(call, type);
    assertStringIncludes(error.message, message);
    assert(/^Cannot (scan with "mistaken"|read the tree): .*[^.]$/.test(error.message), error.message);
    assertEquals(ledger.held(), [], message);
  }
});

Deno.test("operators: what is no operator, and a call without a device", () => {
  assertThrows(
    () => associativeScan(as<Operator>({ name: "x", element: {} }), {}),
    TypeError,
    "Cannot use the operator: expected one made by defineOperator(), got an object of Object",
  );
  const operator = defineOperator({
    name: "sum",
    element: { x: [] },
    combine: (earlier, later) => ({ x: add(earlier.x, later.x) }),
  });
  assertThrows(
    () => associativeScan(operator, { x: array(3) }),
    TypeError,
    'Cannot scan with "sum": no argument is a tensor on a device; give the option device',
  );
});

testOn(MACHINES, "operators: elements that are too large for an invocation", async (device) => {
  const operator = defineOperator({
    name: "huge",
    element: { m: [40, 40] },
    combine: (earlier, later) => ({ m: matmul(later.m, earlier.m) }),
  });
  const ledger = watchMemory(device);
  const call = () => associativeScan(operator, { m: array(3, 40, 40) }, { device });
  if (device.backend === "cpu") call().m.dispose();
  else {
    const { message } = assertThrows(call, DeviceError);
    assertEquals(
      message,
      'Cannot scan with "huge": to combine elements of 1600 words takes 3200, and an invocation of WebGPU has 2048; ' +
        "use smaller elements, or the CPU engine",
    );
  }
  assertEquals(ledger.held(), []);
  await Promise.resolve();
});

Deno.test("checkAssociativity: settings and samples are checked", async () => {
  const operator = defineOperator({
    name: "minus",
    element: { x: [], y: [2] },
    combine: (earlier, later) => ({ x: sub(earlier.x, later.x), y: mul(earlier.y, sum(later.y)) }),
  });
  type Row = [samples: unknown, options: object, type: typeof TypeError | typeof RangeError, message: string];
  const rows: Row[] = [
    [{ count: 0 }, {}, RangeError, "count must be a whole number of at least 1, got 0"],
    [{ seed: 0.5 }, {}, RangeError, "seed must be a whole number, got 0.5"],
    [{ number: 3 }, {}, TypeError, "random elements may have count, seed, got number"],
    [null, {}, TypeError, "elements must be a record of arrays, got null"],
    [{ x: array(3) }, {}, TypeError, "elements must be { x, y }, but y is missing"],
    [{ x: array(3), y: array(2) }, {}, TypeError, "elements.y must have shape (N, 2), got (2,)"],
    [{ x: array(3), y: array(4, 2) }, {}, TypeError, "elements.y must have shape (3, 2), to go with elements.x"],
    [{ x: array(2), y: array(2, 2) }, {}, TypeError, "at least 3 elements are expected, got 2"],
    [{}, { rtol: -1 }, RangeError, "rtol must be a number of at least 0, got -1"],
    [{}, { tolerance: 1 }, TypeError, "options may have rtol, params, got tolerance"],
    [{}, { params: { k: array() } }, TypeError, "params must be {  }, but k unknown"],
  ];
  for (const [samples, options, type, message] of rows) {
    const error = await assertRejects(() => checkAssociativity(operator, as(samples), options), type);
    assertStringIncludes(error.message, message);
  }
});
