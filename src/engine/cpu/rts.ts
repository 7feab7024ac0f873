/** Matrices of n × n in row-major order, and vectors, that a smoother's steps work in. */
export interface SmootherWork {
  readonly size: number;
  /** P[t-1], then P[t] */
  readonly covariance: Float64Array;
  readonly product: Float64Array;
  readonly predicted: Float64Array;
  readonly factor: Float64Array;
}

/** Working memory for units of n states. */
export function createWork(size: number): SmootherWork {
  const square = (): Float64Array => new Float64Array(size * size);
  return { size, covariance: square(), product: square(), predicted: square(), factor: square() };
}

/** L of `shift I + scale A = L Lᵀ`, the reciprocals of its diagonal on the diagonal. */
function factorise(n: number, A: Float64Array, shift: number, scale: number, L: Float64Array): void {
  for (let p = 0; p < n; p++) {
    for (let q = 0; q <= p; q++) {
      let v = scale * A[p * n + q]! + (p === q ? shift : 0);
      for (let k = 0; k < q; k++) v -= L[p * n + k]! * L[q * n + k]!;
      L[p * n + q] = p === q ? 1 / Math.sqrt(v) : v * L[q * n + q]!;
    }
  }
}

/** `(L Lᵀ)⁻¹ b` in place of b, whose elements are `stride` apart. */
function solve(n: number, L: Float64Array, b: Float64Array, first: number, stride: number): void {
  for (let p = 0; p < n; p++) {
    let v = b[first + p * stride]!;
    for (let k = 0; k < p; k++) v -= L[p * n + k]! * b[first + k * stride]!;
    b[first + p * stride] = v * L[p * n + p]!;
  }
  for (let p = n - 1; p >= 0; p--) {
    let v = b[first + p * stride]!;
    for (let k = p + 1; k < n; k++) v -= L[k * n + p]! * b[first + k * stride]!;
    b[first + p * stride] = v * L[p * n + p]!;
  }
}

/**
 * One step of the filter of `TrustRegion`, with what the smoother needs of it: from the covariance of the row before, and G
 * at `g` of `G`, which becomes X = (P⁻)⁻¹ G P[t-1], the transpose of the smoother's gain at t - 1. `undamped` is s = r + G δ; δ at
 * `d` of `damped`. Answers false, and takes G as 0, where P⁻ is not a number.
 */
export function filterStep(
  work: SmootherWork,
  G: Float64Array,
  g: number,
  undamped: Float64Array,
  damped: Float64Array,
  d: number,
  c: number,
  kappa: number,
): boolean {
  const { size: n, covariance: P, product, predicted, factor } = work;
  for (let p = 0; p < n; p++) {
    for (let q = 0; q < n; q++) {
      let v = 0;
      for (let k = 0; k < n; k++) v += G[g + p * n + k]! * P[k * n + q]!;
      product[p * n + q] = v;
    }
  }
  for (let p = 0; p < n; p++) {
    for (let q = 0; q <= p; q++) {
      let v = p === q ? 1 : 0;
      for (let k = 0; k < n; k++) v += product[p * n + k]! * G[g + q * n + k]!;
      predicted[p * n + q] = predicted[q * n + p] = v;
    }
  }
  factorise(n, predicted, 0, 1, factor);
  for (let e = 0; e < n * n; e++) G[g + e] = product[e]!;
  for (let q = 0; q < n; q++) solve(n, factor, G, g + q, n);
  factorise(n, predicted, c, kappa, factor);
  for (let p = 0; p < n; p++) damped[d + p] = undamped[p]!;
  solve(n, factor, damped, d, 1);
  P.set(predicted);
  for (let q = 0; q < n; q++) solve(n, factor, P, q, n);
  let trace = 0;
  for (let p = 0; p < n; p++) {
    trace += P[p * n + p]!;
    damped[d + p] = c * damped[d + p]!;
    for (let q = 0; q <= p; q++) P[p * n + q] = P[q * n + p] = c * 0.5 * (P[p * n + q]! + P[q * n + p]!);
  }
  if (trace < Infinity) return true;
  for (let p = 0; p < n; p++) {
    damped[d + p] = c * undamped[p]!;
    for (let q = 0; q < n; q++) {
      P[p * n + q] = p === q ? c : 0;
      G[g + p * n + q] = 0;
    }
  }
  return false;
}
