/**
 * Reads and writes files of tensors: NumPy's `.npy`, safetensors, the weights of PyTorch's recurrent modules, and time
 * series in the `.ts` format of the UEA and UCR archives.
 *
 * Everything is a pure function from bytes or text to plain objects or back, without a device and without access to disk
 * or network: `Deno.readFile`, `fetch` or a file input of a page bring the bytes.
 *
 * A damaged file is a SyntaxError that says what was expected and what came, a wrong argument a TypeError.
 *
 * @example Weights of a PyTorch model
 * ```ts
 * import { fromTorchGru, readSafetensors, writeSafetensors } from "@cervid/cervid/io";
 *
 * // In Python: safetensors.torch.save_file(model.state_dict(), "model.safetensors"); here the bytes are made in place.
 * const bytes = writeSafetensors({
 *   "rnn.weight_ih_l0": { data: new Float32Array(6), shape: [3, 2] },
 *   "rnn.weight_hh_l0": { data: new Float32Array(3), shape: [3, 1] },
 *   "rnn.bias_ih_l0": { data: new Float32Array([1, 2, 3]), shape: [3] },
 *   "rnn.bias_hh_l0": { data: new Float32Array([4, 5, 6]), shape: [3] },
 * });
 * const params = fromTorchGru(readSafetensors(bytes).tensors);
 * console.log(params.bias, params.bias_n); // [5, 7, 3] and [6]
 * ```
 *
 * @module
 */

export type { HostArray, HostTensor, Shape, Tree } from "../core/types.ts";
export { readNpy, writeNpy } from "./npy.ts";
export { readSafetensors, type Safetensors, writeSafetensors } from "./safetensors.ts";
export type { TorchOptions } from "./state_dict.ts";
export { fromTorchElman, fromTorchGru, fromTorchLstm } from "./torch.ts";
export { readUea, type UeaDataset } from "./uea.ts";
export { padCases, type PaddedCases, type PadOptions } from "./uea_pad.ts";
export { writeUea } from "./uea_writer.ts";
