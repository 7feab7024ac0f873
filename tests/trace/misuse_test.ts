// Every misuse of a step function is refused where it stands, in the words of the person who wrote it.

import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  defineStep,
  elman,
  gru,
  lem,
  lstm,
  openDevice,
  ops,
  type Shape,
  solve,
  type Sym,
  TraceError,
} from "../../mod.ts";

const { add, broadcast, concat, constant, dot, grad, matvec, matvecTransposed, mul, outer, relu, reshape, slice } = ops;
const { matmul, maximum, mean, sum, transpose, where } = ops;

/** What a mistaken program takes a value for: types would refuse it. */
const as = <T>(value: unknown): T => value as T;

type Arguments = { readonly h: Sym; readonly x: Sym; readonly p: Readonly<Record<string, Sym>>; readonly t: Sym };

interface Row {
  readonly label: string;
  /** Parts of the message: what is wrong, and the cure. */
  readonly parts: readonly string[];
  readonly step: (args: Arguments) => unknown;
  /** Line of this file. */
  readonly line: number;
}

function lineOfCaller(): number {
  const frames = (new Error().stack ?? "").split("\n").filter((line) => line.includes("misuse_test.ts"));
  return Number(/:(\d+):\d+\)?$/.exec(frames[2] ?? "")?.[1]);
}

const rows: Row[] = [];
/** A step of 3 states and 2 inputs with parameters w [3, 3], v [3], k [] and a { z [] }. */
function row(label: string, parts: readonly string[], step: Row["step"]): void {
  rows.push({ label, parts, step, line: lineOfCaller() });
}

const OPERATOR = ["used as a number", "where(less(a, b), x, y)"];
row("+", OPERATOR, ({ h }) => as<number>(h) + 1);
row("unary -", OPERATOR, ({ h }) => -as<number>(h));
row("a branch", OPERATOR, ({ h, x }) => as<number>(h) > 0 ? h : x);
row("a branch between values", OPERATOR, ({ h, p }) => as<number>(p.k) < as<number>(p.v) ? h : p.v);
row("Math.tanh", OPERATOR, ({ h }) => Math.tanh(as<number>(h)));
row("a template literal", OPERATOR, ({ h }) => `${h}`);
row("an index", OPERATOR, ({ h, p }) => add(h, as<Sym[]>(h)[as<number>(p.k)]!));
row("spreading", ["spread or destructured", "slice(v, start, end)"], ({ h }) => Math.max(...as<number[]>(h)));
row("destructuring", ["spread or destructured", "slice(v, start, end)"], ({ h }) => {
  const [first] = as<Sym[]>(h);
  return first;
});
row("a loop", ["spread or destructured", "slice(v, start, end)"], ({ h }) => {
  let total: Sym | number = 0;
  for (const element of as<Sym[]>(h)) total = add(total, element);
  return total;
});

let leaked: Sym | undefined;
defineStep({ name: "other", state: 3, input: 0, params: {}, step: ({ h }) => leaked = relu(h) });
const FOREIGN = ["another trace", '"other"', "use only what this call of the step function was given"];
row("a value of another step", ["argument 2 of add()", ...FOREIGN], ({ h }) => add(h, leaked!));
row("a vector of another step", ["argument 1 of slice()", ...FOREIGN], () => slice(leaked!, 0, 3));
row("returning it", ["returned a value of another trace", "made by ops"], () => leaked);
row("a step within a step", ["another trace", '"mistaken"'], ({ h }) => {
  defineStep({ name: "inner", state: 3, input: 0, params: {}, step: (inner) => add(inner.h, h) });
  return h;
});

row("a misspelt parameter", ['no parameter "weight"', "declared are: w, v, k, a"], ({ h, p }) => matvec(p.weight!, h));
row("a misspelt branch", ['no parameter "a.zz"', "declared are: z"], ({ h, p }) => add(h, as<{ zz: Sym }>(p.a).zz));
row(
  "an element of a symbol",
  ["argument 2 of add() is undefined", "check the name it came by"],
  ({ h }) => add(h, as<Sym[]>(h)[0]!),
);
row("an array", ["argument 2 of add() is an array", "wrap data in constant(...)"], ({ h }) => add(h, as([1, 2, 3])));
row("a typed array", ["argument 1 of mul() is object", "constant(...)"], ({ h }) => mul(as(new Float32Array(3)), h));
row("null", ["argument 1 of relu() is null"], () => relu(as(null)));
row("a string", ["argument 3 of concat() is string"], ({ h }) => concat(h, 1, as("2")));
row("a branch of parameters", ["argument 1 of sum() is object"], ({ p }) => sum(p.a!));

row("add", ["add() cannot combine shapes (3,) and (2,)", "slice, reshape or broadcast first"], ({ h, x }) => add(h, x));
row("where", ["where() cannot combine shapes (3,) and () and (2,)"], ({ h, x, p }) => where(h, p.k!, x));
row("add of a matrix", ["shapes (3, 3) and (3,)", "operands of equal shape"], ({ h, p }) => add(p.w!, h));
row("matvec", ["shape (3, 3) with a vector of shape (2,)", "columns are as many"], ({ x, p }) => matvec(p.w!, x));
row("matvec of a vector", ["matvec() cannot multiply a matrix of shape (3,)"], ({ h, p }) => matvec(p.v!, h));
row("matvec swapped", ["argument 2 of matvec() must be a vector, got shape (3, 3)"], ({ h, p }) => matvec(h, p.w!));
row("matvecTransposed", ["vector of shape (2,)", "rows are as many"], ({ x, p }) => matvecTransposed(p.w!, x));
row("dot", ["dot() cannot combine shapes (3,) and (2,)", "equal length"], ({ h, x }) => dot(h, x));
row("outer", ["argument 2 of outer() must be a vector", "reshape it"], ({ h, p }) => outer(h, p.w!));
row("matmul", ["matmul() cannot multiply shapes (3, 3) and (2, 1)", "columns of the first"], ({ x, p }) => {
  return matmul(p.w!, reshape(x, [2, 1]));
});
row("matmul of a vector", ["argument 2 of matmul() must be a matrix, got shape (3,)"], ({ h, p }) => matmul(p.w!, h));
row("transpose of a vector", ["argument 1 of transpose() must be a matrix", "reshape(v, [n, 1])"], ({ h }) => {
  return transpose(h);
});
row(
  "linearSolve of a vector",
  ["argument 1 of linearSolve() must be a matrix, got shape (3,)"],
  ({ h }) => ops.linearSolve(h, h),
);
row(
  "linearSolve for too little",
  ["a system of shape (3, 3) for (2,)", "as many rows"],
  ({ x, p }) => ops.linearSolve(p.w!, x),
);
row("linearSolve for a scalar", ["a system of shape (3, 3) for ()"], ({ p }) => ops.linearSolve(p.w!, p.k!));
row("logDet of a vector", ["argument 1 of logDet() must be a matrix, got shape (3,)"], ({ h }) => ops.logDet(h));
row("logDet of no square", ["logDet() was given shape (1, 3)", "square"], ({ h }) => ops.logDet(reshape(h, [1, 3])));
row(
  "linearSolve of no square",
  ["a system of shape (1, 3) for (3,)", "square"],
  ({ h }) => ops.linearSolve(reshape(h, [1, 3]), h),
);
row("slice beyond", ["elements 2 to 4 of a vector of 3", "0 <= start < end <= length"], ({ h }) => slice(h, 2, 4));
row("slice before", ["elements -1 to 2"], ({ h }) => slice(h, -1, 2));
row("slice of nothing", ["elements 1 to 1"], ({ h }) => slice(h, 1, 1));
row("slice between", ["elements 0 to 1.5", "whole numbers"], ({ h }) => slice(h, 0, 1.5));
row("slice without an end", ["elements 1 to undefined"], ({ h }) => as<(v: Sym, start: number) => Sym>(slice)(h, 1));
row("slice of a matrix", ["must be a vector, got shape (3, 3)"], ({ p }) => slice(p.w!, 0, 3));
row("concat()", ["concat() was given nothing", "at least one value"], () => concat());
row("concat of a matrix", ["argument 2 of concat() must be a vector"], ({ h, p }) => concat(h, p.w!));
row("reshape", ["reshape() cannot give 3 elements the shape (2, 2)", "product"], ({ h }) => reshape(h, [2, 2]));
row("reshape to three axes", ["the shape (1, 1, 3)", "at most two axes"], ({ h }) => reshape(h, [1, 1, 3]));
row("reshape to a number", ["the shape 3"], ({ h }) => reshape(h, as<Shape>(3)));
row("reshape to nothing", ["the shape undefined"], ({ h }) => reshape(h, as<Shape>(undefined)));
row("broadcast of a vector", ["spread shape (3,) to (5,)", "give a scalar"], ({ h }) => broadcast(h, 5));
row("broadcast to nothing", ["to (0,)"], ({ p }) => broadcast(p.k!, 0));
row("broadcast without a length", ["to undefined"], ({ p }) => broadcast(p.k!, as<number>(undefined)));
row("constant", ["constant() cannot give 3 elements the shape (2, 2)"], () => constant([1, 2, 3], [2, 2]));
row("constant of a number", ["1 elements the shape (-1,)"], () => constant(1, [-1]));
row("constant of a string", ["cannot give abc", "an array of numbers"], () => constant(as<number>("abc")));
row("constant of nothing", ["cannot give undefined"], () => constant(as<number>(undefined)));
row("constant of symbols", OPERATOR, ({ p }) => constant([as<number>(p.k), 1, 2]));
row(
  "grad of a vector function",
  ["scalar value, got shape (3,)", "sum, mean or dot"],
  ({ h }) => grad((v) => mul(v, v))(h),
);
row("grad of a value", ["given a value, not a function", "grad((v) => dot(v, v))(h)"], ({ h }) => grad(as(sum(h)))(h));
row("grad of nothing", ["argument 1 of grad() is undefined"], ({ h }) => grad(as(() => undefined))(h));
row("grad at nothing", ["argument 1 of grad() is undefined"], () => grad((v) => sum(v))(as(undefined)));

row("returning nothing", ["the step returned undefined", "return the next state"], () => undefined);
row("returning a number", ["the step returned 3", "return the next state"], () => 3);
row("returning an array", ["the step returned", "return the next state"], () => [1, 2, 3]);
row("an async step", ["the step returned a promise"], ({ h }) => Promise.resolve(h));
row("returning too little", ["returned shape (2,), but state is 3", "concat(...)"], ({ x }) => x);
row("returning a scalar", ["returned shape (), but state is 3"], ({ h }) => dot(h, h));
row("returning a matrix", ["returned shape (3, 1), but state is 3"], ({ h }) => reshape(h, [3, 1]));
row("a variable that escapes", ["variable of a function given to grad()", "use it inside only"], ({ h }) => {
  let escaped = h;
  const gradient = grad((v) => dot(escaped = v, v))(h);
  return add(gradient, escaped);
});

function define(step: (args: Arguments) => unknown, input = 2): void {
  const params = { w: [3, 3], v: [3], k: [], a: { z: [] } };
  defineStep({ name: "mistaken", state: 3, input, params, step: step as () => Sym });
}

for (const { label, parts, step, line } of rows) {
  Deno.test(`misuse: ${label} is refused with its place and its cure`, () => {
    const { message } = assertThrows(() => define(step), TraceError);
    const place = /^Cannot trace "(mistaken|inner)" at misuse_test\.ts:(\d+):\d+: .*; .*[^.]$/.exec(message);
    assert(place !== null, message);
    for (const part of parts) assertStringIncludes(message, part);
    // What is returned is wrong at the call of defineStep, all else at its own line.
    const at = Number(place[2]);
    if (!/the step returned|was used outside/.test(message)) assert(at >= line && at <= line + 4, `${at}, not ${line}`);
  });
}

Deno.test("misuse: reductions of the input of a step without input", () => {
  const cure = "leave x out where input is 0";
  assertThrows(
    () => define(({ h, x }) => add(h, maximum(x)), 0),
    TraceError,
    `maximum() was given no elements; ${cure}`,
  );
  assertThrows(() => define(({ h, x }) => add(h, mean(x)), 0), TraceError, `mean() was given no elements; ${cure}`);
  // An empty sum is 0, an empty part of a concatenation nothing.
  define(({ h, x }) => add(concat(x, h), sum(x)), 0);
});

Deno.test("misuse: operations outside a step name themselves and the place", () => {
  for (const [name, operation] of Object.entries(ops)) {
    const call = as<(a: Sym, b: Sym) => unknown>(operation);
    const outside = () => name === "grad" ? grad((v) => sum(v))(leaked!) : call(leaked!, leaked!);
    const { message } = assertThrows(outside, TraceError);
    assertMatch(message, /^Cannot trace at misuse_test\.ts:\d+:\d+: .*inside the step of defineStep/);
    assertStringIncludes(message, `: ${name}() was called outside a step function; `);
  }
  // A step that failed leaves nothing behind.
  assertThrows(() => define(() => slice(leaked!, 0, 9)), TraceError);
  assertThrows(() => add(1, 2), TraceError, "outside a step function");
  define(({ h }) => h);
});

Deno.test("misuse: an error of the user's own passes through", () => {
  assertThrows(() => define(() => JSON.parse("{")), SyntaxError, "JSON");
});

Deno.test("misuse: fields of a step are checked before it is traced", () => {
  const good = { name: "mistaken", state: 3, input: 2, params: {}, step: ({ h }: { h: Sym }) => h };
  type Spec = Parameters<typeof defineStep>[0];
  const specs: [spec: unknown, type: typeof TypeError | typeof RangeError, parts: string[]][] = [
    [undefined, TypeError, ["expected { name, state, input, params, step }", "got undefined"]],
    [{ ...good, step: undefined }, TypeError, ["expected { name, state, input, params, step }"]],
    [{ ...good, name: undefined }, TypeError, ["name must be a string"]],
    [{ ...good, name: "" }, TypeError, ["name must be a string that is not empty"]],
    [{ ...good, state: 0 }, RangeError, ['"mistaken"', "state must be a whole number of at least 1, got 0"]],
    [{ ...good, state: 2.5 }, RangeError, ['"mistaken"', "state", "got 2.5"]],
    [{ ...good, state: "3" }, RangeError, ['"mistaken"', "state", "got 3"]],
    [{ ...good, input: -1 }, RangeError, ['"mistaken"', "input must be a whole number of at least 0, got -1"]],
    [{ ...good, input: undefined }, RangeError, ['"mistaken"', "input", "got undefined"]],
    [{ ...good, units: 0 }, RangeError, ['"mistaken"', "units", "got 0"]],
    [{ ...good, params: null }, TypeError, ['"mistaken"', "params must be a record of shapes"]],
    [{ ...good, params: { w: 3 } }, TypeError, ['"w"', "got 3"]],
    [{ ...good, params: { w: [1, 2, 3] } }, RangeError, ['"mistaken"', '"w" must have at most two axes', "(1, 2, 3)"]],
    [{ ...good, params: { a: { w: [0] } } }, RangeError, ['"mistaken"', '"a.w"', "(0,)"]],
    [{ ...good, params: { w: [2.5] } }, RangeError, ['"mistaken"', '"w"', "(2.5,)"]],
  ];
  for (const [spec, type, parts] of specs) {
    const { message } = assertThrows(() => defineStep(spec as Spec), type);
    assert(/^Cannot .*[^.]$/.test(message), message);
    for (const part of parts) assertStringIncludes(message, part);
  }
  for (const cell of [gru, lstm, elman, lem]) {
    assertThrows(() => cell({ input: 1, hidden: 0 }), RangeError, `Cannot make ${cell.name}(): hidden must be`);
    assertThrows(() => cell({ input: 0.5, hidden: 1 }), RangeError, `Cannot make ${cell.name}(): input must be`);
    assertThrows(() => cell(as(undefined)), TypeError, `Cannot make ${cell.name}(): expected { input, hidden }`);
  }
});

Deno.test("misuse: what is no step is refused by solve", async () => {
  await using device = await openDevice({ backend: "cpu" });
  for (const wrong of [undefined, {}, gru, { name: "gru", state: 1 }]) {
    const error = await solve(as(wrong), { params: {}, time: 1 }, { device }).catch((error: unknown) => error);
    assert(error instanceof TypeError);
    assertStringIncludes(error.message, "expected one made by defineStep() or a cell");
  }
  assertEquals(rows.length >= 25, true);
});
