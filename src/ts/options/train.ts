import type { Dataset } from '../dataset.js'
import { native } from '../errors.js'
import type { TrainOptions as NativeTrainOptions } from '../native/binding.js'
import { binding } from '../native/load.js'
import { toPath } from '../paths.js'
import { type Augmentation, type AugmentationOptions, checkStep } from './augment.js'
import { checkKeys, checkObject, type Keys, withoutNulls } from './keys.js'
import type { ModelConfig } from './network.js'
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
import { mustBe } from './types.js'

/** How a network is trained. What is absent takes its default: the course's recipe. */
export interface RecipeOptions
  extends Omit<NativeTrainOptions, 'optimizer' | 'schedule' | 'augment' | 'out'> {
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
  /** The run's folder, for checkpoints and all that is to be known about the run: a path or a `file:` URL; default none:
   * nothing is written. */
  out?: string | URL | null
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
  signal?: AbortSignal | undefined
}

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
 * 32x32 with a recipe tuned for accuracy; `quick` V3 small for 32x32 with a short recipe: 87 % within a quarter of an hour
 * on two CPU cores.
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
  checkObject('resolveRecipe', recipe)
  checkParts(recipe)
  return native(() => binding().resolveTrainOptions(nativeRecipe(recipe))) as TrainConfig
}

/** A recipe as the border takes it. */
export function nativeRecipe({ out, ...recipe }: RecipeOptions): NativeTrainOptions {
  const path = out == null ? {} : { out: toPath(out, 'out') }
  return { ...(withoutNulls(recipe) as NativeTrainOptions), ...path }
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

/** Rejects options that don't exist, here and in those that are objects. */
export function checkTrainOptions(options: Partial<TrainOptions>): void {
  checkKeys('train', options, trainKeys)
  const { resume } = options
  mustBe(resume == null || typeof resume === 'boolean', 'resume must be true or false', resume)
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
  const { augment } = options
  if (Array.isArray(augment)) augment.forEach(checkStep)
  else
    mustBe(
      augment == null || typeof augment === 'boolean',
      'augment must be true, false or an array of steps',
      augment,
    )
}
