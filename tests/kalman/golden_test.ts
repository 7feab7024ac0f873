// Goldens: statsmodels' filter and smoother, and the filter and smoother of the authors of ELK with dynamics that change.

import { type HostTensor, kalmanFilter, type LinearGaussianModel } from "../../mod.ts";
import { assertClose, goldenArray, goldenTensors, host, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { assertCovariances, assertPosterior, type Numbers, smooth } from "./posteriors.ts";

const f64 = ({ data }: HostTensor): Float64Array => Float64Array.from(data);

testOn(MACHINES, "golden: the filter and smoother of statsmodels", async (device, machine) => {
  const golden = goldenTensors("statsmodels_kalman");
  const model: LinearGaussianModel = {
    initialMean: golden["mean0"]!,
    initialCovariance: golden["cov0"]!,
    dynamics: golden["A"]!,
    dynamicsCovariance: golden["Q"]!,
    emission: golden["C"]!,
    emissionCovariance: golden["R"]!,
  };
  const expected: Numbers = {
    logLik: f64(golden["log_likelihood"]!),
    filteredMeans: f64(golden["filtered_mean"]!),
    filteredCovariances: f64(golden["filtered_cov"]!),
    smoothedMeans: f64(golden["smoothed_mean"]!),
    smoothedCovariances: f64(golden["smoothed_cov"]!),
  };
  for (const parallel of [true, false]) {
    const actual = await smooth(device, model, golden["ys"]!, parallel);
    // statsmodels takes a covariance for settled at 1e-19 in its square: 1e-9 is a little above what is left.
    assertPosterior(actual, expected, Math.max(1e-9, 16 * machine.epsilon), `parallel ${parallel}`);
    for (const name of ["filteredCovariances", "smoothedCovariances"] as const) {
      assertCovariances(actual[name], 5, machine, `${name}, parallel ${parallel}`);
    }
  }
});

/** x[0] ~ N(m0, I), Q = I, H = I, R = 4 I; row t of their F leads away from t. */
function elkModel(): LinearGaussianModel {
  const [time, n] = [50, 3];
  const later = (name: string, size: number): Float64Array => {
    const data = new Float64Array(time * size).fill(NaN);
    data.set(f64(goldenArray(`elk_kalman/${name}`)), size);
    return data;
  };
  const diagonal = (scale: number): HostTensor =>
    host(Array.from({ length: n * n }, (_, e) => e % (n + 1) === 0 ? scale : 0), [n, n]);
  return {
    initialMean: goldenArray("elk_kalman/m0"),
    initialCovariance: diagonal(1),
    // Row 0 is never used, whatever it is.
    dynamics: host(later("F", n * n), [time, n, n]),
    dynamicsBias: host(later("b", n), [time, n]),
    dynamicsCovariance: diagonal(1),
    emission: diagonal(1),
    emissionCovariance: diagonal(4),
  };
}

testOn(MACHINES, "golden: the filter and smoother of ELK, whose dynamics change", async (device, { epsilon }) => {
  const ys = goldenArray("elk_kalman/y");
  for (const parallel of [true, false]) {
    const actual = await smooth(device, elkModel(), ys, parallel);
    const pairs = [
      ["filteredMeans", "filt_mean"],
      ["filteredCovariances", "filt_cov"],
      ["smoothedMeans", "smooth_mean"],
      ["smoothedCovariances", "smooth_cov"],
      // The normal equations of the damped least squares problem that the smoother solves.
      ["smoothedMeans", "lm_solution"],
    ] as const;
    for (const [name, file] of pairs) {
      const expected = f64(goldenArray(`elk_kalman/${file}`));
      const size = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
      assertClose(actual[name], expected, Math.max(1e-12, 8 * epsilon) * size, `${file}, parallel ${parallel}`);
    }
  }
});

testOn(PRECISE, "golden: what the filter finds does not depend on whether it is smoothed", async (device) => {
  const ys = goldenArray("elk_kalman/y");
  for (const parallel of [true, false]) {
    const both = await smooth(device, elkModel(), ys, parallel);
    using alone = await kalmanFilter(elkModel(), ys, { device, parallel });
    assertClose(await read(alone.filteredMeans), both.filteredMeans, 0, "means");
    assertClose(await read(alone.filteredCovariances), both.filteredCovariances, 0, "covariances");
    assertClose(await read(alone.marginalLogLik), both.logLik, 0, "log-likelihood");
  }
});
