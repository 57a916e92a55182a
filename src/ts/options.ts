import type { DownloadProgress } from './dataset/download.js'
import type { Dataset } from './dataset.js'
import { MobileNetError, native } from './errors.js'
import type {
  ModelOptions as NativeModelOptions,
  TrainOptions as NativeTrainOptions,
  OptimizerOptions,
  ScheduleOptions,
} from './native/binding.js'
import { binding } from './native/load.js'

/** MobileNet V1. */
export interface V1Options extends NativeModelOptions {
  variant?: 'v1' | null
  activation?: 'relu' | 'relu6' | null
}

/** MobileNet V2. */
export interface V2Options extends NativeModelOptions {
  variant: 'v2'
  layout?: 'cifar' | 'imagenet' | null
  activation?: 'relu6' | null
}

/** MobileNet V3, large or small. */
export interface V3Options extends NativeModelOptions {
  variant: 'v3-large' | 'v3-small'
  layout?: 'cifar' | 'imagenet' | null
  activation?: 'hard-swish' | null
}

/** A network. What is absent takes its default. */
export type NetworkOptions = V1Options | V2Options | V3Options

/** A network that stands in a file, and where it is to compute. */
export type LoadOptions = NetworkOptions & {
  /** `auto` (the best that works; default), `cpu`, `cuda` or `cuda:N`. */
  device?: DeviceName
}

/** What weights to import must be, and how to get published ones. */
export type ImportOptions = LoadOptions & {
  /** Of published weights: the folder that holds their file; default: they are downloaded into the cache. */
  directory?: string
  /** Hears how the download goes. */
  onProgress?: (progress: DownloadProgress) => void
  /** Ends the download; the part that has come is kept for the next time. */
  signal?: AbortSignal
}

/** A network, and how to make it. */
export type ModelOptions = LoadOptions & {
  /** Decides the initial weights: a whole number from 0 to 4294967295; default 1. */
  seed?: number
}

/** A device as options name it. */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

/** A training run. */
export interface TrainOptions extends NativeTrainOptions {
  /** What to learn from. */
  data: Dataset
  /** Go on with the unfinished run whose checkpoint the network was loaded from; default false. */
  resume?: boolean
  /** The run also tells how far the evaluations at the end of an epoch are (events `evaluating`); default false. */
  evaluationEvents?: boolean
  /** When it aborts, the run ends after the current batch, and `result` rejects with the signal's reason. */
  signal?: AbortSignal
}

/** A network with every default filled in. */
export type ModelConfig = {
  /** Width multiplier. */
  width: number
  /** Height and width of a picture in pixels. */
  resolution: number
  /** Number of classes. */
  classes: number
  /** Share of the classifier's inputs that a training step leaves out. */
  dropout: number
} & (
  | { variant: 'v1'; layout: 'unpadded' | 'cifar' | 'imagenet'; activation: 'relu' | 'relu6' }
  | { variant: 'v2'; layout: 'cifar' | 'imagenet'; activation: 'relu6' }
  | { variant: 'v3-large' | 'v3-small'; layout: 'cifar' | 'imagenet'; activation: 'hard-swish' }
)

/** A recipe with every default filled in; can be spread into the options of `train`. */
export interface TrainConfig {
  epochs: number
  batchSize: number
  optimizer: { type: 'adam'; learningRate: number }
  schedule:
    | { type: 'constant' }
    | { type: 'step'; stepSize: number; gamma: number }
    | { type: 'cosine' }
    | { type: 'one-cycle' }
  validationFraction: number
  seed: number
  augment: boolean
  shuffle: boolean
  limit: number | null
  logEvery: number
  precision: 'float32' | 'bfloat16'
}

/**
 * A named pair of network and recipe: `course` is the course's script to the letter; `cifar` the paper's network for
 * 32x32 with a recipe tuned for accuracy; `quick` the best accuracy that two CPU cores reach in about ten minutes.
 */
export type PresetName = 'course' | 'cifar' | 'quick'

/**
 * Every preset, with all values filled in.
 *
 * @example
 * const { model, train } = presets().quick
 * const network = await MobileNet.create(model)
 * await network.train({ ...train, data }).result
 */
export function presets(): Record<PresetName, { model: ModelConfig; train: TrainConfig }> {
  const entries = binding()
    .presets()
    .map(({ name, model, train }) => [name, { model, train }])
  return Object.fromEntries(entries) as Record<PresetName, { model: ModelConfig; train: TrainConfig }>
}

/** A recipe with every default filled in. Throws INVALID_OPTION for what makes no sense, before any work is done. */
export function resolveRecipe(recipe: NativeTrainOptions): TrainConfig {
  return native(() => binding().resolveTrainOptions(withoutNulls(recipe))) as TrainConfig
}

// TypeScript finds a misspelt option; from plain JavaScript it would be ignored without these lists. The compiler
// checks that they are complete.
const networkKeys: Keys<NativeModelOptions> = {
  variant: true,
  layout: true,
  activation: true,
  width: true,
  resolution: true,
  classes: true,
  dropout: true,
}
const modelKeys: Keys<ModelOptions> = { ...networkKeys, seed: true, device: true }
const importKeys: Keys<ImportOptions> = {
  ...networkKeys,
  device: true,
  directory: true,
  onProgress: true,
  signal: true,
}
const optimizerKeys: Keys<OptimizerOptions> = { type: true, learningRate: true }
const scheduleKeys: Keys<ScheduleOptions> = { type: true, stepSize: true, gamma: true }
const trainKeys: Keys<TrainOptions> = {
  data: true,
  epochs: true,
  batchSize: true,
  optimizer: true,
  schedule: true,
  validationFraction: true,
  seed: true,
  augment: true,
  shuffle: true,
  limit: true,
  logEvery: true,
  precision: true,
  out: true,
  threads: true,
  resume: true,
  evaluationEvents: true,
  signal: true,
}

/** Every option of `T`: the compiler finds one that is missing. */
export type Keys<T> = Record<keyof Required<T>, true>

/** Rejects options that don't exist. */
export function checkModelOptions(options: ModelOptions): void {
  checkKeys('MobileNet.create', options, modelKeys)
}

/** Rejects options that describe no network. */
export function checkNetworkOptions(where: string, options: NetworkOptions): void {
  checkKeys(where, options, networkKeys)
}

/** Rejects options that don't exist. */
export function checkImportOptions(options: ImportOptions): void {
  checkKeys('MobileNet.import', options, importKeys)
}

/** Rejects options that don't exist, here and in the two that are objects. */
export function checkTrainOptions(options: TrainOptions): void {
  checkKeys('train', options, trainKeys)
  checkParts(options)
}

/** The same for a recipe alone, without what belongs to one run. */
export function checkRecipe(where: string, options: NativeTrainOptions): void {
  const { data, out, threads, resume, evaluationEvents, signal, ...recipeKeys } = trainKeys
  checkKeys(where, options, recipeKeys)
  checkParts(options)
}

function checkParts(options: NativeTrainOptions): void {
  if (options.optimizer) checkKeys('optimizer', options.optimizer, optimizerKeys)
  if (options.schedule) checkKeys('schedule', options.schedule, scheduleKeys)
}

/** Rejects what is not an object, and keys that `known` does not have. */
export function checkKeys(where: string, options: object, known: Record<string, true>): void {
  if (typeof options !== 'object' || options === null) {
    throw new MobileNetError('INVALID_OPTION', `${where} takes an object of options, not ${String(options)}`)
  }
  for (const key of Object.keys(options)) {
    if (key in known) continue
    const names = Object.keys(known).join(', ')
    throw new MobileNetError('INVALID_OPTION', `${where} has no option ${key}; there are ${names}`)
  }
}

/** Options as the border takes them: null, which stands for the default, is left out there. */
export function withoutNulls<T extends object>(options: T): T {
  const entries = Object.entries(options).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(
    entries.map(([key, value]) => [key, typeof value === 'object' ? withoutNulls(value as object) : value]),
  ) as T
}
