export { type BenchmarkOptions, type BenchmarkReport, benchmark } from './src/ts/benchmark.js'
export {
  type ComparedNetwork,
  type ComparedRun,
  type CompareOptions,
  type CompareProgress,
  type CompareRecipe,
  type Comparison,
  compare,
  type Variant,
} from './src/ts/compare.js'
export { type ModelCost, modelCost, separableCost } from './src/ts/cost.js'
export type { DownloadProgress } from './src/ts/dataset/download.js'
export { Cifar10, type Cifar10Options, type Dataset, type Part } from './src/ts/dataset.js'
export { devices } from './src/ts/devices.js'
export { type ErrorCode, MobileNetError } from './src/ts/errors.js'
export type {
  CheckpointEvent,
  DoneEvent,
  EpochEvent,
  EvaluatingEvent,
  Normalization,
  Report,
  RunConfig,
  StartEvent,
  StepEvent,
  TrainEvent,
} from './src/ts/events.js'
export { type Backward, MobileNet, type Picture, type RawPicture, type Tensor } from './src/ts/mobilenet.js'
export type {
  BenchmarkProgress,
  ComparisonProgress,
  ConvolutionSize,
  Cost,
  Device,
  EvaluationProgress,
  EvaluationSpeed,
  Layer,
  Metrics,
  OptimizerOptions,
  PredictionSpeed,
  PresetSpeed,
  ScheduleOptions,
  SeparableCost,
  SeparableParts,
  TrainingSpeed,
  VariantSpeed,
} from './src/ts/native/binding.js'
export { type NativeLibrary, nativeLibrary, version } from './src/ts/native/info.js'
export type { LibrarySource } from './src/ts/native/load.js'
export {
  type DeviceName,
  type ImportOptions,
  type LoadOptions,
  type ModelConfig,
  type ModelOptions,
  type NetworkOptions,
  type PresetName,
  presets,
  resolveRecipe,
  type TrainConfig,
  type TrainOptions,
} from './src/ts/options.js'
export type { Logits, Prediction } from './src/ts/prediction.js'
export type { TrainRun } from './src/ts/run.js'
