import type { SequenceLayer } from "./linear_layer.ts";

/**
 * Which steps an output of a layer depends on: its own and earlier ones, its own and later ones, all of them, or its own alone.
 * A layer of direction `none` takes rows of any kind; others need an axis of time.
 */
export type LayerDirection = "forward" | "backward" | "both" | "none";

/** That of layers one after the other, or side by side. */
export function joinDirections(layers: readonly SequenceLayer[]): LayerDirection {
  const own = new Set(layers.map(({ direction }) => direction));
  own.delete("none");
  const [first = "none"] = own;
  return own.size > 1 ? "both" : first;
}

const OPPOSITES: Readonly<Record<LayerDirection, LayerDirection>> = {
  forward: "backward",
  backward: "forward",
  both: "both",
  none: "none",
};

/** That of a layer in reversed time. */
export function oppositeOf(direction: LayerDirection): LayerDirection {
  return OPPOSITES[direction];
}

/** Throws a TypeError for a layer that makes one row of all steps. */
export function checkKeepsSteps(context: string, { name, pools }: SequenceLayer): void {
  if (!pools) return;
  throw new TypeError(`${context}: the layer must keep the steps, got "${name}", which makes one row of them`);
}
