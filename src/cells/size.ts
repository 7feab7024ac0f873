import { checkCount } from "../core/shape.ts";

/** Sizes of a cell. */
export interface CellSize {
  /** I: inputs per step. */
  input: number;
  /** H: hidden units. */
  hidden: number;
}

/** Throws unless both sizes are whole numbers of at least 1. */
export function checkCellSize(cell: string, size: CellSize): void {
  if (typeof size !== "object" || size === null) {
    throw new TypeError(`Cannot make ${cell}(): expected { input, hidden }, got ${String(size)}`);
  }
  checkCount(`Cannot make ${cell}()`, "input", size.input, 1);
  checkCount(`Cannot make ${cell}()`, "hidden", size.hidden, 1);
}
