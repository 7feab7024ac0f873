/**
 * Evaluates nonlinear sequence models (RNNs, ODE steps, state-space models) in parallel over the sequence length: DEER
 * and its relatives turn `h[t] = f(h[t-1], x[t]; p)` into a few sweeps, each of which solves a linear recurrence.
 *
 * @example A GRU over 1000 steps by Newton's method, with the answer of the sequential loop
 * ```ts
 * import { gru, openDevice, solve, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice();
 * const cell = gru({ input: 2, hidden: 16 });
 * const params = cell.init(device, { seed: 0 });
 * const xs = { data: Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i / 9)), shape: [1000, 2] };
 *
 * using solution = await solve(cell, { params, xs }, { method: "deer" });
 * console.log(solution.result, solution.stats.sweeps, (await toHost(solution.yT)).data);
 * ```
 *
 * @module
 */
export type { DType, HostArray, HostTensor, Shape, ShapeTree, Tree } from "./src/core/types.ts";
export { DeviceError, KernelError, TraceError } from "./src/core/errors.ts";
export { type Device, type DeviceOptions, openDevice } from "./src/device.ts";
export { type Tensor, tensor, type TensorLike, toHost } from "./src/tensor.ts";
export { type TensorBranch, type TensorTree, toDevice } from "./src/tensor_tree.ts";
export { tidy } from "./src/scope.ts";
export { defineStep, type JacobianStructure, type ParameterSyms, type Step, type StepSpec } from "./src/step.ts";
export type { InitOptions } from "./src/init_params.ts";
export type { InitRule, InitRules, InitScheme, MatrixRule, SingleRule } from "./src/init.ts";
export type { Sym } from "./src/trace/graph.ts";
export type { Operand } from "./src/trace/operands.ts";
export type { RowAccess } from "./src/trace/rows.ts";
export type { BlockLayout } from "./src/trace/pattern.ts";
export * as ops from "./src/trace/ops.ts";
export type { CellSize } from "./src/cells/size.ts";
export { elman } from "./src/cells/elman.ts";
export { gru } from "./src/cells/gru.ts";
export { lem } from "./src/cells/lem.ts";
export { lstm } from "./src/cells/lstm.ts";
export { multiHead, type MultiHeadOptions } from "./src/cells/multi_head.ts";
export {
  auto,
  blockDeer,
  deer,
  elk,
  jacobi,
  picard,
  quasiDeer,
  quasiElk,
  sequential,
} from "./src/solve/make_method.ts";
export type {
  Damping,
  DiagonalChoice,
  ElkEstimate,
  ElkOptions,
  Method,
  MethodName,
  MethodOptions,
} from "./src/solve/methods.ts";
export type { Problem } from "./src/solve/problem.ts";
export type { GuessChoice } from "./src/solve/guess.ts";
export type { ErrorKind } from "./src/engine/engine.ts";
export type { SolveProgress } from "./src/solve/iterate.ts";
export { explainResult, type Solution, SolveError, type SolveResult, type SolveStats } from "./src/solve/solution.ts";
export type { SolveOptions } from "./src/solve/entry.ts";
export { type EnqueuedSolve, enqueueSolve, solve } from "./src/solve/sequence.ts";
export { type SolveJvp, solveJvp, type Tangents } from "./src/solve/solve_jvp.ts";
export { type Gradients, type SolveVjp, solveVjp } from "./src/solve/solve_vjp.ts";
export { expectedSweeps } from "./src/solve/expected_sweeps.ts";
export type { LyapunovEstimate } from "./src/solve/growth_estimate.ts";
export { lyapunovExponent, type LyapunovOptions } from "./src/solve/lyapunov.ts";
export { warmup, type WarmupOptions } from "./src/solve/warmup.ts";
export { defineMap, type MapSpec, type RowFunction, type RowInputSpec, type RowResult } from "./src/map/define_map.ts";
export { type LinearRecurrence, linearRecurrence, type LinearRecurrenceOptions } from "./src/scan/linear_recurrence.ts";
export { map, type MapArguments, type Mapped } from "./src/map/map.ts";
export { concat, last } from "./src/map/concat.ts";
export type { IndicesLike } from "./src/map/indices.ts";
export { softmaxCrossEntropy, squaredError } from "./src/map/losses.ts";
export { matmul } from "./src/map/matmul.ts";
export { meanPool } from "./src/map/mean_pool.ts";
export { mean, sum } from "./src/map/reduce.ts";
export { reshape } from "./src/map/reshape.ts";
export { take } from "./src/map/take.ts";
export { defineOperator, type LeavesOf, type Operator, type OperatorSpec } from "./src/scan/define_operator.ts";
export { associativeScan, type AssociativeScanOptions } from "./src/scan/associative_scan.ts";
export {
  type AssociativityBreach,
  type AssociativityOptions,
  type AssociativityReport,
  checkAssociativity,
  type RandomElements,
} from "./src/scan/check_associativity.ts";
export {
  checkGrads,
  type CheckGradsOptions,
  type DirectionReport,
  type GradientReport,
  type LeafReport,
} from "./src/grad/check_grads.ts";
export { type ValueAndGrad, valueAndGrad, type ValueWithAux } from "./src/grad/value_and_grad.ts";
export { kalmanFilter } from "./src/kalman/kalman_filter.ts";
export { kalmanSmoother } from "./src/kalman/kalman_smoother.ts";
export type { KalmanOptions } from "./src/kalman/job.ts";
export type { LinearGaussianModel } from "./src/kalman/model.ts";
export type { FilterPosterior, SmootherPosterior } from "./src/kalman/posterior.ts";
export { adam, type AdamOptions, type AdamState, adamw, type AdamwOptions } from "./src/train/adam.ts";
export { applyGradients, applyUpdates, type TrainState } from "./src/train/apply_updates.ts";
export { chain } from "./src/train/chain.ts";
export { clipByGlobalNorm } from "./src/train/clip_by_global_norm.ts";
export { disposeTree, type Optimizer, type OptimizerState, type OptimizerUpdate } from "./src/train/optimizer.ts";
export type { Schedule } from "./src/train/schedule.ts";
export {
  constantSchedule,
  type CosineDecayOptions,
  cosineDecaySchedule,
  exponentialDecay,
  type ExponentialDecayOptions,
  type PiecewiseConstantOptions,
  piecewiseConstantSchedule,
  type WarmupCosineDecayOptions,
  warmupCosineDecaySchedule,
} from "./src/train/schedules.ts";
export { sgd, type SgdOptions, type SgdState } from "./src/train/sgd.ts";
export { shuffleBatches, type ShuffleOptions } from "./src/train/shuffle_batches.ts";
export type { Random, RandomState } from "./src/core/random.ts";
export { train, type TrainStep } from "./src/train/train.ts";
export type { TrainSettings } from "./src/train/train_settings.ts";
export type { Loss, LossOptions } from "./src/train/train_step.ts";
export type { FailurePolicy, TrainFailure } from "./src/train/train_window.ts";
export {
  type KeptTrajectory,
  type SequenceId,
  type WarmStartOptions,
  type WarmStarts,
  warmStarts,
} from "./src/train/warm_starts.ts";
export { type Checkpoint, type CheckpointOptions, loadCheckpoint, saveCheckpoint } from "./src/train/checkpoint.ts";
export { formatJsonLine, formatProgress, type LogRecord, scalarsOf } from "./src/train/log.ts";
export { writeTensorboardHeader, writeTensorboardScalars } from "./src/train/log_tensorboard.ts";
export { bidirectional } from "./src/layers/bidirectional.ts";
export { dense, type DenseActivation, type DenseOptions, mlp, type MlpOptions } from "./src/layers/dense.ts";
export { layerNorm, type LayerNormOptions } from "./src/layers/layer_norm.ts";
export { pool, type PoolOptions } from "./src/layers/pool.ts";
export { recurrent, type RecurrentOptions } from "./src/layers/recurrent.ts";
export { residual } from "./src/layers/residual.ts";
export { reversed } from "./src/layers/reversed.ts";
export type { LayerDirection } from "./src/layers/directions.ts";
export { defineLinearLayer, type LinearLayer, type SequenceLayer } from "./src/layers/linear_layer.ts";
export type {
  GateArguments,
  LinearLayerSpec,
  OutputArguments,
  RecurrenceSpec,
  StateSyms,
} from "./src/layers/describe_layer.ts";
export type { LayerOptions, LayerRun, TrajectoryMemory } from "./src/layers/layer_options.ts";
export type { Activation, LayerSize } from "./src/layers/gates.ts";
export { gilr, type GilrOptions } from "./src/layers/gilr.ts";
export { gilrLstm, type GilrLstmOptions } from "./src/layers/gilr_lstm.ts";
export { minGru } from "./src/layers/min_gru.ts";
export { minLstm } from "./src/layers/min_lstm.ts";
export { qrnn, type QrnnOptions } from "./src/layers/qrnn.ts";
export { sru, type SruOptions } from "./src/layers/sru.ts";
export { stack } from "./src/layers/stack.ts";
export { stronglyTyped, type StronglyTypedOptions } from "./src/layers/strongly_typed.ts";
export * from "./src/io/mod.ts";
