// Matrices of numbers as lists of rows, with plain loops: what the filters under test are held against.

export type Matrix = readonly (readonly number[])[];
export type Vector = readonly number[];

export const matrix = (rows: number, columns: number, entry: (i: number, j: number) => number): Matrix =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => entry(i, j)));

export const identity = (n: number, scale = 1): Matrix => matrix(n, n, (i, j) => i === j ? scale : 0);

export const transpose = (a: Matrix): Matrix => matrix(a[0]?.length ?? 0, a.length, (i, j) => a[j]![i]!);

export const times = (a: Matrix, b: Matrix): Matrix =>
  matrix(a.length, b[0]?.length ?? 0, (i, j) => b.reduce((sum, row, k) => sum + a[i]![k]! * row[j]!, 0));

export const apply = (a: Matrix, v: Vector): Vector => a.map((row) => row.reduce((sum, x, k) => sum + x * v[k]!, 0));

export const add = (a: Matrix, b: Matrix, k = 1): Matrix => a.map((row, i) => row.map((x, j) => x + k * b[i]![j]!));

export const plus = (a: Vector, b: Vector, k = 1): Vector => a.map((x, i) => x + k * b[i]!);

/** `m a mᵀ` */
export const between = (m: Matrix, a: Matrix): Matrix => times(times(m, a), transpose(m));

/** The lower factor of a symmetric positive definite matrix. */
function cholesky(a: Matrix): number[][] {
  const n = a.length;
  const l = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = a[i]![j]!;
      for (let k = 0; k < j; k++) rest -= l[i]![k]! * l[j]![k]!;
      l[i]![j] = i === j ? Math.sqrt(rest) : rest / l[j]![j]!;
    }
  }
  return l;
}

/** `a⁻¹ b` and `log det a` of a symmetric positive definite matrix. */
export function solvePositive(a: Matrix, b: Matrix): { readonly x: Matrix; readonly logDet: number } {
  const l = cholesky(a);
  const n = a.length;
  const x = b.map((row) => [...row]);
  for (let j = 0; j < (b[0]?.length ?? 0); j++) {
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) x[i]![j]! -= l[i]![k]! * x[k]![j]!;
      x[i]![j]! /= l[i]![i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) x[i]![j]! -= l[k]![i]! * x[k]![j]!;
      x[i]![j]! /= l[i]![i]!;
    }
  }
  return { x, logDet: l.reduce((sum, row, i) => sum + 2 * Math.log(row[i]!), 0) };
}

/** The smallest eigenvalue of a symmetric matrix, by Jacobi's rotations. */
export function smallestEigenvalue(given: Matrix): number {
  const a = given.map((row) => [...row]);
  const n = a.length;
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k]![p]!, a[k]![q]!];
          [a[k]![p], a[k]![q]] = [c * x - s * y, s * x + c * y];
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p]![k]!, a[q]![k]!];
          [a[p]![k], a[q]![k]] = [c * x - s * y, s * x + c * y];
        }
      }
    }
  }
  return Math.min(...a.map((row, i) => row[i]!));
}
