import { assertThrows } from "@std/assert";
import { dense, gru, layerNorm, mlp, pool, residual, type SequenceLayer, stack } from "../../mod.ts";
import { host, numbers } from "../solve/arrays.ts";
import { PRECISE, testOn } from "../solve/machines.ts";
import { someParams, treeOf } from "./cases.ts";

testOn(PRECISE, "layers without state: wrong calls say what was expected, what came, and the cure", (device) => {
  const wrong = <T>(value: unknown): T => value as T;
  const layer = dense({ input: 2, output: 3 });
  const p = treeOf(someParams(layer));
  const xs = host(numbers(8), [4, 2]);
  const norm: SequenceLayer = layerNorm({ size: 2 });
  const table: readonly [call: () => unknown, message: string][] = [
    [() => dense({ input: 0, output: 1 }), "Cannot make dense(): input must be a whole number of at least 1, got 0"],
    [
      () => dense({ input: 1, output: 1.5 }),
      "Cannot make dense(): output must be a whole number of at least 1, got 1.5",
    ],
    [() => dense(wrong({ input: 1, hidden: 1 })), "Cannot make dense(): options may have input, output, bias"],
    [() => dense(wrong({ input: 1, output: 1, bias: 0 })), "Cannot make dense(): bias must be true or false, got 0"],
    [
      () => dense(wrong({ input: 1, output: 1, activation: "swish" })),
      'activation must be "identity", "tanh", "elu", "relu", "gelu", "sigmoid" or "softplus", got "swish"',
    ],
    [
      () => dense({ input: 1, output: 1, init: { bias: "he-uniform" } }),
      'Cannot make dense(): init of "bias" must be a number or { uniform: number }, as its shape is (1,) and no matrix',
    ],
    [
      () => dense({ input: 1, output: 1, bias: false, init: { bias: 0 } }),
      'Cannot make dense(): init has a rule for "bias", which is no parameter',
    ],
    [() => mlp({ sizes: [3] }), "Cannot make mlp(): sizes must be those of input and output at least, got 1"],
    [() => mlp(wrong({ sizes: 3 })), "Cannot make mlp(): sizes must be a list of numbers, got 3"],
    [() => mlp({ sizes: [3, 0] }), "Cannot make dense(): output must be a whole number of at least 1, got 0"],
    [() => layerNorm({ size: 0 }), "Cannot make layerNorm(): size must be a whole number of at least 1, got 0"],
    [() => layerNorm({ size: 1, eps: 0 }), "Cannot make layerNorm(): eps must be a number above 0, got 0"],
    [() => layerNorm(wrong({ size: 1, affine: "no" })), 'affine must be true or false, got "no"'],
    [() => pool(wrong({ size: 1, over: "max" })), 'Cannot make pool(): over must be "mean" or "last", got "max"'],
    [() => residual(layer), 'Cannot make residual(): "dense" must have as many outputs as inputs, got 2 to 3'],
    [() => residual(wrong(gru({ input: 1, hidden: 1 }))), "Cannot make residual(): the layer must be made by"],
    [() => layer.apply(p, xs), 'Cannot apply "dense": no argument is a tensor on a device'],
    [() => layer.apply(p, host([1], [1]), { device }), 'Cannot apply "dense": xs must have shape (..., 2), got (1,)'],
    [() => layer.apply(p, host([1], []), { device }), 'Cannot apply "dense": xs must have shape (..., 2), got ()'],
    [() => layer.apply(p, wrong(1), { device }), 'Cannot apply "dense": xs must have shape (..., 2), got 1'],
    [() => layer.apply(p, xs, { device, h0: xs }), 'Cannot apply "dense": h0 must be absent, as it has no state, got'],
    [() => layer.apply(p, xs, { device, carry: xs }), 'Cannot apply "dense": carry must be absent'],
    [() => layer.apply(p, xs, wrong({ device, axis: 1 })), 'Cannot apply "dense": options may have h0, carry, device'],
    [() => layer.apply({ ...p, w: xs }, xs, { device }), 'Cannot apply "dense": params may have weight, bias, got w'],
    [
      () => layer.apply({ weight: p["weight"]! }, xs, { device }),
      'Cannot map "dense": params must be { bias, weight }, but bias missing',
    ],
    [
      () => pool({ size: 2 }).apply(p, xs, { device }),
      'Cannot apply "pool": params must be {}, as it has none, got bias, weight',
    ],
    [() => norm.apply({}, xs, { device }), 'Cannot map "layerNorm": params must be { bias, weight }, but bias, weight'],
    [
      () => pool({ size: 2, over: "last" }).apply({}, xs, { device, lengths: [1] }),
      'Cannot apply "pool": lengths must be absent, as the last step of a padded sequence is none',
    ],
    [
      () => residual(pool({ size: 2 })),
      'Cannot make residual(): the layer must keep the steps, got "pool", which makes one row of them',
    ],
    // A layer by hand, which does not say what it does.
    [
      () => residual({ ...pool({ size: 2 }), pools: false }).apply({}, xs, { device }),
      'Cannot apply "residual pool": the layer must keep the shape, got (2,) from (4, 2)',
    ],
    [
      () => stack([layer, norm]),
      'Cannot stack: layer 1, "layerNorm", must have input 3, as layer 0 has hidden 3, got 2',
    ],
    [() => stack([norm]).apply({}, xs, { device }), "params.layer0 must be a record of arrays, got undefined"],
    [() => stack([layer]).apply({ layer0: p }, xs, { device, h0: xs }), "h0 must be absent, as no step looks at"],
  ];
  for (const [call, message] of table) assertThrows(call, Error, message);
  return Promise.resolve();
});
