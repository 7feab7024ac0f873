import { openMachine, type OpenOptions } from "../../../src/engine/webgpu/open.ts";
import type { Machine } from "../../../src/engine/webgpu/machine.ts";

async function whyMissing(): Promise<string | undefined> {
  if (navigator.gpu === undefined) return "this runtime has no navigator.gpu";
  if (await navigator.gpu.requestAdapter() === null) return "no WebGPU adapter was found";
}

/** Why tests on WebGPU are skipped; undefined where they run. */
export const missingAdapter: string | undefined = await whyMissing();

if (missingAdapter !== undefined && Deno.env.get("CERVID_REQUIRE_WEBGPU") === "1") {
  throw new Error(`Cannot run the tests on WebGPU, as CERVID_REQUIRE_WEBGPU=1 demands: ${missingAdapter}`);
}

/** A device of any kind; to be disposed. */
export function openTestMachine(options: OpenOptions = {}): Promise<Machine> {
  return openMachine(options);
}

/** A test that is skipped, with the reason in its name, where there is no adapter. */
export function testOnGpu(name: string, fn: () => Promise<void>): void {
  const skipped = missingAdapter === undefined ? "" : `: skipped, ${missingAdapter}`;
  Deno.test({ name: `webgpu: ${name}${skipped}`, ignore: missingAdapter !== undefined, fn });
}
