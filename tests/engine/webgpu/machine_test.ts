import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { missingAdapter, openTestMachine, testOnGpu } from "./adapter.ts";
import { AFFINE, affine, NUMBER_GROUPS, readWords } from "./kernels.ts";

const CANARY = 0xdeadbeef;

testOnGpu("grids are folded beyond 65 535 workgroups, and no group is left out or run twice", async () => {
  const machine = await openTestMachine();
  for (const groups of [1, 65_535, 65_536, 131_071, 200_003]) {
    const buffer = machine.pool.allocate(4 * groups, "numbers");
    machine.clear(buffer);
    const count = machine.uniform(Uint32Array.of(groups));
    machine.dispatch(NUMBER_GROUPS, machine.bind(NUMBER_GROUPS, [count, { buffer }]), groups);
    const numbers = await readWords(machine, buffer, 0, groups);
    assert(numbers.every((number, i) => number === i + 1), `${groups} groups`);
    machine.pool.release(buffer);
  }
  await machine.dispose();
});

testOnGpu("grids: none runs nothing; what is no count, or too many, is refused with the kernel's name", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(256, "numbers");
  machine.write(buffer, Uint32Array.of(7));
  const group = machine.bind(NUMBER_GROUPS, [machine.uniform(Uint32Array.of(1)), { buffer }]);
  machine.dispatch(NUMBER_GROUPS, group, 0);
  assertEquals(await readWords(machine, buffer, 0, 1), [7]);
  for (const grid of [-1, 1.5, NaN, 65_536 ** 2]) {
    assertThrows(() => machine.dispatch(NUMBER_GROUPS, group, grid), RangeError, '"number groups"');
  }
  await machine.dispose();
});

testOnGpu("indirect grids come from the device", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(4 * 8, "numbers");
  const grids = machine.pool.allocate(256, "grids", true);
  machine.write(grids, Uint32Array.of(0, 1, 1, 3, 1, 1));
  const group = machine.bind(NUMBER_GROUPS, [machine.uniform(Uint32Array.of(8)), { buffer }]);
  for (const [offset, expected] of [[0, [0, 0, 0, 0]], [12, [1, 2, 3, 0]]] as const) {
    machine.clear(buffer);
    machine.dispatch(NUMBER_GROUPS, group, { indirect: grids, offset });
    assertEquals(await readWords(machine, buffer, 0, 4), [...expected]);
  }
  await machine.dispose();
});

testOnGpu("recorded work, copies and writes take effect in the order in which they were asked for", async () => {
  const machine = await openTestMachine();
  const [x, y] = [machine.pool.allocate(4 * 4, "x"), machine.pool.allocate(4 * 4, "y")];
  machine.write(x, Uint32Array.of(1, 2, 3, 4));
  affine(machine, x, { end: 4, factor: 10 });
  machine.copy(x, 0, y, 0, 16);
  machine.write(x, Uint32Array.of(5), 4);
  affine(machine, x, { end: 4, term: 1 });
  machine.clear(y, 8, 4);
  affine(machine, y, { end: 4, term: 2 });
  assertEquals(await readWords(machine, x, 0, 4), [11, 6, 31, 41]);
  assertEquals(await readWords(machine, y, 0, 4), [12, 22, 2, 42]);
  await machine.dispose();
});

testOnGpu("more dispatches than fit into one submission run in order", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(4, "x");
  machine.clear(buffer);
  let expected = 0;
  for (let i = 0; i < 1000; i++) {
    affine(machine, buffer, { end: 1, factor: 3, term: i });
    expected = (Math.imul(expected, 3) + i) >>> 0;
  }
  assertEquals(await readWords(machine, buffer, 0, 1), [expected]);
  assertEquals(machine.readBacks, 1);
  await machine.dispose();
});

testOnGpu("regions are bound where they are, and nothing around them is touched", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(4 * 192, "x");
  machine.write(buffer, new Uint32Array(192).fill(CANARY));
  machine.write(buffer, new Uint32Array(64).fill(1), 256);
  const settings = machine.uniform(Uint32Array.of(0, 64, 1, 41));
  machine.dispatch(AFFINE, machine.bind(AFFINE, [settings, { buffer, offset: 256, size: 256 }]), 1);
  const expected = Array.from({ length: 192 }, (_, i) => i >= 64 && i < 128 ? 42 : CANARY);
  assertEquals(await readWords(machine, buffer, 0, 192), expected);
  assertThrows(() => machine.bind(AFFINE, [settings]), RangeError, "2 regions are expected, got 1");
  await machine.dispose();
});

testOnGpu("writes that end within a word fill it with zeros", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(16, "x");
  machine.write(buffer, new Uint32Array(4).fill(CANARY));
  machine.write(buffer, Uint8Array.of(9, 1, 2, 3, 4, 5).subarray(1));
  assertEquals(await readWords(machine, buffer, 0, 4), [0x04030201, 5, CANARY, CANARY]);
  machine.write(buffer, new Uint8Array(0));
  await machine.dispose();
});

testOnGpu("uniforms: equal contents are one, others never share; each keeps its words over many arenas", async () => {
  const machine = await openTestMachine();
  assertEquals(machine.uniform(Uint32Array.of(1, 2)), machine.uniform(Uint32Array.of(1, 2)));
  assertEquals(machine.uniform(Uint32Array.of(1, 2)).size, 16);
  assertEquals(machine.uniform(new Uint32Array(5)).size, 32);

  const count = 700;
  const buffer = machine.pool.allocate(4 * count, "x");
  machine.clear(buffer);
  const places = new Set<string>();
  const groups: GPUBindGroup[] = [];
  const arenas = new Map<GPUBuffer, number>();
  for (let i = 0; i < count; i++) {
    // 70 words take two slots
    const region = machine.uniform(Uint32Array.of(i, i + 1, 1, i * i, ...new Uint32Array(i % 5 === 0 ? 66 : 0)));
    if (!arenas.has(region.buffer)) arenas.set(region.buffer, arenas.size);
    assertEquals(region.offset! % 256, 0);
    places.add(`${arenas.get(region.buffer)}:${region.offset}`);
    groups.push(machine.bind(AFFINE, [region, { buffer }]));
  }
  assertEquals([places.size, arenas.size > 2], [count, true]);
  for (const group of groups) machine.dispatch(AFFINE, group, 1);
  assertEquals(await readWords(machine, buffer, 0, count), Array.from({ length: count }, (_, i) => i * i));
  assertThrows(() => machine.uniform(new Uint32Array(20_000)), RangeError, "at most 65536 bytes");
  await machine.dispose();
});

testOnGpu("disposing ends queued work, twice does no harm, and all that follows is refused", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(4, "x");
  affine(machine, buffer, { end: 1, term: 1 });
  const reading = readWords(machine, buffer, 0, 1);
  const disposing = machine.dispose();
  assertEquals(await reading, [1]);
  await disposing;
  await machine.dispose();
  const message = "it was disposed; open another one with openDevice()";
  for (
    const use of [
      () => machine.check(),
      () => machine.flush(),
      () => machine.pool.allocate(4, "y"),
      () => affine(machine, buffer, { end: 1 }),
      () => machine.write(buffer, Uint32Array.of(1)),
      () => machine.copy(buffer, 0, buffer, 0, 4),
      () => machine.clear(buffer),
      () => machine.readNow(buffer, 0, 4),
    ]
  ) assertThrows(use, Error, message);
  await assertRejects(() => machine.read(buffer, 0, 4), Error, message);
  await assertRejects(() => machine.warm([]), Error, message);
  machine.pool.release(buffer);
});

Deno.test({
  name: "webgpu: nothing is left running after disposing",
  ignore: missingAdapter !== undefined,
  sanitizeOps: true,
  sanitizeResources: true,
  fn: async () => {
    const machine = await openTestMachine({ profile: true });
    const buffer = machine.pool.allocate(2 ** 21, "x");
    affine(machine, buffer, { end: 64, term: 1 });
    await Promise.all([4, 2 ** 21].map((bytes) => machine.read(buffer, 0, bytes)));
    machine.readNow(buffer, 0, 4);
    await machine.dispose();
  },
});
