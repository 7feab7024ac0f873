import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { DeviceError, KernelError } from "../../../src/core/errors.ts";
import { openTestMachine, testOnGpu } from "./adapter.ts";
import { AFFINE, affine, BROKEN, readWords } from "./kernels.ts";

testOnGpu("errors: warm tells the compiler's words and the lines around, and leaves the machine usable", async () => {
  const machine = await openTestMachine();
  const error = await assertRejects(() => machine.warm([AFFINE, BROKEN]), KernelError);
  assertMatch(error.message, /^Cannot compile kernel "broken": .*missing/);
  assert(error.message.includes(">    2 |   let x = missing + 1u;"), error.message);
  assert(error.message.includes("     1 | @compute") && error.message.includes("     4 | // the end"), error.message);
  assert(!error.message.endsWith("."), error.message);

  const buffer = machine.pool.allocate(4, "x");
  machine.write(buffer, Uint32Array.of(20));
  affine(machine, buffer, { end: 1, term: 1 });
  assertEquals(await readWords(machine, buffer, 0, 1), [21]);
  await assertRejects(() => machine.warm([BROKEN]), KernelError, '"broken"');
  await machine.dispose();
});

testOnGpu(
  "errors: what the compiler has against a dispatched kernel is thrown by the next wait and by check",
  async () => {
    const machine = await openTestMachine();
    const buffer = machine.pool.allocate(4, "x");
    machine.dispatch(BROKEN, machine.bind(BROKEN, []), 1);
    await assertRejects(() => machine.read(buffer, 0, 4), KernelError, 'Cannot compile kernel "broken"');
    assertThrows(() => machine.check(), KernelError, '"broken"');
    await assertRejects(() => machine.read(buffer, 0, 4), KernelError, '"broken"');
    await machine.dispose();
  },
);

testOnGpu("errors: a kernel beyond the limits of the device is named though its text is right", async () => {
  const machine = await openTestMachine({ limits: "default" });
  const code = "@compute @workgroup_size(512) fn main() {}";
  const error = await assertRejects(() => machine.warm([{ name: "wide", code, bindings: [] }]), KernelError);
  assertMatch(error.message, /^Cannot compile kernel "wide": .*512/s);
  await machine.dispose();
});

testOnGpu("errors: the first mistake is the one that is told, of dispatches, copies and writes", async () => {
  for (
    const [mistake, message] of [
      ["dispatch", "Cannot bind"],
      ["copy", "Cannot run what was recorded"],
      ["write", "Cannot write to"],
    ] as const
  ) {
    const machine = await openTestMachine();
    const buffer = machine.pool.allocate(256, "x");
    if (mistake === "dispatch") {
      const region = { buffer, offset: 4, size: 16 };
      machine.dispatch(AFFINE, machine.bind(AFFINE, [machine.uniform(Uint32Array.of(1)), region]), 1);
    }
    if (mistake === "copy") machine.copy(buffer, 0, buffer, 128, 1024);
    if (mistake === "write") machine.write(buffer, Uint32Array.of(1), 256);
    const error = await assertRejects(() => machine.read(buffer, 0, 4), DeviceError, message);
    assert(error.message.endsWith("open another device"), error.message);
    await machine.dispose();
  }
});

testOnGpu("errors: dispose throws what nobody was told, once", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(256, "x");
  machine.copy(buffer, 0, buffer, 128, 1024);
  await assertRejects(() => machine.dispose(), DeviceError, "Cannot run what was recorded");
});

testOnGpu("errors: a lost device is told from then on, with the cure, and can be disposed", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(4, "x");
  machine.device.destroy();
  await machine.device.lost;
  const message = /^Cannot use the WebGPU device: it was lost \(destroyed: .*\); open another one with openDevice\(\)/;
  assertMatch(assertThrows(() => machine.check(), DeviceError).message, message);
  assertMatch(assertThrows(() => machine.pool.allocate(4, "y"), DeviceError).message, message);
  assertMatch(assertThrows(() => affine(machine, buffer, { end: 1 }), DeviceError).message, message);
  assertMatch((await assertRejects(() => machine.read(buffer, 0, 4), DeviceError)).message, message);
  await machine.dispose();
});

testOnGpu("errors: a read under way when the device is lost rejects", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(4, "x");
  machine.device.destroy();
  await assertRejects(() => machine.read(buffer, 0, 4), DeviceError);
  await machine.dispose();
});
