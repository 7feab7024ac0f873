/**
 * Sweeps of `elk` and `quasi-elk` beside those of `deer` and `quasi-deer`, on both engines: a GRU of D states over 10 000 steps,
 * on an adapter in software a tenth of them. Three sweeps from a guess of zeros, which is far from solved; hoisting and the
 * guess are not timed.
 *
 *     deno bench -A --json bench/elk_bench.ts > elk.json
 *     deno run -A bench/report.ts elk.json
 *
 * The baseline of each group is the undamped method with the same G.
 */
import { deer, type Device, elk, gru, type Method, openDevice, quasiDeer, quasiElk } from "@cervid/cervid";
import { engineOf } from "../src/device.ts";
import { begin, release } from "../src/solve/attempt.ts";

const SWEEPS = 3;
const LONG = 10_000;
/** Of dense G larger than this ELK would take a minute a sweep on the CPU engine, and is refused on WebGPU. */
const MOST_DENSE = 16;

const DENSE: readonly (readonly [name: string, method: Method])[] = [
  ["deer", deer()],
  ["elk, λ = 0.001", elk({ damping: 1e-3 })],
  ["elk, adaptive", elk()],
];
const DIAGONAL: typeof DENSE = [
  ["quasi-deer", quasiDeer()],
  ["quasi-elk, λ = 0.001", quasiElk({ damping: 1e-3 })],
  ["quasi-elk, adaptive", quasiElk()],
];

/** Deterministic inputs; the timing does not depend on which. */
const inputs = (time: number): Float32Array => Float32Array.from({ length: time * 2 }, (_, i) => Math.sin(12.9898 * i));

function addGroups(device: Device, hidden: number): void {
  const engine = engineOf(device);
  const time = engine.speed === "software" ? LONG / 10 : LONG;
  const step = gru({ input: 2, hidden });
  const params = step.init(device, { seed: 1 });
  const problem = { params, xs: { data: inputs(time), shape: [time, 2] } };
  const probe = engine.upload(new Float32Array(1));
  const machine = `${engine.backend} ${engine.dtype}`;
  for (const [form, methods] of [["dense G", DENSE], ["diagonal G", DIAGONAL]] as const) {
    if (form === "dense G" && hidden > MOST_DENSE) continue;
    for (const [name, method] of methods) {
      const group = `${machine}: ${SWEEPS} sweeps, ${form}, D=${hidden} T=${time}`;
      // No update is within such a tolerance.
      const options = { device, method, guess: "zeros", maxSweeps: SWEEPS, atol: 0, rtol: 1e-300 } as const;
      Deno.bench({ name, group, baseline: name.includes("deer") }, async (context) => {
        const attempt = begin(step, problem, options);
        const { run } = attempt;
        engine.enterWindow(run, 0, time);
        await engine.read(probe);
        context.start();
        for (let k = 0; k < SWEEPS; k++) engine.sweep(run);
        if (engine.backend === "webgpu") await engine.read(probe);
        context.end();
        release(attempt, true);
      });
    }
  }
}

for (const dtype of ["f32", "f64"] as const) {
  const cpu = await openDevice({ backend: "cpu", dtype });
  for (const hidden of [16, 64]) addGroups(cpu, hidden);
}
if (navigator.gpu !== undefined && await navigator.gpu.requestAdapter() !== null) {
  const gpu = await openDevice({ backend: "webgpu" });
  for (const hidden of [4, 16, 64]) addGroups(gpu, hidden);
}
