import { assertEquals, assertThrows } from "@std/assert";
import {
  concat,
  last,
  matmul,
  meanPool,
  openDevice,
  reshape,
  softmaxCrossEntropy,
  squaredError,
  take,
  type Tensor,
  tensor,
  tidy,
  toHost,
} from "../../mod.ts";
import { host, numbers } from "../solve/arrays.ts";
import { PRECISE, testOn } from "../solve/machines.ts";
import { watchMemory } from "../solve/memory.ts";

type Call = (...args: unknown[]) => unknown;

testOn(
  PRECISE,
  "tensor functions: wrong calls say what was expected and what came, and leave nothing",
  async (device) => {
    await using other = await openDevice({ backend: "cpu", dtype: "f64" });
    const on = (shape: number[]): Tensor => tensor(device, host(numbers(shape.reduce((a, b) => a * b, 1)), shape));
    const [vector, matrix, cube] = [on([4]), on([3, 4]), on([2, 3, 4])];
    const integers = tensor(device, { data: Uint32Array.of(0, 1, 2), shape: [3] });
    const elsewhere = tensor(other, host([1], [1]));
    const table: [call: Call, args: unknown[], kind: typeof TypeError | typeof RangeError, message: string][] = [
      [
        matmul as Call,
        [matrix, matrix],
        TypeError,
        "Cannot multiply matrices: a and b must have shapes (..., K) and (K, N), got (3, 4) and (3, 4)",
      ],
      [matmul as Call, [on([]), matrix], TypeError, "(K, N), got () and (3, 4)"],
      [matmul as Call, [matrix, vector], TypeError, "(K, N), got (3, 4) and (4,)"],
      [matmul as Call, [matrix, integers], TypeError, "b must have dtype f64, got u32"],
      [matmul as Call, [matrix, elsewhere], TypeError, "b lives on another device"],
      [matmul as Call, [host([1], [1]), host([1], [1, 1])], TypeError, "give the option device: await openDevice()"],
      [matmul as Call, [matrix, 3], TypeError, "b must be a tensor or { data, shape }, got 3"],
      [matmul as Call, [matrix, matrix, { from: device }], TypeError, "options may have device, got from"],
      [
        concat as Call,
        [[]],
        TypeError,
        "Cannot concatenate: expected a list of at least one array, got an empty list",
      ],
      [concat as Call, [matrix], TypeError, "expected a list of at least one array, got an object of DeviceTensor"],
      [
        concat as Call,
        [[matrix, on([2, 4])]],
        TypeError,
        "part 1 must have the shape of the first, (3, 4), but along axis 1, got (2, 4)",
      ],
      [concat as Call, [[matrix, cube], 0], TypeError, "but along axis 0, got (2, 3, 4)"],
      [concat as Call, [[matrix], 2], RangeError, "axis must be one of the 2 of (3, 4), from -2 to 1, got 2"],
      [concat as Call, [[on([])]], TypeError, "at least one axis, got shape (); give scalars the shape (1,)"],
      [last as Call, [vector], TypeError, "Cannot take the last step: expected shape (B, T, n) or (T, n), got (4,)"],
      [last as Call, [on([2, 0, 3])], RangeError, "expected at least one step, got shape (2, 0, 3)"],
      [last as Call, [host([1], [1, 1])], TypeError, "expected a tensor on a device, got an object of Object"],
      [
        reshape as Call,
        [matrix, [5, 2]],
        TypeError,
        "Cannot reshape: expected a shape of 12 elements, as (3, 4) has, got (5, 2)",
      ],
      [reshape as Call, [matrix, [-1, 5]], TypeError, "got (-1, 5)"],
      [reshape as Call, [matrix, [-1, -1]], TypeError, "got (-1, -1)"],
      [reshape as Call, [on([0, 3]), [-1, 0]], TypeError, "got (-1, 0)"],
      [
        reshape as Call,
        [matrix, [1.5, 8]],
        TypeError,
        "the shape must be a list of whole numbers of at least 0, or -1, got (1.5, 8)",
      ],
      [reshape as Call, [matrix, 12], TypeError, "or -1, got 12"],
      [
        take as Call,
        [matrix, [0, 3]],
        RangeError,
        "Cannot take rows: indices must be whole numbers from 0 to 2, got 3 at 1",
      ],
      [take as Call, [matrix, { data: Int32Array.of(0, 1, 2, -5), shape: [2, 2] }], RangeError, "got -5 at (1, 1)"],
      [take as Call, [matrix, [0.5]], RangeError, "got 0.5 at 0"],
      [take as Call, [matrix, matrix], TypeError, "indices must have dtype u32 or i32, got f64"],
      [take as Call, [matrix, "012"], TypeError, 'indices must be whole numbers, got "012"'],
      [take as Call, [on([]), [0]], TypeError, "x must have shape (R, ...), got ()"],
      [meanPool as Call, [vector], TypeError, "expected f64 of shape (B, T, n) or (T, n), got f64 of (4,)"],
      [meanPool as Call, [on([2, 0, 3])], RangeError, "expected at least one step, got shape (2, 0, 3)"],
      [
        meanPool as Call,
        [cube, { lengths: [3, 4] }],
        RangeError,
        "lengths must be whole numbers from 1 to 3, got 4 at 1",
      ],
      [
        meanPool as Call,
        [cube, { lengths: [3, 0] }],
        RangeError,
        "lengths must be whole numbers from 1 to 3, got 0 at 1",
      ],
      [meanPool as Call, [cube, { lengths: [3] }], TypeError, "lengths must have shape (2,), got (1,)"],
      [meanPool as Call, [cube, { length: [3, 3] }], TypeError, "options may have lengths, got length"],
      [
        squaredError as Call,
        [matrix, cube],
        TypeError,
        "target must have the shape of prediction, (3, 4), got (2, 3, 4)",
      ],
      [
        softmaxCrossEntropy as Call,
        [matrix, [0, 1, 4]],
        RangeError,
        "labels must be whole numbers from 0 to 3, got 4 at 2",
      ],
      [
        softmaxCrossEntropy as Call,
        [matrix, [0, 1]],
        TypeError,
        "labels must have shape (3,), as logits have without their last axis, got (2,)",
      ],
      [
        softmaxCrossEntropy as Call,
        [on([]), []],
        TypeError,
        "logits must have shape (..., C) of at least one class, got ()",
      ],
      [softmaxCrossEntropy as Call, [matrix, matrix], TypeError, "labels must have dtype u32 or i32, got f64"],
    ];
    const ledger = watchMemory(device);
    for (const [call, args, kind, message] of table) {
      assertThrows(() => call(...args), kind, message);
      assertEquals(ledger.held(), [], message);
    }
  },
);

testOn(PRECISE, "reshape: the memory stays until both are disposed, and is freed then", async (device) => {
  const ledger = watchMemory(device);
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 0, 2]]) {
    const x = tensor(device, host(numbers(6), [6]));
    const view = reshape(x, [2, 3]);
    const again = reshape(view, [3, 2]);
    for (const k of order.slice(0, 2)) [x, view, again][k]!.dispose();
    assertEquals(ledger.held().length, 1);
    assertEquals((await toHost([x, view, again][order[2]!]!)).data, numbers(6));
    assertThrows(() => reshape([x, view, again][order[0]!]!, [6]), Error, "it was disposed");
    for (const k of [...order, ...order]) [x, view, again][k]!.dispose();
    assertEquals(ledger.held(), []);
  }
  const kept = await tidy(device, () => reshape(tensor(device, host(numbers(6), [6])), [3, 2]));
  assertEquals((await toHost(kept)).data, numbers(6));
  kept.dispose();
  assertEquals(ledger.held(), []);
});
