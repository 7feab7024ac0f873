import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DeviceError } from "../../../src/core/errors.ts";
import { openMachine } from "../../../src/engine/webgpu/open.ts";
import { openTestMachine, testOnGpu } from "./adapter.ts";
import { affine, readWords } from "./kernels.ts";

/** Proxies that answer otherwise in some respects. */
function pretend<T extends object>(target: T, answers: Record<string, unknown>): T {
  return new Proxy(target, {
    get(_, key) {
      if (typeof key === "string" && key in answers) return answers[key];
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function gpuWith(adapter: GPUAdapter | null): GPU {
  return pretend(navigator.gpu, { requestAdapter: () => Promise.resolve(adapter) });
}

testOnGpu("open: the description names the adapter", async () => {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const machine = await openTestMachine();
  assert(machine.description.startsWith("WebGPU, ") && machine.description.endsWith(", f32"), machine.description);
  assert(machine.description.includes(adapter!.info.description), machine.description);
  assertEquals(machine.description.includes("in software"), machine.software);
  await machine.dispose();
});

testOnGpu(
  "open: by default with the adapter's own limits, and on request with those that every device has",
  async () => {
    const adapter = (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }))!;
    const machine = await openTestMachine();
    const { maxStorageBufferBindingSize, maxComputeInvocationsPerWorkgroup } = adapter.limits;
    assert(machine.limits.bindingBytes <= maxStorageBufferBindingSize && machine.limits.bindingBytes >= 2 ** 27);
    assertEquals(machine.limits.invocations, maxComputeInvocationsPerWorkgroup);
    await machine.dispose();

    const modest = await openTestMachine({ limits: "default" });
    assertEquals(modest.limits, {
      bindingBytes: 2 ** 27,
      bufferBytes: 2 ** 28,
      workgroupBytes: 2 ** 14,
      invocations: 256,
      groups: 65_535,
    });
    await modest.dispose();
  },
);

testOnGpu("open: a device of the caller's is used as it is, and not destroyed", async () => {
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
  for (let round = 0; round < 2; round++) {
    const machine = await openMachine({ gpuDevice: device, profile: true });
    assertStrictEquals(machine.device, device);
    const buffer = machine.pool.allocate(4, "x");
    machine.write(buffer, Uint32Array.of(1));
    affine(machine, buffer, { end: 1, term: round });
    assertEquals(await readWords(machine, buffer, 0, 1), [1 + round]);
    await machine.dispose();
  }
  let isLost = false;
  device.lost.then(() => isLost = true);
  await device.queue.onSubmittedWorkDone();
  assertEquals(isLost, false);
  device.destroy();
  await device.lost;
  await assertRejects(() => openMachine({ gpuDevice: device }), DeviceError, "hand in one that was not lost");
});

testOnGpu("open: errors of the caller on a shared device are the caller's", async () => {
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
  const seen: string[] = [];
  device.addEventListener("uncapturederror", (event) => {
    seen.push((event as GPUUncapturedErrorEvent).error.message);
  });
  const machine = await openMachine({ gpuDevice: device });
  device.pushErrorScope("validation");
  device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
  const buffer = machine.pool.allocate(4, "x");
  affine(machine, buffer, { end: 1, term: 1 });
  assert(await device.popErrorScope() !== null);
  device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
  await machine.read(buffer, 0, 4);
  machine.copy(buffer, 0, buffer, 128, 1024);
  await assertRejects(() => machine.read(buffer, 0, 4), DeviceError, "Cannot run what was recorded");
  await machine.dispose();
  assertEquals(seen.length, 1);
  device.destroy();
});

testOnGpu("open: an entry point of the caller's is asked; no adapter there is an error with the cure", async () => {
  let asked = 0;
  const gpu = pretend(navigator.gpu, {
    requestAdapter: (options?: GPURequestAdapterOptions) => {
      asked++;
      return navigator.gpu.requestAdapter(options);
    },
  });
  const machine = await openMachine({ gpu });
  assertEquals(asked, 1);
  await machine.dispose();

  await assertRejects(() => openMachine({ gpu: gpuWith(null) }), DeviceError, "no adapter was found; install a driver");
  assertEquals(await openMachine({ gpu: gpuWith(null), requireHardware: true }), null);
});

testOnGpu("open: software is known by its flag or its name, and is not taken for hardware", async () => {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const looks: [info: object, isSoftware: boolean][] = [
    [{ vendor: "nvidia", architecture: "hopper", device: "", description: "" }, false],
    [{ vendor: "intel", architecture: "", device: "", description: "Intel Arc", isFallbackAdapter: false }, false],
    [{ vendor: "intel", architecture: "", device: "", description: "", isFallbackAdapter: true }, true],
    [{ vendor: "65541", architecture: "", device: "0", description: "llvmpipe (LLVM 15.0.6)" }, true],
    [{ vendor: "google", architecture: "swiftshader", device: "", description: "" }, true],
    [{ vendor: "", architecture: "", device: "", description: "Microsoft Basic Render Driver" }, true],
  ];
  for (const [info, isSoftware] of looks) {
    const gpu = gpuWith(pretend(adapter, { info, requestDevice: async () => await freshDevice() }));
    const machine = await openMachine({ gpu, requireHardware: true });
    assertEquals(machine === null, isSoftware, JSON.stringify(info));
    await machine?.dispose();
  }
});

testOnGpu("open: what is refused is asked for more modestly; an adapter that gives nothing tells why", async () => {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const requests: string[] = [];
  const picky = (accept: (descriptor: GPUDeviceDescriptor) => boolean): GPU =>
    gpuWith(pretend(adapter, {
      features: new Set(["timestamp-query"]),
      requestDevice: async (descriptor: GPUDeviceDescriptor) => {
        const { requiredFeatures = [], requiredLimits = {} } = descriptor;
        requests.push(`${[...requiredFeatures].length} ${Object.keys(requiredLimits).length > 0}`);
        if (!accept(descriptor)) throw new TypeError("out of sorts");
        return await freshDevice();
      },
    }));
  const machine = await openMachine({
    gpu: picky(({ requiredLimits = {} }) => Object.keys(requiredLimits).length === 0),
    profile: true,
  });
  assertEquals(requests, ["1 true", "0 true", "1 false"]);
  await machine.dispose();
  await assertRejects(
    () => openMachine({ gpu: picky(() => false) }),
    DeviceError,
    "refused: out of sorts; free its memory",
  );
  assertEquals(await openMachine({ gpu: picky(() => false), requireHardware: true }), null);
});

async function freshDevice(): Promise<GPUDevice> {
  return await (await navigator.gpu.requestAdapter())!.requestDevice();
}
