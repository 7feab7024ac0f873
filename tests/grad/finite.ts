import { defineMap, type HostTensor, map, ops, sum, type Tensor } from "../../mod.ts";

/**
 * `∂loss/∂arrays` by central differences of fourth order, in double precision: exact to about 1e-15 / step of the loss where
 * it is smooth on the scale of `step`.
 */
export function finiteDifferences(
  arrays: Readonly<Record<string, HostTensor>>,
  loss: (arrays: Readonly<Record<string, HostTensor>>) => number,
  step = 1e-3,
): Record<string, Float64Array> {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, { data, shape }]) => {
      const moved = Float64Array.from(data);
      const at = (i: number, offset: number): number => {
        moved[i] = data[i]! + offset * step;
        const value = loss({ ...arrays, [name]: { data: moved, shape } });
        moved[i] = data[i]!;
        return value;
      };
      const slope = (_: unknown, i: number): number =>
        (8 * (at(i, 1) - at(i, -1)) - (at(i, 2) - at(i, -2))) / (12 * step);
      return [name, Float64Array.from(data, slope)];
    }),
  );
}

/** `Σ weights ∘ y`, differentiable; `row` are the axes of one row. */
export function weighted(y: Tensor, weights: Tensor, row: readonly number[]): Tensor {
  const weigh = defineMap({
    name: "weigh",
    inputs: { y: row, weights: row },
    params: {},
    map: ({ y, weights }) => ops.mul(y, weights),
  });
  return sum(map(weigh, { inputs: { y, weights } }));
}
