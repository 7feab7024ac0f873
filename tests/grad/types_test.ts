import { assertEquals } from "@std/assert";
import {
  adam,
  applyGradients,
  applyUpdates,
  checkGrads,
  type Checkpoint,
  type Device,
  disposeTree,
  loadCheckpoint,
  openDevice,
  saveCheckpoint,
  squaredError,
  type Tensor,
  tensor,
  train,
  type TrainSettings,
  type TrainStep,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { host, read } from "../solve/arrays.ts";

// What types parameters may have. Most of it is checked by the compiler alone: an error that is not there is one.

/** No index signature: no Tree. */
interface Inner {
  readonly b: Tensor;
}
interface Params {
  w: Tensor;
  readonly inner: Inner;
}
type Same = { readonly w: Tensor; readonly inner: { readonly b: Tensor } };

const paramsOn = (device: Device): Params => ({
  w: tensor(device, host([1, 2], [2])),
  inner: { b: tensor(device, host([3, 4], [2])) },
});
const lossOf = ({ w, inner }: Same): Tensor => squaredError(w, inner.b);

Deno.test("parameters may be an interface: gradients, updates, training and checkpoints know its fields", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  let params = paramsOn(device);
  const plain = await valueAndGrad((p: Params) => lossOf(p))(params);
  // Of mean((w - b)²): w - b.
  assertEquals(Array.from(await read(plain.grads.w)), [-2, -2]);
  assertEquals(Array.from(await read(plain.grads.inner.b)), [2, 2]);
  const { aux, grads } = await valueAndGrad((p: Params, n: number) => ({ value: lossOf(p), aux: { n } }))(params, 3);
  assertEquals(aux.n, 3);
  const { passed } = await checkGrads((p: Params) => lossOf(p), params);
  assertEquals(passed, true);
  const moved: Params = applyUpdates(params, grads);
  assertEquals(Array.from(await read(moved.inner.b)), [5, 6]);
  const optimizer = adam(0.1);
  let state = optimizer.init({ ...params, inner: { ...params.inner } });
  ({ params, state } = applyGradients(optimizer, { params, grads: plain.grads, state }));
  assertEquals(state.count, 1);
  const settings: TrainSettings<Params, number> = {
    params,
    optimizer,
    steps: 2,
    batches: ({ step }) => step,
    loss: (p, _batch, { onSolve }) => {
      assertEquals(typeof onSolve, "function");
      return lossOf(p);
    },
    evaluate: (p) => ({ size: p.inner.b.shape.length }),
  };
  let last: TrainStep<Params> | undefined;
  for await (const step of train(settings)) last = step;
  const found: Checkpoint<Params> = loadCheckpoint<Params>(device, await saveCheckpoint(last!));
  assertEquals(await read(found.params.inner.b), await read(last!.params.inner.b));
  disposeTree(params, moved, found.params, found.state);
});

Deno.test("parameters that are no trees of tensors do not compile, those that are infer what they are", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const { w, inner } = paramsOn(device);
  const tree: Tree<Tensor> = { b: inner.b };
  const inferred = train({
    params: { deep: tree, w },
    optimizer: adam(0.1),
    steps: 1,
    batches: () => ({ target: w }),
    loss: ({ deep, w }, { target }) => squaredError(deep["b"] as Tensor, squaredError(w, target)),
  });
  await inferred.return();
  const generic = <P extends Tree<Tensor>>(fn: (params: P) => Tensor, params: P) => valueAndGrad(fn)(params);
  const { grads } = await generic(({ w }: { w: Tensor }) => squaredError(w, w), { w });
  assertEquals(grads.w.shape, [2]);
  interface Counted {
    w: Tensor;
    n: number;
  }
  const never = (): void => {
    const counted: Counted = { w, n: 3 };
    // @ts-expect-error a number
    void valueAndGrad((p: Counted) => p.w)(counted);
    // @ts-expect-error a list
    void valueAndGrad((p: { w: Tensor[] }) => p.w[0]!)({ w: [w] });
    // @ts-expect-error a function
    void valueAndGrad((p: { w: Tensor; f: () => number }) => p.w)({ w, f: () => 1 });
    // @ts-expect-error one tensor
    void valueAndGrad((p: Tensor) => p);
    // @ts-expect-error an array in host memory
    void valueAndGrad((p: typeof onHost) => squaredError(w, p.w))(onHost);
    // @ts-expect-error a number among the parameters
    train({ params: { w, n: 3 }, optimizer: adam(1), steps: 1, batches: () => 0, loss: ({ w }) => w });
    // @ts-expect-error a gradient is missing
    applyUpdates({ w, b: w }, { w: 3 });
  };
  const onHost = { w: host([1], [1]) };
  assertEquals(typeof never, "function");
});
