import { assertEquals } from "@std/assert";
import type { HostTensor, Tensor } from "../../mod.ts";
import type { LinearLayer, SequenceLayer } from "../../src/layers/linear_layer.ts";
import { stack } from "../../src/layers/stack.ts";
import { gilrLstm } from "../../src/layers/gilr_lstm.ts";
import { qrnn } from "../../src/layers/qrnn.ts";
import { sru } from "../../src/layers/sru.ts";
import { assertClose, host, read } from "../solve/arrays.ts";
import { MACHINES, someOf, testOn } from "../solve/machines.ts";
import { LAYER_CASES, someInputs, someParams, treeOf } from "./cases.ts";

/** Rows `from` to `to` of `(B, T, n)`. */
function cut({ data, shape }: HostTensor, from: number, to: number): HostTensor {
  const [batch, time, width] = shape as [number, number, number];
  const parts = Array.from(
    { length: batch },
    (_, b) => Array.from(data.slice((b * time + from) * width, (b * time + to) * width)),
  );
  return host(parts.flat(), [batch, to - from, width]);
}

const deepStack = (reverse: boolean): SequenceLayer =>
  stack([
    qrnn({ input: 3, hidden: 4, window: 3, reverse }),
    gilrLstm({ input: 4, hidden: 2, reverse }),
    qrnn({ input: 2, hidden: 2, window: 2, reverse }),
    sru({ input: 2, hidden: 5, reverse }),
  ]);

const CASES: readonly { name: string; make: (options: { reverse: boolean }) => LinearLayer | SequenceLayer }[] = [
  ...LAYER_CASES,
  { name: "a stack", make: ({ reverse }) => deepStack(reverse) },
];

for (const [k, { name, make }] of CASES.entries()) {
  testOn(MACHINES, `pieces: ${name}, cut anywhere, gives what the whole gives`, async (device, machine) => {
    for (const reverse of someOf(machine, [false, true], 2, k)) {
      const layer = make({ reverse });
      const params = treeOf(someParams(layer));
      const time = 31;
      const { xs, h0 } = someInputs(layer, 2, time);
      const whole = layer.run(params, xs, { device, h0 });
      const [ys, hT, carry] = await Promise.all([whole.ys, whole.hT, whole.carry].map((t) => t && read(t)));
      // Pieces shorter than the window, and of no step at all.
      const cuts = [0, 1, 3, 3, 14, 15, 17, 31];
      const pieces = cuts.slice(1).map((to, i): [number, number] => [cuts[i]!, to]);
      if (reverse) pieces.reverse();
      let state: { h0: Tensor | HostTensor; carry?: Tensor | undefined } = { h0 };
      for (const [from, to] of pieces) {
        const run = layer.run(params, cut(xs, from, to), { device, ...state });
        const wanted = cut({ data: ys!, shape: [2, time, layer.hidden] }, from, to).data;
        // The same sums, of products in the same order; a scan may bracket them otherwise.
        assertClose(await read(run.ys), wanted, 16 * machine.epsilon, `${name}, rows ${from} to ${to}`);
        state = { h0: run.hT, carry: run.carry };
      }
      assertClose(await read(state.h0 as Tensor), hT!, 16 * machine.epsilon, `${name}: hT`);
      assertEquals(state.carry?.shape, layer.carry === 0 ? undefined : [2, layer.carry]);
      if (state.carry !== undefined) {
        assertClose(await read(state.carry), carry!, 16 * machine.epsilon, `${name}: carry`);
      }
      for (const tensor of [whole.ys, whole.hT, whole.carry]) tensor?.dispose();
    }
  });
}

testOn(MACHINES, "pieces: the carry of a window is the inputs themselves, oldest first", async (device) => {
  for (const reverse of [false, true]) {
    const layer = qrnn({ input: 2, hidden: 1, window: 4, reverse });
    const params = treeOf(someParams(layer));
    const { xs } = someInputs(layer, 2, 9);
    const run = layer.run(params, xs, { device });
    const rows = reverse ? cut(xs, 0, 3) : cut(xs, 6, 9);
    assertEquals(await read(run.carry!), rows.data);
    // Of one step: two zeros from before the start, and that step; reversed, that step and what came after it.
    const first = reverse ? cut(xs, 8, 9) : cut(xs, 0, 1);
    const short = layer.run(params, first, { device });
    const zeros = [0, 0, 0, 0];
    const expected = [0, 1].flatMap((b) => {
      const row = Array.from(first.data.slice(2 * b, 2 * b + 2));
      return reverse ? [...row, ...zeros] : [...zeros, ...row];
    });
    assertEquals(Array.from(await read(short.carry!)), expected);
  }
});

testOn(MACHINES, "pieces: a QRNN of width 2 looks back one input, also over the border of a piece", async (device) => {
  // c[t] = z[t] for shut forget gates, z = tanh(x[t-1]) by its weights.
  const layer = qrnn({ input: 1, hidden: 1, window: 2, pooling: "f" });
  const params = { weight_ih: host([1, 0, 0, 0], [2, 2]), bias: host([0, -200], [2]) };
  const xs = host([0.5, -0.25, 1], [3, 1]);
  const { ys, hT, carry } = layer.run(params, xs, { device });
  const tanh = [0, 0.5, -0.25, 1].map(Math.tanh);
  assertClose(await read(ys), tanh.slice(0, 3), 1e-6, "the first piece");
  const next = layer.run(params, host([7], [1, 1]), { device, h0: hT, carry });
  assertClose(await read(next.ys), tanh.slice(3), 1e-6, "the second piece");
});
