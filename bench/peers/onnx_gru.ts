/**
 * ONNX Runtime's GRU on one thread, as a peer of the benchmarks.
 *
 * The model (one GRU operator, opset 14) is encoded here by hand, so that a benchmark needs neither Python nor a model
 * file. ONNX is a protobuf format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto numbers the fields.
 */
import { checkGruArguments, type GruWeights } from "./naive_gru.ts";

/** A GRU that ONNX Runtime runs. */
export interface OnnxGru {
  /** The states `(time, hidden)` over `xs`, `(time, input)`, from the zero state. */
  run(xs: Float32Array, time: number): Promise<Float32Array>;
  /** The version of ONNX Runtime. */
  version: string;
}

// A protobuf field is a key (number << 3 | wire type) and a varint (type 0) or a length and that many bytes (type 2).
type Bytes = Uint8Array<ArrayBuffer>;

function concat(parts: Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function varint(value: number): Bytes {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Uint8Array.from([...bytes, value]);
}

function int(field: number, value: number): Bytes {
  return concat([varint(field * 8), varint(value)]);
}

function bytes(field: number, ...content: Uint8Array[]): Bytes {
  const body = concat(content);
  return concat([varint(field * 8 + 2), varint(body.length), body]);
}

function text(field: number, value: string): Bytes {
  return bytes(field, new TextEncoder().encode(value));
}

const FLOAT = 1; // TensorProto.DataType
const INT_ATTRIBUTE = 2; // AttributeProto.AttributeType

/** TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9 (little-endian, like every machine Deno runs on). */
function tensor(name: string, dims: number[], data: Float32Array): Bytes {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return concat([...dims.map((dim) => int(1, dim)), int(2, FLOAT), text(8, name), bytes(9, raw)]);
}

/** ValueInfoProto of a float tensor; a dimension is a size or a name for one that is known when the model runs. */
function valueInfo(name: string, dims: (number | string)[]): Bytes {
  const shape = dims.map((dim) => bytes(1, typeof dim === "number" ? int(1, dim) : text(2, dim)));
  return concat([text(1, name), bytes(2, bytes(1, int(1, FLOAT), bytes(2, ...shape)))]);
}

/** AttributeProto with a whole number: name = 1, i = 3, type = 20. */
function attribute(name: string, value: number): Bytes {
  return concat([text(1, name), int(3, value), int(20, INT_ATTRIBUTE)]);
}

/** PyTorch orders the gate rows reset, update, new; ONNX update, reset, hidden: the first two blocks change places. */
function toOnnxOrder(rows: Float32Array): Float32Array {
  const block = rows.length / 3;
  const ordered = rows.slice();
  ordered.copyWithin(block, 0, block);
  ordered.set(rows.subarray(block, 2 * block), 0);
  return ordered;
}

/** ModelProto: X `(time, 1, input)` to Y `(time, 1, 1, hidden)`, batch 1. */
function encodeModel(weights: GruWeights): Bytes {
  const { input, hidden } = weights;
  const biases = new Float32Array(6 * hidden);
  biases.set(toOnnxOrder(weights.bias_ih), 0);
  biases.set(toOnnxOrder(weights.bias_hh), 3 * hidden);
  const node = concat([
    ...["X", "W", "R", "B"].map((name) => text(1, name)),
    text(2, "Y"),
    text(4, "GRU"),
    bytes(5, attribute("hidden_size", hidden)),
    // The reset gate multiplies W_hn h + b_hn, as in PyTorch, and not h itself.
    bytes(5, attribute("linear_before_reset", 1)),
  ]);
  const graph = concat([
    bytes(1, node),
    text(2, "gru"),
    bytes(5, tensor("W", [1, 3 * hidden, input], toOnnxOrder(weights.weight_ih))),
    bytes(5, tensor("R", [1, 3 * hidden, hidden], toOnnxOrder(weights.weight_hh))),
    bytes(5, tensor("B", [1, 6 * hidden], biases)),
    bytes(11, valueInfo("X", ["time", 1, input])),
    bytes(12, valueInfo("Y", ["time", 1, 1, hidden])),
  ]);
  const irVersion = 7; // the format's version that came with opset 12 to 14
  const opset = int(2, 14); // of the default domain, whose name is left out
  return concat([int(1, irVersion), bytes(7, graph), bytes(8, opset)]);
}

/**
 * Makes an ONNX Runtime session of one GRU layer that runs on one thread.
 *
 * Throws a `TypeError` where an array has the wrong size, and an `Error` where onnxruntime-node cannot be installed or
 * loaded here (a benchmark then leaves this peer out).
 */
export async function createOnnxGru(weights: GruWeights): Promise<OnnxGru> {
  checkGruArguments(weights);
  const { input, hidden } = weights;
  const ort = await import("npm:onnxruntime-node@1.30.0").catch((cause: unknown) => {
    throw new Error("Cannot load onnxruntime-node: this peer needs its native library for this platform", { cause });
  });
  const session = await ort.InferenceSession.create(encodeModel(weights), {
    executionProviders: ["cpu"],
    executionMode: "sequential",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  return {
    version: ort.env.versions.node ?? ort.env.versions.common,
    async run(xs: Float32Array, time: number): Promise<Float32Array> {
      checkGruArguments(weights, xs, time);
      const { Y } = await session.run({ X: new ort.Tensor("float32", xs, [time, 1, input]) });
      const states = Y?.data;
      if (!(states instanceof Float32Array) || states.length !== time * hidden) {
        throw new Error(`Cannot read ONNX Runtime's answer: expected ${time * hidden} floats`);
      }
      return states;
    },
  };
}
