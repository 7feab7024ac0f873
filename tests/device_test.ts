import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceError, openDevice } from "../mod.ts";
import { missingAdapter, testOnGpu } from "./engine/webgpu/adapter.ts";

/** An entry point that offers what `adapter` says. */
function entryPoint(adapter: GPUAdapter | null): { requestAdapter(): Promise<GPUAdapter | null> } {
  return { requestAdapter: () => Promise.resolve(adapter) };
}

Deno.test("openDevice: auto takes hardware, and the CPU engine rather than software", async () => {
  const adapter = missingAdapter === undefined
    ? await navigator.gpu.requestAdapter({ powerPreference: "high-performance" })
    : null;
  await using device = await openDevice();
  assertEquals(device.backend, adapter === null || adapter.info.isFallbackAdapter ? "cpu" : "webgpu");
  assertEquals(device.dtype, "f32");
  await using precise = await openDevice({ dtype: "f64" });
  assertEquals([precise.backend, precise.dtype], ["cpu", "f64"]);
});

Deno.test("openDevice: WebGPU without an adapter is an error with the cure", async () => {
  const gpu = entryPoint(null);
  for (const backend of ["auto", "webgpu"] as const) {
    const error = await assertRejects(() => openDevice({ backend, gpu }), DeviceError, "no adapter was found");
    assert(error.message.endsWith('use backend: "cpu"'), error.message);
  }
});

testOnGpu("openDevice: any adapter on request; what is handed in is used, whatever it is", async () => {
  await using device = await openDevice({ backend: "webgpu", profile: true });
  assertEquals([device.backend, device.dtype], ["webgpu", "f32"]);
  assert(device.description.startsWith("WebGPU, "), device.description);

  const gpu = entryPoint(await navigator.gpu.requestAdapter());
  await using offered = await openDevice({ gpu });
  assertEquals(offered.backend, "webgpu");

  const gpuDevice = await (await navigator.gpu.requestAdapter())!.requestDevice();
  const shared = await openDevice({ gpuDevice });
  assertEquals(shared.backend, "webgpu");
  await shared.dispose();
  const buffer = gpuDevice.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  await buffer.mapAsync(GPUMapMode.READ);
  assertEquals(buffer.getMappedRange().byteLength, 4);
  gpuDevice.destroy();
});

Deno.test("openDevice: GPUs that are none, or have no use, are refused", async () => {
  const gpu = entryPoint(null);
  const gpuDevice = { createComputePipeline: () => null };
  const refused: [options: object, message: string][] = [
    [{ gpu: null }, "gpu must be like navigator.gpu, got null"],
    [{ gpu: {} }, "gpu must be like navigator.gpu, got an object of Object"],
    [{ gpuDevice: "H100" }, 'gpuDevice must be a WebGPU device, got "H100"'],
    [{ gpuDevice: gpu }, "gpuDevice must be a WebGPU device, got an object of Object"],
    [{ gpu, gpuDevice }, "gpu or gpuDevice is expected, got both"],
    [{ gpu, backend: "cpu" }, 'gpu is for WebGPU, got backend "cpu"'],
    [{ gpuDevice, backend: "cpu" }, 'gpuDevice is for WebGPU, got backend "cpu"'],
    [{ gpu, dtype: "f64" }, 'WebGPU computes in f32, got dtype "f64"'],
    [{ backend: "webgpu", dtype: "f64" }, 'WebGPU computes in f32, got dtype "f64"'],
    [{ profile: 1 }, "profile must be true or false, got 1"],
  ];
  for (const [options, message] of refused) {
    await assertRejects(() => openDevice(options), TypeError, `Cannot open a device: ${message}`);
  }
});
