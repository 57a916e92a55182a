import type { Command } from 'commander'
import type { TrainConfig, TrainOptions } from '../../../index.js'
import { defaultOf, number } from './options.js'

/** The options that describe a recipe, as commander gives them. */
export interface RecipeFlags {
  epochs?: number
  batchSize?: number
  optimizer?: string
  learningRate?: number
  schedule?: string
  stepSize?: number
  gamma?: number
  validationFraction?: number
  seed?: number
  augment: boolean
  shuffle: boolean
  limit?: number
  logEvery?: number
  precision?: string
  threads?: number
}

/** Adds the options that describe a recipe. */
export function addRecipeOptions(command: Command): Command {
  return command
    .option('--epochs <n>', `passes over the training pictures${recipeDefault('epochs')}`, number)
    .option('--batch-size <n>', `pictures a step${recipeDefault('batchSize')}`, number)
    .option('--optimizer <name>', `adam${defaultOf(({ train }) => train.optimizer.type)}`)
    .option(
      '--learning-rate <x>',
      `at the top${defaultOf(({ train }) => train.optimizer.learningRate)}`,
      number,
    )
    .option(
      '--schedule <name>',
      `constant, step, cosine or one-cycle${defaultOf(({ train }) => train.schedule.type)}`,
    )
    .option('--step-size <n>', `epochs between two drops, in step${stepDefault('stepSize')}`, number)
    .option('--gamma <x>', `what a drop multiplies by, in step${stepDefault('gamma')}`, number)
    .option(
      '--validation-fraction <x>',
      `share kept for validation${recipeDefault('validationFraction')}`,
      number,
    )
    .option('--seed <n>', `decides weights, order and augmentation${recipeDefault('seed')}`, number)
    .option('--no-augment', 'take the pictures as they are, without crop and flip')
    .option('--no-shuffle', 'take the pictures in the same order in every epoch')
    .option('--limit <n>', 'at most this many pictures of each part (default: all)', number)
    .option(
      '--precision <name>',
      `float32, or bfloat16 on processors with AVX512_BF16${recipeDefault('precision')}`,
    )
}

/** Its default for the help. */
export function recipeDefault(
  key: 'epochs' | 'batchSize' | 'validationFraction' | 'seed' | 'logEvery' | 'precision',
): string {
  return defaultOf(({ train }) => train[key])
}

function stepDefault(key: 'stepSize' | 'gamma'): string {
  return defaultOf(({ train }) => (train.schedule.type === 'step' ? train.schedule[key] : undefined))
}

/** What was given, over the numbers of `base`. */
export function recipeOf(flags: RecipeFlags, base: TrainConfig | undefined): Omit<TrainOptions, 'data'> {
  const optimizer = optimizerOf(flags, base?.optimizer)
  const schedule = scheduleOf(flags, base?.schedule)
  const { epochs, batchSize, validationFraction, seed, limit, logEvery, threads } = flags
  const given = {
    epochs,
    batchSize,
    optimizer,
    schedule,
    validationFraction,
    seed,
    limit,
    logEvery,
    precision: flags.precision as TrainOptions['precision'],
    threads,
    // There is no option to switch these on, so true is not a wish.
    augment: flags.augment ? undefined : false,
    shuffle: flags.shuffle ? undefined : false,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function optimizerOf(
  { optimizer, learningRate }: RecipeFlags,
  base: TrainConfig['optimizer'] | undefined,
): TrainOptions['optimizer'] | undefined {
  if (optimizer === undefined && learningRate === undefined) return undefined
  const given = {
    ...(optimizer === undefined ? {} : { type: optimizer as 'adam' }),
    ...(learningRate === undefined ? {} : { learningRate }),
  }
  return { ...base, ...given }
}

function scheduleOf(
  { schedule, stepSize, gamma }: RecipeFlags,
  base: TrainConfig['schedule'] | undefined,
): TrainOptions['schedule'] | undefined {
  if (schedule === undefined && stepSize === undefined && gamma === undefined) return undefined
  const type = (schedule ?? base?.type) as TrainConfig['schedule']['type']
  return {
    // The preset's numbers belong to the preset's schedule.
    ...(base?.type === type ? base : {}),
    type,
    ...(stepSize === undefined ? {} : { stepSize }),
    ...(gamma === undefined ? {} : { gamma }),
  }
}
