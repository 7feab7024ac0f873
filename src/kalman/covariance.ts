import { checkHostTensor } from "../core/host.ts";
import type { HostTensor } from "../core/types.ts";

/** How far a covariance may be from symmetric, relative to its largest entry: the rounding of what was computed in f32. */
const ASYMMETRY = 1e-4;

/**
 * Throws a RangeError unless each matrix of `value (..., n, n)` can be a covariance: finite, symmetric, no variance below 0.
 * Arrays on a device are not read: what is wrong there shows in the answer.
 */
export function checkCovariance(context: string, name: string, value: HostTensor): void {
  checkHostTensor(context, name, value);
  const { data, shape } = value;
  const n = shape.at(-1)!;
  for (let start = 0; start < data.length; start += n * n) {
    const place = (i: number, j: number): string => {
      const row = shape.length === 3 ? `${start / (n * n)}, ` : "";
      return `[${row}${i}, ${j}]`;
    };
    const at = (i: number, j: number): number => data[start + i * n + j]!;
    let largest = 0;
    for (let e = 0; e < n * n; e++) {
      const [i, j] = [Math.floor(e / n), e % n];
      if (!Number.isFinite(at(i, j))) {
        throw new RangeError(`${context}: ${name} must be finite, got ${at(i, j)} at ${place(i, j)}`);
      }
      if (i === j && at(i, i) < 0) {
        throw new RangeError(
          `${context}: variances of ${name} must not be negative, got ${at(i, i)} at ${place(i, i)}`,
        );
      }
      largest = Math.max(largest, Math.abs(at(i, j)));
    }
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) {
        if (Math.abs(at(i, j) - at(j, i)) <= ASYMMETRY * largest) continue;
        throw new RangeError(
          `${context}: ${name} must be symmetric, got ${at(i, j)} at ${place(i, j)} and ${at(j, i)} at ${place(j, i)}`,
        );
      }
    }
  }
}
