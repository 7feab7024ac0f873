/** Linear recurrences as one would write them by hand: plain loops over typed arrays, from zeros. */
type Floats = Float32Array | Float64Array;
type Loop = (a: Floats, b: Floats, y: Floats, time: number, state: number, block: number) => void;

const SOURCES = {
  scalar: `
    for (let i = 0; i < state; i++) y[i] = b[i];
    for (let t = 1; t < time; t++) {
      const factor = a[t];
      for (let i = t * state; i < (t + 1) * state; i++) y[i] = factor * y[i - state] + b[i];
    }`,
  diagonal: `
    for (let i = 0; i < state; i++) y[i] = b[i];
    for (let i = state; i < time * state; i++) y[i] = a[i] * y[i - state] + b[i];`,
  block: `
    for (let i = 0; i < state; i++) y[i] = b[i];
    for (let t = 1; t < time; t++) {
      for (let u = t * state; u < (t + 1) * state; u += block) {
        for (let i = u; i < u + block; i++) {
          let sum = b[i];
          for (let j = 0; j < block; j++) sum += a[i * block + j] * y[u - state + j];
          y[i] = sum;
        }
      }
    }`,
  dense: `
    for (let i = 0; i < state; i++) y[i] = b[i];
    for (let t = 1; t < time; t++) {
      for (let i = 0; i < state; i++) {
        let sum = b[t * state + i];
        for (let j = 0; j < state; j++) sum += a[(t * state + i) * state + j] * y[(t - 1) * state + j];
        y[t * state + i] = sum;
      }
    }`,
} as const;

let made = 0;

/** Each call makes a function that has seen no arrays yet: V8 takes equal texts for one function, and learns of both. */
export const HAND_LOOPS: Readonly<Record<keyof typeof SOURCES, () => Loop>> = {
  scalar: () => make("scalar"),
  diagonal: () => make("diagonal"),
  block: () => make("block"),
  dense: () => make("dense"),
};

function make(form: keyof typeof SOURCES): Loop {
  return new Function("a", "b", "y", "time", "state", "block", `"use strict";${SOURCES[form]} // ${made++}`) as Loop;
}
