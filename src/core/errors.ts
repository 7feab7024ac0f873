/**
 * A user's step function could not be traced: it branched on a traced value, mixed two traces, or combined shapes
 * that do not fit. The message names the step, the line of the user's code and the cure.
 */
export class TraceError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "TraceError";
}

/** A device cannot be opened, was lost or disposed, or has no memory left; the message says the cause and the cure. */
export class DeviceError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "DeviceError";
}

/** A kernel was refused by the compiler of the device; the message has the compiler's words and the lines of code around. */
export class KernelError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "KernelError";
}
