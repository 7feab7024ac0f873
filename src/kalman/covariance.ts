import { checkHostTensor } from "../core/host.ts";
import type { HostTensor } from "../core/types.ts";

/**
 * How far a covariance may be from symmetric, relative to its largest entry, and from positive, relative to its variances:
 * the rounding of what was computed in f32.
 */
const SLACK = 1e-4;

/** The first pivot of Cholesky's factorisation that is not positive: its row, and its value. */
interface BadPivot {
  readonly row: number;
  readonly pivot: number;
}

/**
 * The bad pivot of a matrix `[n, n]` whose diagonal is raised by what rounding may have taken, null where there is none. All
 * covariances have none then, singular ones too: `SLACK²` of the largest entry is for variances of 0.
 */
function findBadPivot(at: (i: number, j: number) => number, n: number, largest: number): BadPivot | null {
  if (largest === 0) return null;
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = (at(i, j) + at(j, i)) / 2;
      for (let k = 0; k < j; k++) rest -= l[i * n + k]! * l[j * n + k]!;
      if (i > j) l[i * n + j] = rest / l[j * n + j]!;
      else {
        const raised = rest + SLACK * at(i, i) + SLACK * SLACK * largest;
        if (!(raised > 0)) return { row: i, pivot: rest };
        l[i * n + i] = Math.sqrt(raised);
      }
    }
  }
  return null;
}

/**
 * Throws a RangeError unless each matrix of `value (..., n, n)` can be a covariance: finite, symmetric, and positive
 * semidefinite but for rounding. Rows of `(T, n, n)` that are not used may hold anything. Arrays on a device are not read:
 * what is wrong there shows in the answer.
 */
export function checkCovariance(
  context: string,
  name: string,
  value: HostTensor,
  uses: (row: number) => boolean = () => true,
): void {
  checkHostTensor(context, name, value);
  const { data, shape } = value;
  const n = shape.at(-1)!;
  for (let start = 0; start < data.length; start += n * n) {
    const row = start / (n * n);
    if (shape.length === 3 && !uses(row)) continue;
    const place = (...indices: number[]): string =>
      `[${(shape.length === 3 ? [row, ...indices] : indices).join(", ")}]`;
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
        if (Math.abs(at(i, j) - at(j, i)) <= SLACK * largest) continue;
        throw new RangeError(
          `${context}: ${name} must be symmetric, got ${at(i, j)} at ${place(i, j)} and ${at(j, i)} at ${place(j, i)}`,
        );
      }
    }
    const bad = findBadPivot(at, n, largest);
    if (bad === null) continue;
    throw new RangeError(
      `${context}: ${name} must be positive semidefinite, got the pivot ${Number(bad.pivot.toPrecision(3))} at ${
        place(bad.row, bad.row)
      }; write it as a product with its own transpose`,
    );
  }
}
