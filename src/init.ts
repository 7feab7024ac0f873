import type { Random } from "./core/random.ts";
import { sizeOf } from "./core/shape.ts";
import type { Shape } from "./core/types.ts";

/** How initial parameters are drawn; see `InitOptions`. */
export type InitScheme = "torch" | "glorot" | "orthogonal";

/** Elements of one parameter of a layer with `units` units, row-major. */
export function initialise(shape: Shape, units: number, scheme: InitScheme, random: Random): Float64Array {
  const data = new Float64Array(sizeOf(shape));
  const uniform = (bound: number): void => {
    for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random.uniform() - 1);
  };
  switch (scheme) {
    case "torch":
      uniform(1 / Math.sqrt(units));
      return data;
    case "glorot":
      // A gate at a time, as if each had a matrix of its own.
      if (shape.length === 2) uniform(Math.sqrt(6 / (gateRows(shape, units) + shape[1]!)));
      return data;
    case "orthogonal":
      if (shape.length === 2) orthogonalGates(data, shape[0]!, shape[1]!, gateRows(shape, units), random);
      return data;
    default:
      throw new RangeError(
        `Cannot initialise: scheme must be "torch", "glorot" or "orthogonal", got "${String(scheme)}"`,
      );
  }
}

/** Rows of one gate of a stacked matrix. */
function gateRows([rows]: Shape, units: number): number {
  return rows! % units === 0 ? units : rows!;
}

/** Each gate's matrix becomes orthonormal in its shorter direction (Saxe et al. 2014, arXiv 1312.6120). */
function orthogonalGates(data: Float64Array, rows: number, columns: number, gate: number, random: Random): void {
  for (let first = 0; first < rows; first += gate) {
    const [count, length] = [Math.min(gate, columns), Math.max(gate, columns)];
    const vectors: Float64Array[] = [];
    while (vectors.length < count) {
      const v = Float64Array.from({ length }, () => random.normal());
      // Twice is enough for full orthogonality in floating point.
      for (let pass = 0; pass < 2; pass++) {
        for (const u of vectors) {
          let dot = 0;
          for (let i = 0; i < length; i++) dot += u[i]! * v[i]!;
          for (let i = 0; i < length; i++) v[i]! -= dot * u[i]!;
        }
      }
      const norm = Math.hypot(...v);
      if (norm > 1e-6) vectors.push(v.map((value) => value / norm));
    }
    for (let i = 0; i < gate; i++) {
      for (let j = 0; j < columns; j++) {
        data[(first + i) * columns + j] = gate <= columns ? vectors[i]![j]! : vectors[j]![i]!;
      }
    }
  }
}
