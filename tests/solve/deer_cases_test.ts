import { assert, assertEquals } from "@std/assert";
import { defineStep, elman, gru, type HostTensor, type MethodName, type Problem, solve, type Step } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { memoryOf, tensor } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, goldenArray, host, read } from "./arrays.ts";
import { type Machine, MACHINES, PRECISE, testOn } from "./machines.ts";

// The cases of DEER's own tests (arXiv 2309.12252), as arrays that its repository (BSD-3) computed.

const PARALLEL: readonly MethodName[] = ["jacobi", "picard", "quasi-deer", "block-deer", "deer"];

const array = (group: string, name: string): HostTensor => goldenArray(`deer_tests/${group}/${name}`);
const values = (group: string, name: string): number[] => Array.from(array(group, name).data);

interface DeerCase {
  readonly step: Step;
  readonly problem: Problem;
  readonly expected: number[];
  /** For f64, and for f32 devices. */
  readonly tolerance: Readonly<Record<Machine["dtype"], number>>;
  /** Sweeps that DEER took, to its looser tolerance. */
  readonly deerSweeps?: number;
}

/** DEER's GRU has one bias per gate, on the hidden side: r and z take it as theirs, n as that which r gates. */
function gruCase(group: string, tolerance: DeerCase["tolerance"], deerSweeps: number): DeerCase {
  const [hidden, input] = array(group, "Wir").shape as [number, number];
  const join = (...names: string[]): number[] => names.flatMap((name) => values(group, name));
  const params = {
    weight_ih: host(join("Wir", "Wiz", "Win"), [3 * hidden, input]),
    weight_hh: host(join("Whr", "Whz", "Whn"), [3 * hidden, hidden]),
    bias: host([...join("bhr", "bhz"), ...new Array<number>(hidden).fill(0)], [3 * hidden]),
    bias_n: host(values(group, "bhn"), [hidden]),
  };
  const problem = { params, xs: array(group, "x"), h0: array(group, "h0") };
  return { step: gru({ input, hidden }), problem, expected: values(group, "h_seq"), tolerance, deerSweeps };
}

const matrixStep = defineStep({
  name: "matmul recursive",
  state: 4,
  input: 20,
  params: {},
  step: ({ h, x }) => ops.add(ops.matvec(ops.reshape(ops.slice(x, 0, 16), [4, 4]), h), ops.slice(x, 16, 20)),
});

/** Their y has the initial state in front. */
function matrixCase(): DeerCase {
  const [mats, vecs] = [values("matmul_recursive", "mats"), values("matmul_recursive", "vecs")];
  const rows = Array.from({ length: 99 }, (_, t) => [
    ...mats.slice(16 * t, 16 * t + 16),
    ...vecs.slice(4 * t, 4 * t + 4),
  ]);
  return {
    step: matrixStep,
    problem: { params: {}, xs: host(rows.flat(), [99, 20]), h0: array("matmul_recursive", "y0") },
    expected: values("matmul_recursive", "result").slice(4),
    // States reach 4.6; the default rtol of 1e-10 allows updates of 5e-10, f32 rounds every state by 2.4e-7.
    tolerance: { f64: 1e-9, f32: 4 * 99 * 2 ** -23 },
  };
}

const logSigmoidStep = defineStep({
  name: "input tree",
  state: 2,
  input: 6,
  params: {},
  step: ({ h, x }) => {
    const weight = ops.reshape(ops.slice(x, 2, 6), [2, 2]);
    return ops.logSigmoid(ops.add(ops.slice(x, 0, 2), ops.matvecTransposed(weight, h)));
  },
});

function inputTreeCase(): DeerCase {
  const [w, b] = [values("input_tree", "w"), values("input_tree", "b")];
  const rows = Array.from({ length: 1000 }, (_, t) => [...b.slice(2 * t, 2 * t + 2), ...w.slice(4 * t, 4 * t + 4)]);
  return {
    step: logSigmoidStep,
    problem: { params: {}, xs: host(rows.flat(), [1000, 6]), h0: array("input_tree", "z0") },
    expected: values("input_tree", "z"),
    // DEER's own test asks for 1e-6; cervid's defaults promise a ten-thousandth of that.
    tolerance: { f64: 1e-10, f32: 1000 * 2 ** -23 },
    deerSweeps: 4,
  };
}

function derivativesCase(): DeerCase {
  const group = "rnn_derivs";
  const params = { weight_ih: array(group, "Wx"), weight_hh: array(group, "Wh"), bias: host([0, 0, 0], [3]) };
  return {
    step: elman({ input: 2, hidden: 3 }),
    problem: { params, xs: array(group, "x"), h0: array(group, "h0") },
    expected: values(group, "h"),
    tolerance: { f64: 1e-12, f32: 5 * 2 ** -23 },
  };
}

const CASES: readonly [name: string, given: DeerCase][] = [
  ["1 matmul_recursive", matrixCase()],
  ["2 rnn_easy", gruCase("rnn_easy", { f64: 1e-10, f32: 100 * 2 ** -23 }, 5)],
  // Their loop ran in f32: its states, of size 1, are right to a few of its own roundings of 1.2e-7.
  ["2 rnn_difficult", gruCase("rnn_difficult", { f64: 1e-6, f32: 1e-6 }, 2)],
  ["3 rnn_derivs", derivativesCase()],
  ["4 input_tree", inputTreeCase()],
];

for (const [name, { step, problem, expected, tolerance, deerSweeps }] of CASES) {
  testOn(MACHINES, `DEER's case ${name}: every method gives its loop's answer`, async (device, { dtype }) => {
    for (const method of ["sequential", ...PARALLEL] as const) {
      using solution = await solve(step, problem, { device, method, maxSweeps: 1000 });
      assertEquals(solution.result, "successful", method);
      assertClose(await read(solution.ys), expected, tolerance[dtype], `${name} by ${method}`);
      if (method === "deer" && deerSweeps !== undefined) {
        // Their tolerance is a thousand to a million times looser: Newton needs at most two sweeps more for that.
        assert(solution.stats.sweeps <= deerSweeps + 2, `${solution.stats.sweeps} sweeps, DEER's ${deerSweeps}`);
      }
    }
  });
}

testOn(PRECISE, "DEER's case 1 by the engine's own scan", async (device) => {
  const group = "matmul_recursive";
  const engine = engineOf(device);
  const given = (name: string): ReturnType<typeof memoryOf> => memoryOf(tensor(device, array(group, name)));
  const out = engine.allocate(engine.dtype, 99 * 4);
  const job = { a: given("mats"), b: given("vecs"), h0: given("y0"), out, batch: 1, time: 99, state: 4 };
  engine.scan({ ...job, monoid: "dense", reverse: false });
  const ys = await engine.read(out);
  assertClose(ys, values(group, "result").slice(4), 1e-12, "the scan");
  assertClose(ys, values(group, "result_scan").slice(4), 1e-12, "against DEER's own scan");
});

testOn(
  MACHINES,
  "DEER's difficult case converges by deer from every guess, though iterates overflow",
  async (device) => {
    const { step, problem, expected } = gruCase("rnn_difficult", { f64: 0, f32: 0 }, 0);
    for (const guess of ["f0", "h0", "zeros"] as const) {
      using solution = await solve(step, problem, { device, method: "deer", guess });
      assertEquals(solution.result, "successful", guess);
      assertClose(await read(solution.ys), expected, 1e-6, guess);
      // From zeros, which is far off, gates of slope 100 throw the iterates beyond all bounds for 50 sweeps.
      if (guess === "zeros") assert(Math.max(...solution.stats.residuals) > 1e12, "iterates stayed tame");
      else assert(solution.stats.sweeps <= 4, `${solution.stats.sweeps} sweeps`);
    }
  },
);
