import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import type { Memory, MonoidKind } from "../engine/engine.ts";
import { findDevice, place } from "../place.ts";
import { isTracked, record } from "../tape.ts";
import { memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import { pullBackRecurrence, spreadStart } from "./recurrence_pullback.ts";

/** A linear recurrence `y[t] = a[t] y[t-1] + b[t]`. */
export interface LinearRecurrence {
  /**
   * By its axes: `(B, T)` a number a step, `(B, T, D)` a diagonal, `(B, T, D, D)` a matrix, `(B, T, D/k, k, k)` blocks side
   * by side; without B where b has none.
   */
  a: TensorLike;
  /** `(B, T, D)` or `(T, D)` */
  b: TensorLike;
  /** `(B, D)` or `(D)`: the state before the first step (of a reverse recurrence: after the last); zeros if absent. */
  h0?: TensorLike;
}

/** How {@linkcode linearRecurrence} runs. */
export interface LinearRecurrenceOptions {
  /** Backward in time: `y[t] = a[t] y[t+1] + b[t]`. Default false. */
  reverse?: boolean;
  /** Needed only where no argument is a device tensor. */
  device?: Device;
}

const CONTEXT = "Cannot solve the linear recurrence";

/** The sizes of a recurrence, as engines take them. */
interface Sizes {
  readonly monoid: MonoidKind;
  readonly batch: number;
  readonly time: number;
  readonly state: number;
  readonly block: number;
}

/**
 * Solves `y[t] = a[t] y[t-1] + b[t]` for all t at once, with `reverse` `y[t] = a[t] y[t+1] + b[t]`; the form of `a` follows
 * from its axes. Returns y, of the shape of b; differentiable with respect to a, b and h0.
 *
 * Cost: B T D multiplications of numbers and diagonals, B T D k of blocks of k, B T D² of matrices. On the CPU one fold: a
 * and b are read once, y is written once. On WebGPU a scan in three phases, which reads a and b twice and multiplies the
 * matrices of each chunk: k, respectively D, times as much work; matrices of more than 43 rows are applied one step after the
 * other instead. Beside y it takes at most about a thirtieth of the memory of a and b. Gradients take one scan in the other
 * direction and one pass over y; a is not copied.
 *
 * When not to use it: sequences of fewer than 256 steps (1024 with matrices of 5 rows and more) are parallel over B and D
 * only, on WebGPU too. And there, in f32, the product of the matrices of a chunk of 64 steps or more must stay below 3e38
 * wherever the state that it meets is not zero: otherwise y is not finite, though one step after the other might be. Below
 * 1e-38 it is 0, and what later steps would amplify again is lost.
 *
 * Throws a `TypeError` for shapes, dtypes or names that do not fit, a `DeviceError` if the device is gone or full.
 *
 * Martin & Cundy, "Parallelizing linear recurrent neural nets over sequence length", ICLR 2018, arXiv 1709.04057. Blelloch,
 * "Prefix sums and their applications", CMU-CS-90-190, 1990.
 *
 * @example An exponential moving average
 * ```ts
 * import { linearRecurrence, openDevice, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const xs = [1, 1, 1, 5];
 * const a = { data: new Float64Array(4).fill(0.5), shape: [4] };
 * const b = { data: Float64Array.from(xs, (x) => 0.5 * x), shape: [4, 1] };
 * using average = linearRecurrence({ a, b }, { device });
 * console.log((await toHost(average)).data); // Float64Array [ 0.5, 0.75, 0.875, 2.9375 ]
 * ```
 *
 * @example Discounted rewards still to come, backward from an estimate of what follows the last
 * ```ts
 * import { linearRecurrence, openDevice, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const a = { data: new Float64Array(3).fill(0.5), shape: [3] };
 * const b = { data: new Float64Array([1, 0, 4]), shape: [3, 1] };
 * const h0 = { data: new Float64Array([8]), shape: [1] };
 * using returns = linearRecurrence({ a, b, h0 }, { reverse: true, device });
 * console.log((await toHost(returns)).data); // Float64Array [ 3, 4, 8 ]
 * ```
 *
 * @example A batch of two points that turn, each at a speed of its own
 * ```ts
 * import { linearRecurrence, openDevice, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu", dtype: "f64" });
 * const time = 100;
 * const turn = (angle: number) => [Math.cos(angle), -Math.sin(angle), Math.sin(angle), Math.cos(angle)];
 * const a = [0.1, -0.02].flatMap((speed) => Array.from({ length: time }, () => turn(speed)).flat());
 * using points = linearRecurrence({
 *   a: { data: Float64Array.from(a), shape: [2, time, 2, 2] },
 *   b: { data: new Float64Array(2 * time * 2), shape: [2, time, 2] },
 *   h0: { data: new Float64Array([1, 0]), shape: [2] },
 * }, { device });
 * const last = (await toHost(points)).data.slice(2 * (time - 1), 2 * time);
 * console.log(Math.atan2(last[1]!, last[0]!)); // 10 - 4π = -2.566...
 * ```
 */
export function linearRecurrence(problem: LinearRecurrence, options: LinearRecurrenceOptions = {}): Tensor {
  checkKeys(CONTEXT, "the problem", problem, ["a", "b", "h0"]);
  checkKeys(CONTEXT, "options", options, ["reverse", "device"]);
  const { reverse = false } = options;
  if (typeof reverse !== "boolean") {
    throw new TypeError(`${CONTEXT}: reverse must be true or false, got ${describe(reverse)}`);
  }
  const device = findDevice(CONTEXT, options.device, [problem.a, problem.b, problem.h0]);
  const temporary: Tensor[] = [];
  try {
    const b = place(CONTEXT, "b", problem.b, device, temporary);
    const a = place(CONTEXT, "a", problem.a, device, temporary);
    const sizes = sizesOf(a.shape, b.shape);
    const h0 = problem.h0 === undefined ? null : place(CONTEXT, "h0", problem.h0, device, temporary);
    if (h0 !== null) checkStart(h0.shape, b.shape);
    return run(device, { a, b, h0 }, sizes, reverse);
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}

/** What kind of matrices `a` holds, by its axes; a TypeError unless they fit those of b. */
function sizesOf(a: Shape, b: Shape): Sizes {
  if (b.length !== 2 && b.length !== 3) {
    throw new TypeError(`${CONTEXT}: b must have shape (B, T, D) or (T, D), got ${formatShape(b)}`);
  }
  const rows = b.slice(0, -1);
  const state = b.at(-1)!;
  const [batch, time] = b.length === 3 ? [b[0]!, b[1]!] : [1, b[0]!];
  const block = a.at(-1) ?? 0;
  const forms: readonly (readonly [MonoidKind, Shape])[] = [
    ["scalar", rows],
    ["diagonal", b],
    ["dense", [...b, state]],
    ["block", [...rows, state / block, block, block]],
  ];
  const found = forms.find(([, shape]) => sameShape(a, shape));
  if (found === undefined) {
    const wanted = forms.slice(0, 3).map(([, shape]) => formatShape(shape)).join(", ");
    const blocks = `(${[...rows, `${state}/k`, "k", "k"].join(", ")})`;
    throw new TypeError(
      `${CONTEXT}: a must have shape ${wanted} or ${blocks} for b of shape ${formatShape(b)}, got ${formatShape(a)}`,
    );
  }
  return { monoid: found[0], batch, time, state, block: found[0] === "block" ? block : 1 };
}

function checkStart(h0: Shape, b: Shape): void {
  const single = b.slice(-1);
  const each = [...b.slice(0, -2), ...single];
  if (sameShape(h0, single) || sameShape(h0, each)) return;
  const wanted = b.length === 3 ? `${formatShape(each)} or ${formatShape(single)}` : formatShape(single);
  throw new TypeError(`${CONTEXT}: h0 must have shape ${wanted}, got ${formatShape(h0)}`);
}

/** A recurrence that was checked, on its device. */
function run(
  device: Device,
  { a, b, h0 }: { readonly a: Tensor; readonly b: Tensor; readonly h0: Tensor | null },
  sizes: Sizes,
  reverse: boolean,
): Tensor {
  const engine = engineOf(device);
  const { batch, state } = sizes;
  const label = "a linear recurrence";
  const y = wrapMemory(device, b.shape, engine.allocate(engine.dtype, sizeOf(b.shape), label), label);
  const sharedStart = h0 !== null && h0.shape.length === 1;
  const start = h0 && memoryOf(h0);
  let spread: Memory | null = null;
  try {
    if (start !== null && sharedStart && batch !== 1) spread = spreadStart(engine, start, batch, state);
    const solved = { ...sizes, reverse, a: memoryOf(a), y: memoryOf(y), h0: start, sharedStart };
    engine.scan({ ...sizes, reverse, a: solved.a, b: memoryOf(b), h0: spread ?? start, out: solved.y });
    record({
      name: "linearRecurrence",
      inputs: h0 === null ? [a, b] : [a, b, h0],
      outputs: [y],
      // The cotangent of `a` needs y and h0, the others `a` alone.
      holds: isTracked(a) ? [a, y, ...(h0 === null ? [] : [h0])] : [a],
      pullback([yBar], [wantsA = false, wantsB = false, wantsStart = false]) {
        const bars = pullBackRecurrence(engine, solved, yBar!, { a: wantsA, b: wantsB, h0: wantsStart });
        return h0 === null ? [bars.a, bars.b] : [bars.a, bars.b, bars.h0];
      },
    });
    return y;
  } catch (error) {
    y.dispose();
    throw error;
  } finally {
    if (spread !== null) engine.free(spread);
  }
}
