import { assert } from "@std/assert";

/** A device that counts the turns of every kernel by name, whatever made the kernel. */
export async function openCounting(): Promise<{
  readonly device: GPUDevice;
  /** The most turns that any invocation of each kernel has made. */
  read(): Promise<[name: string, turns: number][]>;
}> {
  const adapter = (await navigator.gpu.requestAdapter())!;
  // A kernel may use all 8 storage buffers; the counter is one more.
  const device = await adapter.requestDevice({ requiredLimits: { maxStorageBuffersPerShaderStage: 9 } });
  const names: string[] = [];
  const size = 4 * 256;
  const counter = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const { createShaderModule, createBindGroupLayout, createBindGroup } = device;
  device.createShaderModule = ({ label = "", code }) => {
    const bindings = code.match(/@binding\(/g)!.length;
    const index = names.push(label) - 1;
    const count = `{ turns_ += 1u; atomicMax(&TURNS_[${index}], turns_); }`;
    // The test that ends a loop counts as a turn too: one more before each loop.
    const counted = code.replace(/(\bfor \([^{]*\) \{)/g, `${count} $1 ${count}`);
    assert(code.includes("for (") === (counted !== code), label);
    const head = `@group(0) @binding(${bindings}) var<storage, read_write> TURNS_: array<atomic<u32>>;
      var<private> turns_: u32;\n`;
    return createShaderModule.call(device, { label, code: head + counted });
  };
  device.createBindGroupLayout = (descriptor) => {
    const entries = [...descriptor.entries];
    entries.push({ binding: entries.length, visibility: GPUShaderStage.COMPUTE, buffer: { type: "storage" } });
    return createBindGroupLayout.call(device, { ...descriptor, entries });
  };
  device.createBindGroup = (descriptor) => {
    const entries = [...descriptor.entries];
    entries.push({ binding: entries.length, resource: { buffer: counter } });
    return createBindGroup.call(device, { ...descriptor, entries });
  };
  const read = async (): Promise<[name: string, turns: number][]> => {
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(counter, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const words = Array.from(new Uint32Array(staging.getMappedRange()));
    staging.destroy();
    return names.map((name, i) => [name, words[i]!]);
  };
  return { device, read };
}
