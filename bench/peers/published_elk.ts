/**
 * How many sweeps others needed on unstable recurrences: the code of ELK's authors (Gonzalez et al. 2024, arXiv 2407.19115), run
 * again in f32 on a CPU. From zeros; `near` until the mean deviation is below 0.1, null where it was not within 800 sweeps (ELK) or
 * 6000 (quasi-ELK), "nan" where the iterates ended as NaN, absent where it was not tried.
 */

/** Sweeps at a variance σ² = 1/λ of the iterate, from the least to the most over some sequences. */
export interface PublishedSweeps {
  readonly variance: number;
  readonly near?: readonly [least: number, most: number] | null | "nan";
}

/** The sweeps of one recurrence. */
export interface Published {
  readonly deer: readonly [least: number, most: number];
  readonly quasiDeer: readonly [least: number, most: number];
  readonly elk: readonly PublishedSweeps[];
  readonly quasiElk: readonly PublishedSweeps[];
}

/** A trained autoregressive GRU, T = 9999. */
export const AR_GRU_SWEEPS: Published = {
  deer: [4440, 4500],
  quasiDeer: [8030, 8070],
  elk: [
    { variance: 1e4, near: null },
    { variance: 1e5, near: [489, 489] },
    { variance: 1e6, near: [141, 153] },
    { variance: 1e7, near: [50, 50] },
    { variance: 3e7, near: [38, 38] },
    { variance: 1e8, near: "nan" },
  ],
  quasiElk: [
    { variance: 1, near: null },
    { variance: 10, near: [3220, 3220] },
    { variance: 100, near: [1270, 1360] },
    { variance: 300 },
    { variance: 1e3, near: "nan" },
    { variance: 1e4, near: "nan" },
  ],
};

/** Lorenz 96 of five places, T = 1000. */
export const LORENZ_SWEEPS: Published = {
  deer: [900, 941],
  quasiDeer: [925, 953],
  elk: [
    { variance: 100, near: [188, 204] },
    { variance: 300, near: [136, 187] },
    { variance: 1e3, near: "nan" },
  ],
  quasiElk: [{ variance: 10, near: [438, 477] }, { variance: 30, near: "nan" }],
};

/**
 * Five trained GRU layers on whale calls, T = 4000, to an update of 1e-4: DEER on four calls (on the last layer from zeros with
 * values clamped: without, 9 of 16 calls are NaN), quasi-DEER likewise.
 */
export const WHALE_SWEEPS: readonly { readonly deer: readonly number[]; readonly quasiDeer: readonly number[] }[] = [
  { deer: [3, 3, 3, 3], quasiDeer: [7, 7, 7, 7] },
  { deer: [4, 4, 4, 4], quasiDeer: [9, 9, 9, 9] },
  { deer: [5, 5, 5, 5], quasiDeer: [9, 9, 9, 9] },
  { deer: [5, 5, 5, 5], quasiDeer: [15, 15, 14, 14] },
  { deer: [6, 18, 10, 20], quasiDeer: [28, 80, 109, 121] },
];
