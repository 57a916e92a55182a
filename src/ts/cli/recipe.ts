import type { Command } from 'commander'
import {
  type AugmentationOptions,
  MobileNetError,
  resolveRecipe,
  type TrainConfig,
  type TrainOptions,
} from '../../../index.js'
import { augmentation, augmentationHelp } from './augment.js'
import { addOptimOptions, type OptimFlags, optimizerOf, scheduleOf } from './optim.js'
import { defaultOf, defaultText, number, numbers } from './options.js'
import { augmentationText } from './render/recipe.js'

/** The options that describe a recipe, as commander gives them. */
export interface RecipeFlags extends OptimFlags {
  epochs?: number
  batchSize?: number
  validationFraction?: number
  seed?: number
  augment?: AugmentationOptions[] | false
  labelSmoothing?: number
  classWeights?: 'balanced' | number[]
  freeze?: string
  freezeEpochs?: number
  backboneRate?: number
  shuffle: boolean
  limit?: number
  logEvery?: number
  saveEvery?: number
  keep?: number
  precision?: string
  ema?: number | true
  emaWarmup: boolean
  patience?: number
  threads?: number
}

/** Adds the options that describe a recipe. */
export function addRecipeOptions(command: Command): Command {
  command
    .option('--epochs <n>', `passes over the training pictures${recipeDefault('epochs')}`, number)
    .option('--batch-size <n>', `pictures a step${recipeDefault('batchSize')}`, number)
  addOptimOptions(command)
  return command
    .option(
      '--validation-fraction <x>',
      `share kept for validation${recipeDefault('validationFraction')}`,
      number,
    )
    .option('--seed <n>', `decides initial weights, order and augmentation${recipeDefault('seed')}`, number)
    .option(
      '--augment <steps>',
      `what is done to the training pictures, with commas between: ${augmentationHelp}${defaultOf(({ train }) => augmentationText(train.augment))}`,
      augmentation,
    )
    .option('--no-augment', 'take the pictures as they are')
    .option(
      '--label-smoothing <x>',
      `share of a target spread over all classes${recipeDefault('labelSmoothing')}`,
      number,
    )
    .option(
      '--class-weights <weights>',
      'what each class counts in the loss: numbers with commas between, or balanced (default: all pictures count alike)',
      classWeights,
    )
    .option('--freeze <what>', 'backbone: in the first epochs, only the classifier learns')
    .option('--freeze-epochs <n>', 'in how many epochs, with --freeze (default: all)', number)
    .option(
      '--backbone-rate <x>',
      `learning rate of the layers before the classifier, as a fraction of the classifier's${defaultOf(({ train }) => train.backboneRate)}`,
      number,
    )
    .option('--no-shuffle', 'take the pictures in the same order in every epoch')
    .option('--limit <n>', 'at most this many pictures of each part (default: all)', number)
    .option(
      '--precision <name>',
      `float32; tf32 on NVIDIA cards; bfloat16 on these and on processors with AVX512_BF16${recipeDefault('precision')}`,
    )
    .option(
      '--ema [decay]',
      `average the weights, and take the average as the network${emaDefault()}`,
      number,
    )
    .option('--no-ema-warmup', 'with --ema: the whole decay from the first step on (default: less at first)')
    .option(
      '--patience <n>',
      'end when validation was not better for so many epochs (default: never)',
      number,
    )
}

function classWeights(text: string): 'balanced' | number[] {
  return text === 'balanced' ? text : numbers(text)
}

/** Its default for the help. */
export function recipeDefault(
  key: 'epochs' | 'batchSize' | 'validationFraction' | 'seed' | 'labelSmoothing' | 'logEvery' | 'precision',
): string {
  return defaultOf(({ train }) => train[key])
}

/** What was given, over the numbers of `base`. */
export function recipeOf(flags: RecipeFlags, base: TrainConfig | undefined): Omit<TrainOptions, 'data'> {
  const optimizer = optimizerOf(flags, base?.optimizer)
  const schedule = scheduleOf(flags, base?.schedule)
  const {
    epochs,
    batchSize,
    validationFraction,
    seed,
    labelSmoothing,
    classWeights,
    limit,
    logEvery,
    saveEvery,
    keep,
    patience,
    threads,
  } = flags
  const given = {
    epochs,
    batchSize,
    optimizer,
    schedule,
    validationFraction,
    seed,
    labelSmoothing,
    classWeights,
    limit,
    logEvery,
    freeze: flags.freeze as TrainOptions['freeze'],
    freezeEpochs: flags.freezeEpochs,
    backboneRate: flags.backboneRate,
    saveEvery,
    keep,
    precision: flags.precision as TrainOptions['precision'],
    ema: emaOf(flags, base?.ema),
    patience,
    threads,
    augment: flags.augment,
    // There is no option to switch it on, so true is not a wish.
    shuffle: flags.shuffle ? undefined : false,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** What was given of the average, over that of `base`. */
function emaOf({ ema, emaWarmup }: RecipeFlags, base: TrainConfig['ema'] | undefined): TrainOptions['ema'] {
  if (ema === undefined && emaWarmup) return undefined
  // Of a run that goes on, only its checkpoint knows; by itself the option would switch an average on.
  if (ema === undefined && !base) {
    throw new MobileNetError(
      'INVALID_OPTION',
      '--no-ema-warmup is for an average of the weights: give --ema, too',
    )
  }
  return {
    ...base,
    ...(typeof ema === 'number' ? { decay: ema } : {}),
    ...(emaWarmup ? {} : { warmup: false }),
  }
}

function emaDefault(): string {
  const decay = defaultText(() => [['ema', resolveRecipe({ ema: {} }).ema?.decay]])
  return decay.replace('default:', 'decay:')
}
