import type { Device } from "../device.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { assemble, type Part } from "./assemble.ts";
import { type Axes, columnsOf, findAxes, placeCarried, rowsOf } from "./carried.ts";
import type { LayerOptions, LayerRun } from "./layer_options.ts";
import type { SequenceLayer } from "./linear_layer.ts";

/** What the layers inside another one start from and end with: columns, side by side, of what that is given and returns. */
export class InnerStates {
  readonly #layers: readonly SequenceLayer[];
  readonly #axes: Axes;
  readonly #device: Device;
  readonly #temporary: Tensor[];
  readonly #h0: Tensor | undefined;
  readonly #carry: Tensor | undefined;
  readonly #ends: { readonly hT: Tensor[]; readonly carry: Tensor[] } = { hT: [], carry: [] };

  constructor(
    context: string,
    layers: readonly SequenceLayer[],
    xs: TensorLike,
    { h0, carry }: LayerOptions,
    device: Device,
    temporary: Tensor[],
  ) {
    [this.#layers, this.#device, this.#temporary] = [layers, device, temporary];
    const [state, carried] = [widthOf(layers, "state"), widthOf(layers, "carry")];
    // Where nothing is carried, xs may be whatever the layers take.
    this.#axes = state + carried > 0
      ? findAxes(context, xs, layers[0]!.input)
      : { batch: xs.shape[0] ?? 1, time: 0, batched: xs.shape.length === 3 };
    const start = (what: string, value: TensorLike | undefined, width: number): Tensor | undefined =>
      value && placeCarried(context, what, value, width, this.#axes, device, temporary);
    this.#h0 = start("h0", h0, state);
    this.#carry = start("carry", carry, carried);
  }

  /** What layer `k` starts from. */
  startOf(k: number): Pick<LayerOptions, "h0" | "carry"> {
    const columns = (from: Tensor | undefined, what: "state" | "carry"): Tensor | undefined => {
      const width = this.#layers[k]![what];
      if (from === undefined || width === 0) return undefined;
      return columnsOf(from, widthOf(this.#layers.slice(0, k), what), width, this.#axes, this.#temporary);
    };
    return { h0: columns(this.#h0, "state"), carry: columns(this.#carry, "carry") };
  }

  /** Takes what the layers ended with, one after the other. */
  add({ hT, carry }: LayerRun): void {
    this.#ends.hT.push(hT);
    if (carry !== undefined) this.#ends.carry.push(carry);
  }

  /** The same side by side; frees the parts. */
  join(): { readonly hT: Tensor; readonly carry?: Tensor } {
    const hT = this.#sideBySide(this.#ends.hT, "states after the last step");
    try {
      const { carry } = this.#ends;
      return carry.length === 0 ? { hT } : { hT, carry: this.#sideBySide(carry, "the last inputs") };
    } catch (error) {
      hT.dispose();
      throw error;
    } finally {
      this.free();
    }
  }

  /** Frees what was taken. */
  free(): void {
    for (const tensor of [...this.#ends.hT.splice(0), ...this.#ends.carry.splice(0)]) tensor.dispose();
  }

  #sideBySide(tensors: readonly Tensor[], label: string): Tensor {
    const parts: Part[] = [];
    const toStride = tensors.reduce((total, { shape }) => total + shape.at(-1)!, 0);
    let toStart = 0;
    for (const from of tensors) {
      const width = from.shape.at(-1)!;
      const rows = { fromStart: 0, fromStride: width, toStart, toStride, width, rows: this.#axes.batch };
      if (width > 0) parts.push({ from, rows });
      toStart += width;
    }
    return assemble(this.#device, rowsOf(this.#axes, toStride), parts, label);
  }
}

function widthOf(layers: readonly SequenceLayer[], what: "state" | "carry"): number {
  return layers.reduce((total, layer) => total + layer[what], 0);
}
