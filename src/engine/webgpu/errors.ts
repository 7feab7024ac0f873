import { DeviceError } from "../../core/errors.ts";

const FILTERS = ["internal", "out-of-memory", "validation"] as const;

/** Makes an error of ours of what WebGPU reports. */
type Explain = (report: GPUError, kind: GPUErrorFilter) => Error | Promise<Error>;

/** What WebGPU reports late: validation, memory and driver errors, and the loss of the device. */
export class ErrorKeeper {
  readonly #device: GPUDevice;
  readonly #pending = new Set<Promise<void>>();
  #first: { readonly error: Error; readonly order: number } | undefined;
  #watched = 0;
  #wasThrown = false;
  #ended: DeviceError | undefined;

  /** `owned`: nobody else uses the device, so that every error it reports is ours. */
  constructor(device: GPUDevice, owned: boolean) {
    this.#device = device;
    device.lost.then(({ reason, message }) => {
      this.#ended ??= new DeviceError(
        `Cannot use the WebGPU device: it was lost (${reason}: ${message.trim()}); open another one with openDevice(), ` +
          "and where the driver ended long work, ask for fewer steps or sequences at a time",
      );
    });
    if (owned) {
      device.addEventListener("uncapturederror", (event) => {
        this.keep(deviceError("Cannot run on WebGPU", (event as GPUUncapturedErrorEvent).error));
      });
    }
  }

  /** The error of what was done first stays, whatever report comes first: all that follows is not to be trusted. */
  keep(error: Error, order: number = this.#watched): void {
    if (this.#first === undefined || order < this.#first.order) this.#first = { error, order };
  }

  /** Runs `action` and keeps what WebGPU reports about it. `explain` makes an error of the report. */
  watch<T>(action: () => T, explain: Explain): T {
    const order = ++this.#watched;
    for (const filter of FILTERS) this.#device.pushErrorScope(filter);
    try {
      return action();
    } finally {
      for (const filter of FILTERS.toReversed()) {
        this.#collect(this.#device.popErrorScope(), order, (report) => explain(report, filter));
      }
    }
  }

  #collect(
    reported: Promise<GPUError | null>,
    order: number,
    explain: (report: GPUError) => Error | Promise<Error>,
  ): void {
    const kept = reported.then(async (report) => {
      if (report !== null) this.keep(await explain(report), order);
    }).catch(() => {/* a lost device answers nothing: `lost` tells */}).finally(() => this.#pending.delete(kept));
    this.#pending.add(kept);
  }

  /** Resolves when all reports about what was done so far have arrived. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** From now on the device is not to be used; a loss that follows is no news. */
  end(error: DeviceError): void {
    this.#ended = error;
  }

  /** Lost or disposed. */
  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Throws if the device was lost or disposed. */
  checkAlive(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  /** Throws if the device was lost or disposed, or has reported an error. */
  check(): void {
    this.checkAlive();
    this.checkReports();
  }

  /** Throws if the device has reported an error. */
  checkReports(): void {
    if (this.#first === undefined) return;
    this.#wasThrown = true;
    throw this.#first.error;
  }

  /** Throws what nobody was told yet. */
  checkUntold(): void {
    if (!this.#wasThrown) this.checkReports();
  }
}

/** A report of WebGPU as an error of ours. */
export function deviceError(context: string, report: GPUError, kind: GPUErrorFilter = "validation"): DeviceError {
  const cause = report.message.trim().replace(/\.$/, "") || "the driver gave no reason";
  const cure = kind === "out-of-memory"
    ? "open another device, and ask for fewer steps or sequences at a time"
    : "what it computes cannot be trusted: open another device";
  return new DeviceError(`${context}: ${cause}; ${cure}`, { cause: report });
}
