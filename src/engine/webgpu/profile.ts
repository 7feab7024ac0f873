import { MOST_RECORDED } from "./recorder.ts";
import { USAGE } from "./usage.ts";

/** Two timestamps a dispatch; a query set holds at most 4096. */
const CAPACITY = 2048;
const BYTES_PER_DISPATCH = 16;

interface Times {
  readonly names: readonly string[];
  readonly buffer: GPUBuffer;
}

/** Begin and end of every dispatch, by timestamp queries. */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #names: string[] = [];
  #times: Times[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ label: "times", type: "timestamp", count: 2 * CAPACITY });
    this.#resolved = device.createBuffer({
      label: "times",
      size: CAPACITY * BYTES_PER_DISPATCH,
      usage: USAGE.QUERY_RESOLVE | USAGE.COPY_SRC,
    });
  }

  /** Where the next pass writes its times. */
  next(name: string): GPUComputePassTimestampWrites {
    const index = 2 * this.#names.length;
    this.#names.push(name);
    return { querySet: this.#queries, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 };
  }

  /** Puts the times aside while there is still room for all that may be recorded until the next submission. */
  beforeSubmit(encoder: GPUCommandEncoder): void {
    if (this.#names.length + MOST_RECORDED > CAPACITY) this.resolve(encoder);
  }

  resolve(encoder: GPUCommandEncoder): void {
    const names = this.#names;
    if (names.length === 0) return;
    const size = names.length * BYTES_PER_DISPATCH;
    const buffer = this.#device.createBuffer({ label: "times", size, usage: USAGE.COPY_SRC | USAGE.COPY_DST });
    encoder.resolveQuerySet(this.#queries, 0, 2 * names.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, buffer, 0, size);
    this.#times.push({ names, buffer });
    this.#names = [];
  }

  /** Milliseconds by name, of all that was resolved since it was last asked. */
  async take(
    read: (buffer: GPUBuffer, offset: number, bytes: number) => Promise<ArrayBuffer>,
  ): Promise<Record<string, number>> {
    const taken = this.#times;
    this.#times = [];
    const stamps = await Promise.all(
      taken.map(async ({ buffer }) => new BigUint64Array(await read(buffer, 0, buffer.size))),
    );
    const totals: Record<string, number> = {};
    taken.forEach(({ names, buffer }, i) => {
      names.forEach((name, k) => {
        const ns = Number(stamps[i]![2 * k + 1]! - stamps[i]![2 * k]!);
        // Clocks of some drivers step back.
        totals[name] = (totals[name] ?? 0) + Math.max(0, ns) / 1e6;
      });
      buffer.destroy();
    });
    return totals;
  }

  dispose(): void {
    for (const { buffer } of this.#times) buffer.destroy();
    this.#queries.destroy();
    this.#resolved.destroy();
  }
}
