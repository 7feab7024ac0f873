import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  defineStep,
  type Device,
  type InitRules,
  type InitScheme,
  openDevice,
  ops,
  type Step,
  type Tensor,
} from "../mod.ts";
import { withRules } from "../src/step.ts";
import { assertClose, read } from "./solve/arrays.ts";

const [M, N] = [60, 40];

/** A step with a matrix of three gates, a square one and a vector. */
function stepWith(init?: InitRules): Step {
  return defineStep({
    name: "s",
    state: M,
    input: N,
    params: { w: [3 * M, N], square: [N, N], v: [M] },
    units: M,
    ...(init && { init }),
    step: ({ h, x, p }) => ops.add(ops.mul(p.v, h), ops.slice(ops.matvec(p.w, ops.matvec(p.square, x)), 0, M)),
  });
}

async function draw(
  step: Step,
  device: Device,
  options: { seed?: number; scheme?: InitScheme },
): Promise<Record<"w" | "square" | "v", Float64Array>> {
  const { w, square, v } = step.init(device, options) as Record<string, Tensor>;
  return { w: await read(w!), square: await read(square!), v: await read(v!) };
}

const moment = (values: Float64Array, power: number): number =>
  values.reduce((total, value) => total + value ** power, 0) / values.length;

/** Fails unless the numbers are uniform in ±bound, by the first two moments, within 5 standard errors. */
function assertUniform(values: Float64Array, bound: number, what: string): void {
  assert(values.every((value) => Math.abs(value) <= bound), `${what}: beyond ±${bound}`);
  assertClose([moment(values, 1)], [0], 5 * bound / Math.sqrt(3 * values.length), `${what}: mean`);
  const spread = 5 * bound ** 2 * Math.sqrt(4 / 45 / values.length);
  assertClose([moment(values, 2)], [bound ** 2 / 3], spread, `${what}: mean square`);
}

/** Fails unless the numbers are normal of the given variance, cut off at two standard deviations of what was cut. */
function assertCutNormal(values: Float64Array, variance: number, what: string): void {
  // Of a standard normal within ±2: variance 1 - 4 φ(2) / P, fourth moment 3 - (3 · 2 + 8) 2 φ(2) / P, P = 0.9545.
  const density = Math.exp(-2) / Math.sqrt(2 * Math.PI);
  const inside = 0.954499736103642;
  const [second, fourth] = [1 - 4 * density / inside, 3 - 28 * density / inside];
  const scale = Math.sqrt(variance / second);
  assert(values.every((value) => Math.abs(value) <= 2 * scale * (1 + 1e-15)), `${what}: beyond ${2 * scale}`);
  assertClose([moment(values, 1)], [0], 5 * Math.sqrt(variance / values.length), `${what}: mean`);
  const spread = scale ** 2 * Math.sqrt((fourth - second ** 2) / values.length);
  assertClose([moment(values, 2)], [variance], 5 * spread, `${what}: mean square`);
  // That of a uniform distribution is 1.8, of a normal one 3.
  assertClose([moment(values, 4) / variance ** 2], [fourth / second ** 2], 0.25, `${what}: kurtosis`);
}

/** Fails unless the matrix has orthonormal rows, or columns if there are fewer of them. */
function assertOrthogonal(values: Float64Array, rows: number, columns: number, what: string): void {
  const at = (i: number, k: number): number => rows <= columns ? values[i * columns + k]! : values[k * columns + i]!;
  const [short, long] = [Math.min(rows, columns), Math.max(rows, columns)];
  for (let i = 0; i < short; i++) {
    for (let j = 0; j <= i; j++) {
      let dot = 0;
      for (let k = 0; k < long; k++) dot += at(i, k) * at(j, k);
      assertClose([dot], [i === j ? 1 : 0], 1e-13, `${what}: ${i}, ${j}`);
    }
  }
}

Deno.test("init rules: by name, of whole matrices and gate by gate", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const he = await draw(stepWith({ w: "he-uniform", square: "glorot-uniform", v: { uniform: 0.3 } }), device, {
    seed: 1,
  });
  assertUniform(he.w, Math.sqrt(6 / N), "he-uniform");
  assertUniform(he.square, Math.sqrt(6 / (2 * N)), "glorot-uniform");
  assertUniform(he.v, 0.3, "uniform");
  const whole = await draw(stepWith({ w: "orthogonal", square: "lecun-normal" }), device, { seed: 2 });
  assertOrthogonal(whole.w, 3 * M, N, "the whole matrix");
  assertCutNormal(whole.square, 1 / N, "lecun-normal");
  assertUniform(whole.v, 1 / Math.sqrt(M), "without a rule");
  const gates = await draw(stepWith({ w: ["glorot-uniform", "orthogonal", 0.5] }), device, { seed: 3 });
  assertUniform(gates.w.slice(0, M * N), Math.sqrt(6 / (M + N)), "the first gate");
  assertOrthogonal(gates.w.slice(M * N, 2 * M * N), M, N, "the second gate");
  assert(gates.w.slice(2 * M * N).every((value) => value === 0.5), "the third gate");
});

Deno.test("init schemes: matrices gate by gate, the rest 0", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const step = stepWith({ w: 1, v: 1 });
  const he = await draw(step, device, { scheme: "he-uniform" });
  assertUniform(he.w, Math.sqrt(6 / N), "he-uniform");
  const lecun = await draw(step, device, { scheme: "lecun-normal" });
  assertCutNormal(lecun.w, 1 / N, "lecun-normal");
  const glorot = await draw(step, device, { scheme: "glorot" });
  assertUniform(glorot.w, Math.sqrt(6 / (M + N)), "glorot");
  const orthogonal = await draw(step, device, { scheme: "orthogonal" });
  for (const gate of [0, 1, 2]) assertOrthogonal(orthogonal.w.slice(gate * M * N, (gate + 1) * M * N), M, N, `${gate}`);
  for (const { v } of [he, lecun, glorot, orthogonal]) assert(v.every((value) => value === 0));
  const all = [he, lecun, glorot, orthogonal];
  for (const [k, { w }] of all.entries()) assert(w.some((value, i) => value !== all[(k + 1) % 4]!.w[i]));
});

Deno.test("init rules: those that are added leave the others as they were", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const own = stepWith({ w: 2, v: 3 });
  const ruled = withRules(own, { v: 4 });
  const found = await draw(ruled, device, { seed: 1 });
  assertEquals([found.w[0], found.v[0]], [2, 4]);
  assertEquals(found.square, (await draw(own, device, { seed: 1 })).square);
  assertEquals((await draw(withRules(ruled, { w: 5 }), device, {})).v[0], 4);
  // The step that was given is as before, and so is the other in all but this.
  assertEquals((await draw(own, device, {})).v[0], 3);
  assertEquals([ruled.name, ruled.params, ruled.jacobian], [own.name, own.params, own.jacobian]);
});

Deno.test("init rules: wrong ones are refused", () => {
  const table: readonly [rules: unknown, message: string][] = [
    [{ v: "orthogonal" }, 'init of "v" must be a number or { uniform: number }, as its shape is (60,) and no matrix'],
    [{ v: [0, "he-uniform"] }, 'init of "v" must be a number or { uniform: number }, as its shape is (60,)'],
    [{ w: "he-normal" }, 'init of "w" must be a finite number, { uniform: number }, "he-uniform", "glorot-uniform", '],
    [{ w: { uniform: "orthogonal" } }, 'init of "w" must be a finite number'],
    [{ w: ["orthogonal", "toString"] }, 'init of "w" must be a finite number'],
    [{ w: ["orthogonal", 0, 0, 0, 0, 0, 0] }, "as many rules as gates of equal size, got 7 for shape (180, 40)"],
  ];
  for (const [rules, message] of table) {
    assertThrows(
      () => stepWith(rules as InitRules),
      Error,
      `Cannot define "s": ${message.slice(0, 4) === "init" ? message : ""}`,
    );
    assertThrows(() => withRules(stepWith(), rules as InitRules), Error, message);
  }
});
