import { DeviceError } from "../../core/errors.ts";
import { Machine } from "./machine.ts";

/** How {@linkcode openMachine} finds a device. */
export interface OpenOptions {
  /** Where to look for adapters; default: `navigator.gpu`. */
  readonly gpu?: GPU | undefined;
  /** A device of the caller's, which is used as it is and never destroyed. */
  readonly gpuDevice?: GPUDevice | undefined;
  /** Time kernels, where the adapter can. */
  readonly profile?: boolean | undefined;
  /** No adapter in software: null rather than that, or than none at all. */
  readonly requireHardware?: boolean | undefined;
  /** `default`: those that every device of WebGPU has; else the adapter's own. */
  readonly limits?: "adapter" | "default" | undefined;
}

/** Limits that are worth raising; nothing depends on it. */
const RAISED_LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxStorageBuffersPerShaderStage",
] as const;

/** NVIDIA's driver for Linux promises more than it binds. */
const MOST_BINDING_BYTES = 2 ** 31 - 4;
/** Names of adapters that compute on the processor, where `isFallbackAdapter` is not told. */
const SOFTWARE = /llvmpipe|lavapipe|softpipe|swiftshader|microsoft basic render/i;

/** Opens the fastest device there is. Throws a {@linkcode DeviceError} with the cure where there is none. */
export async function openMachine(options: OpenOptions & { readonly requireHardware: true }): Promise<Machine | null>;
export async function openMachine(options?: OpenOptions): Promise<Machine>;
export async function openMachine(
  { gpu = globalThis.navigator?.gpu, gpuDevice, profile = false, requireHardware = false, limits = "adapter" }:
    OpenOptions = {},
): Promise<Machine | null> {
  if (gpuDevice !== undefined) {
    const { adapterInfo } = gpuDevice;
    return await start(gpuDevice, adapterInfo, { owned: false, profile }).catch((error) => {
      throw new DeviceError(
        `Cannot use gpuDevice, ${nameOf(adapterInfo)}: ${error.message}; hand in one that was not lost or destroyed`,
        { cause: error },
      );
    });
  }
  const adapter = await findAdapter(gpu);
  if (requireHardware && (adapter === null || isSoftware(adapter.info))) return null;
  if (adapter === null) {
    throw new DeviceError(
      gpu === undefined
        ? "Cannot open a WebGPU device: this runtime has no navigator.gpu; use Deno 2.9 or a browser with WebGPU, pass " +
          'gpu, or use backend: "cpu"'
        : "Cannot open a WebGPU device: no adapter was found; install a driver for Vulkan, Metal or Direct3D 12 (on " +
          'Linux mesa-vulkan-drivers holds one in software), or use backend: "cpu"',
    );
  }
  try {
    const device = await requestDevice(adapter, profile, limits);
    return await start(device, adapter.info, { owned: true, profile });
  } catch (error) {
    if (requireHardware) return null;
    throw new DeviceError(
      `Cannot open a WebGPU device: ${nameOf(adapter.info)} refused: ${(error as Error).message}; free its memory, ` +
        'update its driver, or use backend: "cpu"',
      { cause: error },
    );
  }
}

async function findAdapter(gpu: GPU | undefined): Promise<GPUAdapter | null> {
  return await gpu?.requestAdapter({ powerPreference: "high-performance" }) ?? await gpu?.requestAdapter() ?? null;
}

/** Asks for less until it is granted. */
async function requestDevice(
  adapter: GPUAdapter,
  profile: boolean,
  limits: "adapter" | "default",
): Promise<GPUDevice> {
  const features: GPUFeatureName[] = profile && adapter.features.has("timestamp-query") ? ["timestamp-query"] : [];
  const raised = limits === "adapter" ? raisedLimits(adapter.limits) : {};
  for (const [requiredFeatures, requiredLimits] of [[features, raised], [[], raised], [features, {}]] as const) {
    try {
      return await adapter.requestDevice({ label: "cervid", requiredFeatures: [...requiredFeatures], requiredLimits });
    } catch {
      // What is offered may still be refused; the last request, of the least, tells why.
    }
  }
  return await adapter.requestDevice({ label: "cervid" });
}

function raisedLimits(offered: GPUSupportedLimits): Record<string, number> {
  const raised: Record<string, number> = {};
  for (const name of RAISED_LIMITS) {
    const limit: number | undefined = offered[name];
    if (limit !== undefined) {
      raised[name] = name === "maxStorageBufferBindingSize" ? Math.min(limit, MOST_BINDING_BYTES) : limit;
    }
  }
  return raised;
}

async function start(
  device: GPUDevice,
  info: GPUAdapterInfo | undefined,
  { owned, profile }: { readonly owned: boolean; readonly profile: boolean },
): Promise<Machine> {
  const machine = new Machine({
    device,
    description: `WebGPU, ${nameOf(info)}${isSoftware(info) ? ", in software" : ""}, f32`,
    software: isSoftware(info),
    owned,
    profile: profile && device.features.has("timestamp-query"),
  });
  try {
    await machine.prepare();
    return machine;
  } catch (error) {
    await machine.dispose().catch(() => {/* the first error tells more */});
    throw error;
  }
}

function isSoftware(info: GPUAdapterInfo | undefined): boolean {
  return info?.isFallbackAdapter === true ||
    SOFTWARE.test(`${info?.description} ${info?.device} ${info?.architecture}`);
}

function nameOf(info: GPUAdapterInfo | undefined): string {
  return info?.description || [info?.vendor, info?.architecture].filter(Boolean).join(" ") || "an unnamed adapter";
}
