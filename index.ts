export type { Features, PictureAnswer, PictureFeatures } from './src/ts/answers.js'
export { type BenchmarkOptions, type BenchmarkReport, benchmark } from './src/ts/benchmark.js'
export {
  type ComparedNetwork,
  type ComparedRun,
  type CompareOptions,
  type CompareProgress,
  type CompareRecipe,
  type Comparison,
  checkComparison,
  compare,
  type Variant,
} from './src/ts/compare.js'
export { type ModelCost, modelCost, separableCost } from './src/ts/cost.js'
export type { DownloadProgress } from './src/ts/dataset/download.js'
export { Cifar10, type Cifar10Options, type Dataset, type Part } from './src/ts/dataset.js'
export { cudaStatus, devices } from './src/ts/devices.js'
export { type ErrorCode, MobileNetError } from './src/ts/errors.js'
export type {
  CheckpointEvent,
  DoneEvent,
  EpochEvent,
  EvaluatingEvent,
  FolderSplit,
  LearningRateEvent,
  Normalization,
  Report,
  RunConfig,
  StartEvent,
  StepEvent,
  TrainEvent,
  TrainedOn,
  WarningEvent,
} from './src/ts/events.js'
export { ImageFolder, type ImageFolderOptions } from './src/ts/folder.js'
export { type Backward, MobileNet, type Tensor } from './src/ts/mobilenet.js'
export type {
  BenchmarkProgress,
  ComparisonProgress,
  ConvolutionSize,
  Cost,
  CudaStatus,
  Device,
  EmaOptions,
  EvaluationProgress,
  EvaluationSpeed,
  FolderProgress,
  Layer,
  Metrics,
  OnnxOptions,
  PredictionSpeed,
  PresetSpeed,
  QuantizationReport,
  SeparableCost,
  SeparableParts,
  SkippedPicture,
  TrainingSpeed,
  VariantSpeed,
  WarmupOptions,
} from './src/ts/native/binding.js'
export { type NativeLibrary, nativeLibrary, version } from './src/ts/native/info.js'
export type { LibrarySource } from './src/ts/native/load.js'
export { type Neighbour, nearest } from './src/ts/nearest.js'
export type { Augmentation, AugmentationOptions } from './src/ts/options/augment.js'
export type { EvaluateOptions, TestTimeAugmentation } from './src/ts/options/evaluate.js'
export type {
  DeviceName,
  ImportOptions,
  LoadOptions,
  ModelConfig,
  ModelOptions,
  NetworkOptions,
} from './src/ts/options/network.js'
export type { QuantizeOptions } from './src/ts/options/onnx.js'
export type {
  OptimizerConfig,
  OptimizerOptions,
  ScheduleConfig,
  ScheduleOptions,
} from './src/ts/options/optim.js'
export {
  fineTuning,
  type PresetName,
  presets,
  type RecipeOptions,
  resolveRecipe,
  type TrainConfig,
  type TrainOptions,
} from './src/ts/options/train.js'
export {
  findPictures,
  isPictureName,
  type LogitsOptions,
  type Picture,
  type PredictOptions,
  type RawPicture,
  type ReadingOptions,
} from './src/ts/pictures.js'
export type { Logits, Prediction } from './src/ts/prediction.js'
export { readConfig, type SavedConfig, type WeightsOrigin } from './src/ts/record/config.js'
export type { ClassFigures, Evaluation, WrongPicture } from './src/ts/record/evaluation.js'
export type { EpochRecord, StepRecord } from './src/ts/record/history.js'
export {
  type ListRunsOptions,
  listRuns,
  type RunRecord,
  type RunSummary,
  readRun,
} from './src/ts/record/runs.js'
export { writeReport } from './src/ts/report/report.js'
export type { TrainRun } from './src/ts/run.js'
