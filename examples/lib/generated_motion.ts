/** Generated recordings of motion in six channels: what a classifier of long sequences is shown on. */

import type { HostTensor, UeaDataset } from "@cervid/cervid";
import { createRandom, type Random } from "../../src/core/random.ts";

/** What to generate. */
export interface MotionOptions {
  readonly cases: number;
  /** T */
  readonly time: number;
  readonly seed: number;
}

const CHANNELS = 6;
const NAMES = ["slow-forward", "slow-backward", "quick-forward", "quick-backward"];
/** Radians a step of the undulation, and how far it lags from channel to channel. */
const KINDS = [{ rate: 0.05, lag: 0.8 }, { rate: 0.05, lag: -0.8 }, { rate: 0.1, lag: 0.8 }, { rate: 0.1, lag: -0.8 }];
/** Standard deviation of the noise beside an undulation of amplitude 1: a short piece tells little. */
const NOISE = 1;

/**
 * Sequences of four classes in turn: an undulation runs through the channels as through a body; its phase wanders, its
 * strength swells and ebbs four times in a recording, and noise covers it.
 */
export function generateMotion({ cases, time, seed }: MotionOptions): UeaDataset {
  const labels = Uint32Array.from({ length: cases }, (_, k) => k % KINDS.length);
  return {
    problemName: "GeneratedMotion",
    description: "Undulations through six channels under noise; made by examples/lib/generated_motion.ts",
    dimensions: CHANNELS,
    cases: Array.from(labels, (label, k) => makeCase(label, time, createRandom(seed + k * 2 ** 32))),
    classNames: NAMES,
    labels,
  };
}

function makeCase(label: number, time: number, random: Random): HostTensor {
  const { rate, lag } = KINDS[label]!;
  const data = new Float32Array(time * CHANNELS);
  const start = 2 * Math.PI * random.uniform();
  let phase = 2 * Math.PI * random.uniform();
  for (let t = 0; t < time; t++) {
    phase += rate * (1 + 0.5 * random.normal());
    const strength = 1 + 0.8 * Math.sin(start + 2 * Math.PI * 4 * t / time);
    for (let c = 0; c < CHANNELS; c++) {
      data[t * CHANNELS + c] = strength * Math.sin(phase - lag * c) + NOISE * random.normal();
    }
  }
  return { data, shape: [time, CHANNELS] };
}
