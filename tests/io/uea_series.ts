import type { HostTensor } from "../../src/io/mod.ts";

/** A series from its channels. */
export function series(...channels: number[][]): HostTensor {
  const time = Math.max(0, ...channels.map(({ length }) => length));
  const data = Float64Array.from({ length: time * channels.length }, (_, i) => {
    const channel = channels[i % channels.length]!;
    return channel[Math.floor(i / channels.length)] ?? NaN;
  });
  return { data, shape: [time, channels.length] };
}
