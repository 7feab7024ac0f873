import { assert, assertEquals } from "@std/assert";
import { openTestMachine, testOnGpu } from "./adapter.ts";
import { AFFINE, affine, NUMBER_GROUPS, readWords } from "./kernels.ts";

testOnGpu("profile: milliseconds by kernel, over more dispatches than a query set holds, each told once", async () => {
  const machine = await openTestMachine({ profile: true });
  const adapter = await navigator.gpu.requestAdapter();
  assertEquals(machine.profiles, adapter!.features.has("timestamp-query"));
  if (!machine.profiles) return await machine.dispose();

  const buffer = machine.pool.allocate(2 ** 20, "x");
  machine.clear(buffer);
  const start = performance.now();
  const rounds = 2500;
  for (let i = 0; i < rounds; i++) affine(machine, buffer, { end: 8, term: 1 });
  const count = machine.uniform(Uint32Array.of(5));
  machine.dispatch(NUMBER_GROUPS, machine.bind(NUMBER_GROUPS, [count, { buffer, offset: 256 }]), 5);
  const times = await machine.takeTimes();
  const elapsed = performance.now() - start;
  assertEquals(Object.keys(times).sort(), [AFFINE.name, NUMBER_GROUPS.name].sort());
  const total = Object.values(times).reduce((a, b) => a + b);
  assert(times[AFFINE.name]! > 0 && total <= elapsed, `${JSON.stringify(times)} of ${elapsed} ms`);
  assertEquals(await readWords(machine, buffer, 0, 1), [rounds]);
  assertEquals(machine.readBacks, 1);
  assertEquals(await machine.takeTimes(), {});
  await machine.dispose();
});

testOnGpu("profile: nothing is timed unless it is asked for", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(64, "x");
  affine(machine, buffer, { end: 1 });
  assertEquals([machine.profiles, await machine.takeTimes()], [false, {}]);
  await machine.dispose();
});
