import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  checkGrads,
  gru,
  type HostTensor,
  layerNorm,
  type MethodName,
  mlp,
  pool,
  readSafetensors,
  recurrent,
  residual,
  type SequenceLayer,
  softmaxCrossEntropy,
  stack,
  type Tensor,
  tensor,
  toDevice,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { isTensor } from "../../src/tensor.ts";
import { assertClose, goldenTensors, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { goldenTree, TWO_LAYERS, twoLayers } from "./models.ts";

type Given = { readonly p: Tree<Tensor>; readonly x: Tensor };
const METHODS: readonly MethodName[] = ["auto", "sequential", "jacobi", "picard", "quasi-deer", "block-deer", "deer"];
const labels = TWO_LAYERS["labels"]!;

for (const method of METHODS) {
  testOn(MACHINES, `models: two GRUs by ${method}, loss and all gradients by PyTorch`, async (device, machine) => {
    const model = twoLayers(method);
    // Empty records of layers without parameters may be left out.
    const wrt: Given = {
      p: toDevice(device, goldenTree(TWO_LAYERS, "p.")),
      x: tensor(device, TWO_LAYERS["x"]!),
    };
    using logits = model.apply(wrt.p, wrt.x);
    // What sweeps leave is far below their tolerance; sums of up to 18 terms of numbers of size 1.
    const tolerance = machine.dtype === "f64" ? 1e-12 : 8 * machine.epsilon;
    assertClose(await read(logits), TWO_LAYERS["logits"]!.data, tolerance, "logits");
    const loss = valueAndGrad(({ p, x }: Given & Tree<Tensor>) => softmaxCrossEntropy(model.apply(p, x), labels));
    const { value, grads } = await loss(wrt as Given & Tree<Tensor>);
    assertClose(await read(value), TWO_LAYERS["loss"]!.data, tolerance, "loss");
    const found = flattenTree<Tensor>(grads, isTensor);
    assertEquals(found.length, Object.keys(TWO_LAYERS).filter((name) => name.startsWith("d.")).length);
    for (const [path, gradient] of found) {
      const expected = TWO_LAYERS[`d.${path}`]!;
      assertEquals(gradient.shape, expected.shape);
      assertClose(await read(gradient), expected.data, tolerance, path);
    }
  });
}

testOn(PRECISE, "models: checkGrads confirms the gradients, and would not confirm wrong ones", async (device) => {
  const model = twoLayers("deer");
  const p = toDevice(device, goldenTree(TWO_LAYERS, "p."));
  const x = tensor(device, TWO_LAYERS["x"]!);
  const loss = (params: Tree<Tensor>): Tensor => softmaxCrossEntropy(model.apply(params, x), labels);
  const report = await checkGrads(loss, p);
  assertEquals(report.leaves.length, 14);
  const blind = async (params: Tree<Tensor>): Promise<Tensor> => {
    const { layer1 } = params as { layer1: Tree<Tensor> };
    const copied = tensor(device, { data: await read(layer1["weight_hh"] as Tensor), shape: [18, 6] });
    return loss({ ...params, layer1: { ...layer1, weight_hh: copied } });
  };
  await assertRejects(() => checkGrads(blind, p), RangeError, "layer1.weight_hh");
});

/** The classifier of the DEER repository. */
function eigenworms(): SequenceLayer {
  const norm = (): SequenceLayer => layerNorm({ size: 32, affine: false });
  const blocks = Array.from({ length: 5 }, () => [
    norm(),
    residual(recurrent(gru({ input: 32, hidden: 32 }), { method: "quasi-deer", maxSweeps: 200 })),
    norm(),
    residual(mlp({ sizes: [32, 32, 32] })),
  ]);
  return stack([mlp({ sizes: [6, 32, 32] }), ...blocks.flat(), mlp({ sizes: [32, 32, 5] }), pool({ size: 5 })]);
}

function eigenwormsParams(golden: Readonly<Record<string, HostTensor>>): Tree<HostTensor> {
  const at = (name: string): HostTensor => golden[`p.${name}`]!;
  const pair = (name: string): Tree<HostTensor> => ({
    layer0: { weight: at(`${name}0_w`), bias: at(`${name}0_b`) },
    layer1: { weight: at(`${name}1_w`), bias: at(`${name}1_b`) },
  });
  const blocks = [0, 1, 2, 3, 4].flatMap((k): [string, Tree<HostTensor>][] => [
    [
      `layer${4 * k + 2}`,
      Object.fromEntries(["weight_ih", "weight_hh", "bias", "bias_n"].map((name) => [name, at(`gru${k}_${name}`)])),
    ],
    [`layer${4 * k + 4}`, pair(`mlp${k}_`)],
  ]);
  return { layer0: pair("enc"), ...Object.fromEntries(blocks), layer21: pair("cls") };
}

testOn(MACHINES, "models: a trained classifier of worms gives PyTorch's logits", async (device, { dtype, epsilon }) => {
  const golden = goldenTensors("models/eigenworms");
  const model = eigenworms();
  assertEquals([model.input, model.hidden, model.state], [6, 5, 160]);
  const params = eigenwormsParams(golden);
  const sweeps: number[] = [];
  const pending: Promise<void>[] = [];
  const whole = dtype === "f64";
  // One of the two sequences is enough of work for a software adapter.
  const x = whole ? golden["x"]! : rowOf(golden["x"]!, 0);
  using logits = model.apply(params, x, {
    device,
    onSolve: (verdict, path) => {
      assertEquals(path, `layer${4 * pending.length + 2}`);
      pending.push(verdict().then(({ stats }) => void sweeps.push(stats.sweeps)));
    },
  });
  await Promise.all(pending);
  assertEquals(sweeps.length, 5);
  assert(sweeps.every((count) => count > 1 && count < 100), `sweeps ${sweeps}`);
  const expected = golden["logits"]!.data.slice(0, whole ? 10 : 5);
  // Logits of up to 10, after ten norms, which magnify.
  assertClose(await read(logits), expected, whole ? 1e-10 : 64 * epsilon, "logits");
});

Deno.test("models: the golden of the classifier tells its classes apart", () => {
  const path = new URL("../golden/models/eigenworms.safetensors", import.meta.url);
  const { data, shape } = readSafetensors(Deno.readFileSync(path)).tensors["logits"]!;
  assertEquals(shape, [2, 5]);
  assert(Math.max(...data) - Math.min(...data) > 1, `logits ${data}`);
});
