/** Element types of a tensor. `f64` exists on the CPU engine only. */
export type DType = "f32" | "f64" | "u32" | "i32";

/** Lengths of the axes, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** The typed arrays that hold tensors in host memory, one per {@linkcode DType}. */
export type HostArray = Float32Array | Float64Array | Uint32Array | Int32Array;

/** An array in host memory: a plain object, row-major. */
export interface HostTensor {
  /** The elements, row-major. */
  readonly data: HostArray;
  /** Lengths of the axes. */
  readonly shape: Shape;
}

/** Nested records with leaves of one kind: parameters, shapes, gradients. */
export interface Tree<Leaf> {
  /** A leaf or a record by its name. */
  readonly [name: string]: Leaf | Tree<Leaf>;
}

/** Shapes of a step's parameters, by name. */
export type ShapeTree = Tree<Shape>;
