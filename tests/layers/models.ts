import {
  dense,
  gru,
  type HostTensor,
  layerNorm,
  type MethodName,
  pool,
  recurrent,
  residual,
  type SequenceLayer,
  stack,
} from "../../mod.ts";
import { goldenTensors } from "../solve/arrays.ts";
import { treeOf } from "./cases.ts";

/** The golden of a model: its arrays by name. */
export const TWO_LAYERS: Readonly<Record<string, HostTensor>> = goldenTensors("models/two_layers");

/** The model of the golden: an encoder, a GRU with a residual, a norm, a GRU, the mean over steps, a head. */
export function twoLayers(method: MethodName): SequenceLayer {
  return stack([
    dense({ input: 3, output: 6, activation: "tanh" }),
    residual(recurrent(gru({ input: 6, hidden: 6 }), { method })),
    layerNorm({ size: 6 }),
    recurrent(gru({ input: 6, hidden: 5 }), { method }),
    pool({ size: 5 }),
    dense({ input: 5, output: 4 }),
  ]);
}

/** Arrays of a golden whose names begin with `prefix`, in a tree. */
export function goldenTree(
  golden: Readonly<Record<string, HostTensor>>,
  prefix: string,
): ReturnType<typeof treeOf<HostTensor>> {
  return treeOf(
    Object.fromEntries(
      Object.entries(golden).filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [
        name.slice(prefix.length),
        value,
      ]),
    ),
  );
}
