import { defineStep, ops, type Step } from "../../mod.ts";

/**
 * The covariance of a Kalman filter of n states and m measurements, P' = A (P - P Cᵀ (C P Cᵀ + R)⁻¹ C P) Aᵀ + Q, with inputs
 * that disturb A: products, transposes and solutions of matrices.
 */
export function riccati(n: number, m: number): Step {
  return defineStep({
    name: `riccati of ${n}, ${m}`,
    state: n * n,
    input: n * n,
    params: { a: [n, n], c: [m, n], r: [m, m], q: [n, n] },
    step: ({ h, x, p }) => {
      const P = ops.reshape(h, [n, n]);
      const A = ops.add(p.a, ops.mul(0.1, ops.reshape(x, [n, n])));
      const CP = ops.matmul(p.c, P);
      const S = ops.add(ops.matmul(CP, ops.transpose(p.c)), p.r);
      const updated = ops.sub(P, ops.matmul(ops.matmul(P, ops.transpose(p.c)), ops.linearSolve(S, CP)));
      return ops.reshape(ops.add(ops.matmul(ops.matmul(A, updated), ops.transpose(A)), p.q), [n * n]);
    },
  });
}
