import type { DownloadProgress } from './dataset/download.js'
import type { Dataset } from './dataset.js'
import { MobileNetError, native } from './errors.js'
import type {
  EvaluationProgress,
  ModelOptions as NativeModelOptions,
  TrainOptions as NativeTrainOptions,
  OnnxOptions,
} from './native/binding.js'
import { binding } from './native/load.js'
import {
  emaKeys,
  type OptimizerConfig,
  type OptimizerOptions,
  optimizerKeys,
  type ScheduleConfig,
  type ScheduleOptions,
  scheduleKeys,
  warmupKeys,
} from './optim.js'

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

/** What an ONNX file in whole numbers of 8 bits is made from. */
export interface QuantizeOptions extends OnnxOptions {
  /** Weights and maps in whole numbers of 8 bits. */
  quantize: 'int8'
  /** Its training pictures (512 of them) give the ranges of the maps, its test pictures say what rounding costs. */
  calibration: Dataset
  /** Ends the work. */
  signal?: AbortSignal | undefined
  /** Hears how far the evaluation before and after is. */
  onProgress?: ((progress: EvaluationProgress) => void) | undefined
}

/** What weights to import must be, and how to get published ones. */
export type ImportOptions = LoadOptions & {
  /**
   * What the weights expect a picture's shorter side to be resized to, in pixels, before the middle is cut out. Default: what
   * published weights ask for; otherwise 8/7 of the resolution in layout `imagenet` (256 for 224), and the resolution in
   * the others.
   */
  resize?: number
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
  /**
   * Weights to begin with, in place of random ones: a checkpoint, a file that `import` can read, or published weights by
   * their name (`torchvision:mobilenet_v2`). Only the classifier is new then, and `classes`, `resolution` and `dropout` may
   * be others than there; what else the options say must be right.
   */
  from?: string | URL
  /** Of published weights: the folder that holds their file; default: they are downloaded into the cache. */
  directory?: string
  /** Hears how the download goes. */
  onProgress?: (progress: DownloadProgress) => void
  /** Ends the download; the part that has come is kept for the next time. */
  signal?: AbortSignal
}

/** A device as options name it. */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

/**
 * One step of augmentation. First comes `resizedcrop`, then the steps on a picture's bytes (`crop`, `flip`, `randaugment`,
 * `trivialaugment`, `colorjitter`, in any order), then `cutout`, then what mixes a batch (`mixup`, `cutmix`): of several of these each batch takes one, each as
 * likely.
 */
export type Augmentation =
  | {
      /** A random part of the picture at the network's resolution: torchvision's `RandomResizedCrop`. */
      type: 'resizedcrop'
      /** The least share of the picture's area, from 0.001 to 1; default 0.08. */
      area: number
      /** How many times wider than high the part is at most, or higher than wide; from 1; default 4/3. */
      ratio: number
    }
  | {
      /** A random place of the picture with black around it, as torchvision's `RandomCrop`. */
      type: 'crop'
      /** Black pixels at each side, from 1; default 4. */
      padding: number
    }
  | {
      /** Half of the pictures are mirrored. */
      type: 'flip'
    }
  | {
      /** Operations drawn from torchvision's 14, all equally strong: its `RandAugment`. */
      type: 'randaugment'
      /** One after the other, from 1 to 14; default 2. */
      operations: number
      /** From 0 to 30; default 9. */
      magnitude: number
    }
  | {
      /** One of the 14 operations, as strong as chance will have it: torchvision's `TrivialAugmentWide`. */
      type: 'trivialaugment'
    }
  | {
      /** Brightness, contrast, saturation and hue change, in a random order: torchvision's `ColorJitter`. */
      type: 'colorjitter'
      /** A factor is drawn from 1 minus this, 0 at least, to 1 plus this; default 0.4. */
      brightness: number
      /** The same; default 0.4. */
      contrast: number
      /** The same; default 0.4. */
      saturation: number
      /** How far hues turn at most, in whole turns, from 0 to 0.5; default 0.1. */
      hue: number
    }
  | {
      /** A square of the normalised picture becomes 0. */
      type: 'cutout'
      /** Its side in pixels, from 2; default 16. */
      size: number
    }
  | {
      /** Each picture is averaged with the one before it in the batch: torchvision's `MixUp`. */
      type: 'mixup'
      /** The share is drawn from Beta(alpha, alpha); above 0, default 1. */
      alpha: number
      /** Share of the batches, above 0 and at most 1; default 1. */
      probability: number
    }
  | {
      /** A box of each picture comes from the one before it in the batch: torchvision's `CutMix`. */
      type: 'cutmix'
      /** The area is drawn from Beta(alpha, alpha); above 0, default 1. */
      alpha: number
      /** Share of the batches, above 0 and at most 1; default 1. */
      probability: number
    }

/** A step as it is asked for: what is absent takes its default. */
export type AugmentationOptions = Absent<Augmentation>

/** All but `type` may be absent. */
type Absent<T> = T extends { type: string }
  ? Pick<T, 'type'> & { [K in Exclude<keyof T, 'type'>]?: T[K] | null }
  : never

/** How a network is trained. What is absent takes its default: the course's recipe. */
export interface RecipeOptions extends Omit<NativeTrainOptions, 'optimizer' | 'schedule' | 'augment'> {
  /** Default Adam with learning rate 0.01. */
  optimizer?: OptimizerOptions | null
  /** Default `step`: half the learning rate every 10 epochs. */
  schedule?: ScheduleOptions | null
  /**
   * What is done to the training pictures, one step after the other; `true` (default) stands for what is usual, `false`
   * for nothing. Usual are crop (padding 4) and flip, for a folder of pictures resizedcrop and flip.
   *
   * @example [{ type: 'crop' }, { type: 'flip' }, { type: 'trivialaugment' }, { type: 'cutout', size: 8 }]
   */
  augment?: boolean | AugmentationOptions[] | null
}

/** A training run. */
export interface TrainOptions extends RecipeOptions {
  /** What to learn from. */
  data: Dataset
  /** Go on with the unfinished run whose checkpoint the network was loaded from; default false. */
  resume?: boolean
  /** The run also tells how far the evaluations at the end of an epoch are (events `evaluating`); default false. */
  evaluationEvents?: boolean
  /** When it aborts, the run ends after the current batch, and `result` rejects with the signal's reason. */
  signal?: AbortSignal
}

/**
 * Over which views of a picture the logits are averaged: `none` (default), the picture as it is; `mirror`, it and its
 * mirror image; `mirror-shift`, these two, and with half the weight both moved by a 32nd of the side towards two opposite
 * corners. Takes as many times as long as there are views: 2 and 6.
 */
export type TestTimeAugmentation = 'none' | 'mirror' | 'mirror-shift'

/** How a network is evaluated. */
export interface EvaluateOptions {
  /** Test-time augmentation; default `none`. */
  tta?: TestTimeAugmentation | null
  /** Hears after each batch how many pictures are done; what it throws ends the evaluation. */
  onProgress?: (progress: EvaluationProgress) => void
  /** When it aborts, the call rejects with the signal's reason. */
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
  optimizer: OptimizerConfig
  schedule: ScheduleConfig
  validationFraction: number
  seed: number
  augment: Augmentation[]
  labelSmoothing: number
  classWeights: 'balanced' | number[] | null
  freeze: 'backbone' | null
  freezeEpochs: number | null
  backboneRate: number
  shuffle: boolean
  limit: number | null
  logEvery: number
  precision: 'float32' | 'tf32' | 'bfloat16'
  ema: { decay: number; warmup: boolean } | null
  patience: number | null
  saveEvery: number | null
  keep: number | null
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

/**
 * A recipe for a network that begins with the weights of another (`MobileNet.create({ from })`) and for a few hundred or
 * thousand pictures: the classifier learns alone at first, then all layers, those before it more slowly.
 *
 * @example
 * const model = await MobileNet.create({ from: 'weights.safetensors', classes: data.classes.length })
 * const { augment, ...recipe } = fineTuning()
 * await model.train({ ...recipe, data }).result
 */
export function fineTuning(): TrainConfig {
  return native(() => binding().fineTuning()) as TrainConfig
}

/** A recipe with every default filled in. Throws INVALID_OPTION for what makes no sense, before any work is done. */
export function resolveRecipe(recipe: RecipeOptions): TrainConfig {
  checkParts(recipe)
  return native(() =>
    binding().resolveTrainOptions(withoutNulls(recipe) as NativeTrainOptions),
  ) as TrainConfig
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
const loadKeys: Keys<LoadOptions> = { ...networkKeys, device: true }
const downloadKeys = { directory: true, onProgress: true, signal: true } as const
const modelKeys: Keys<ModelOptions> = { ...loadKeys, ...downloadKeys, seed: true, from: true }
const importKeys: Keys<ImportOptions> = { ...loadKeys, ...downloadKeys, resize: true }
const evaluateKeys: Keys<EvaluateOptions> = { tta: true, signal: true, onProgress: true }
const onnxKeys: Keys<OnnxOptions> = { softmax: true, preprocess: true }
const quantizeKeys: Keys<QuantizeOptions> = {
  ...onnxKeys,
  quantize: true,
  calibration: true,
  signal: true,
  onProgress: true,
}
const mixKeys = { type: true, alpha: true, probability: true } as const
const augmentationKeys: { [T in Augmentation['type']]: Keys<Extract<Augmentation, { type: T }>> } = {
  resizedcrop: { type: true, area: true, ratio: true },
  crop: { type: true, padding: true },
  flip: { type: true },
  randaugment: { type: true, operations: true, magnitude: true },
  trivialaugment: { type: true },
  colorjitter: { type: true, brightness: true, contrast: true, saturation: true, hue: true },
  cutout: { type: true, size: true },
  mixup: mixKeys,
  cutmix: mixKeys,
}
const trainKeys: Keys<TrainOptions> = {
  data: true,
  epochs: true,
  batchSize: true,
  optimizer: true,
  schedule: true,
  validationFraction: true,
  seed: true,
  augment: true,
  labelSmoothing: true,
  classWeights: true,
  freeze: true,
  freezeEpochs: true,
  backboneRate: true,
  shuffle: true,
  limit: true,
  logEvery: true,
  precision: true,
  ema: true,
  patience: true,
  out: true,
  saveEvery: true,
  keep: true,
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

/** Rejects options that don't exist. */
export function checkLoadOptions(options: LoadOptions): void {
  checkKeys('MobileNet.load', options, loadKeys)
}

/** Rejects options that describe no network. */
export function checkNetworkOptions(where: string, options: NetworkOptions): void {
  checkKeys(where, options, networkKeys)
}

/** Rejects options that don't exist. */
export function checkImportOptions(options: ImportOptions): void {
  checkKeys('MobileNet.import', options, importKeys)
}

/** Rejects options that don't exist. */
export function checkOnnxOptions(options: OnnxOptions | QuantizeOptions): void {
  checkKeys('exportOnnx', options, 'quantize' in options ? quantizeKeys : onnxKeys)
  if ('quantize' in options && options.quantize !== 'int8') {
    throw new MobileNetError('INVALID_OPTION', `quantize must be int8, not ${options.quantize}`)
  }
}

/** Rejects options that don't exist. */
export function checkEvaluateOptions(options: EvaluateOptions): void {
  checkKeys('evaluate', options, evaluateKeys)
}

/** Rejects options that don't exist, here and in those that are objects. */
export function checkTrainOptions(options: TrainOptions): void {
  checkKeys('train', options, trainKeys)
  checkParts(options)
}

/** The same for a recipe alone, without what belongs to one run. */
export function checkRecipe(where: string, options: RecipeOptions): void {
  const { data, out, threads, resume, evaluationEvents, signal, ...recipeKeys } = trainKeys
  checkKeys(where, options, recipeKeys)
  checkParts(options)
}

function checkParts(options: RecipeOptions): void {
  if (options.optimizer) checkKeys('optimizer', options.optimizer, optimizerKeys)
  if (options.schedule) checkKeys('schedule', options.schedule, scheduleKeys)
  if (options.ema) checkKeys('ema', options.ema, emaKeys)
  if (options.schedule?.warmup) checkKeys('warmup', options.schedule.warmup, warmupKeys)
  if (Array.isArray(options.augment)) options.augment.forEach(checkStep)
}

function checkStep(step: { type: Augmentation['type'] }): void {
  if (typeof step !== 'object' || step === null || !Object.hasOwn(augmentationKeys, step.type)) {
    const names = Object.keys(augmentationKeys).join(', ')
    throw new MobileNetError(
      'INVALID_OPTION',
      `a step of augment is an object whose type is one of ${names}, not ${JSON.stringify(step)}`,
    )
  }
  checkKeys(step.type, step, augmentationKeys[step.type])
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
  const inner = (value: unknown) =>
    typeof value === 'object' && value !== null ? withoutNulls(value) : value
  if (Array.isArray(options)) return options.map(inner) as T
  const entries = Object.entries(options).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(entries.map(([key, value]) => [key, inner(value)])) as T
}
