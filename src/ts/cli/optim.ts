import { type Command, Option } from 'commander'
import {
  type OptimizerConfig,
  type OptimizerOptions,
  presets,
  resolveRecipe,
  type ScheduleConfig,
  type ScheduleOptions,
  type TrainConfig,
} from '../../../index.js'
import { defaultOf, defaultText, number, numbers } from './options.js'

/** The options of the optimizer and of its schedule, as commander gives them. */
export interface OptimFlags {
  optimizer?: string
  learningRate?: number
  beta1?: number
  beta2?: number
  alpha?: number
  momentum?: number
  nesterov?: boolean
  eps?: number
  weightDecay?: number
  decayNormsAndBiases?: boolean
  clipNorm?: number
  clipValue?: number
  schedule?: string
  stepSize?: number
  gamma?: number
  milestones?: number[]
  minimumLearningRate?: number
  riseFraction?: number
  divFactor?: number
  finalDivFactor?: number
  warmupEpochs?: number
  warmupStartFactor?: number
  warmupEvery?: string
}

const optimizers = ['adam', 'adamw', 'sgd', 'rmsprop', 'rmsprop-tf'] as const
/** With what they need. */
const schedules = [
  { type: 'constant' },
  { type: 'step' },
  { type: 'multi-step', milestones: [1] },
  { type: 'cosine' },
  { type: 'one-cycle' },
  { type: 'exponential' },
] as const

/** Adds the options of the optimizer and of its schedule. */
export function addOptimOptions(command: Command): Command {
  const ofOptimizers = defaultsOfTypes(
    () => optimizers.map((type) => resolveRecipe({ optimizer: { type } }).optimizer),
    (train) => train.optimizer,
  )
  const ofSchedules = defaultsOfTypes(
    () => schedules.map((schedule) => resolveRecipe({ schedule }).schedule),
    (train) => train.schedule,
  )
  const rows: [flags: string, text: string, parse?: (text: string) => unknown][] = [
    ['--optimizer <name>', `${optimizers.join(', ')}${defaultOf(({ train }) => train.optimizer.type)}`],
    [
      '--learning-rate <x>',
      `learning rate, the highest where a schedule moves it${defaultOf(({ train }) => train.optimizer.learningRate)}; of another optimizer its own default`,
      number,
    ],
    ['--momentum <x>', `share of the last update that stays${ofOptimizers('momentum')}`, number],
    ['--nesterov', `Nesterov's momentum, in sgd${ofOptimizers('nesterov')}`],
    ['--no-nesterov', 'plain momentum, in a preset that has the other'],
    ['--beta1 <x>', `share of the gradient's mean that stays${ofOptimizers('beta1')}`, number],
    ['--beta2 <x>', `share of the mean of the gradient's square that stays${ofOptimizers('beta2')}`, number],
    [
      '--alpha <x>',
      `share of the mean of the gradient's square that stays, in rmsprop${ofOptimizers('alpha')}`,
      number,
    ],
    ['--eps <x>', `keeps divisions finite${ofOptimizers('eps')}`, number],
    [
      '--weight-decay <x>',
      `pulls weights toward 0, batch norm and biases excepted${ofOptimizers('weightDecay')}`,
      number,
    ],
    ['--decay-norms-and-biases', 'the weight decay pulls on batch norm and biases, too'],
    ['--clip-norm <x>', 'the most that the norm of all gradients together is (default: no limit)', number],
    [
      '--clip-value <x>',
      'the most that each gradient is, up or down; not with --clip-norm (default: no limit)',
      number,
    ],
    [
      '--schedule <name>',
      `constant, step, multi-step, cosine, one-cycle or exponential${defaultOf(({ train }) => train.schedule.type)}`,
    ],
    ['--step-size <n>', `epochs between two drops${ofSchedules('stepSize')}`, number],
    ['--gamma <x>', `what a drop multiplies by${ofSchedules('gamma')}`, number],
    ['--milestones <list>', 'epochs after which multi-step drops, as in 30,60', numbers],
    ['--minimum-learning-rate <x>', `where the schedule ends${ofSchedules('minimumLearningRate')}`, number],
    ['--rise-fraction <x>', `share of all steps in which it rises${ofSchedules('riseFraction')}`, number],
    ['--div-factor <x>', `highest learning rate divided by the first${ofSchedules('divFactor')}`, number],
    [
      '--final-div-factor <x>',
      `first learning rate divided by the last${ofSchedules('finalDivFactor')}`,
      number,
    ],
    [
      '--warmup-epochs <n>',
      'epochs in which the learning rate rises steadily, before the schedule begins (default: 0)',
      number,
    ],
    [
      '--warmup-start-factor <x>',
      `share of the learning rate that the warm-up starts with${warmupDefault('startFactor')}`,
      number,
    ],
    ['--warmup-every <what>', `step or epoch: when the warm-up moves it${warmupDefault('every')}`],
  ]
  for (const [flags, text, parse] of rows) {
    const option = new Option(flags, text)
    command.addOption(parse ? option.argParser(parse) : option)
  }
  return command
}

/** What was given of the optimizer; of a preset's own optimizer over its numbers. */
export function optimizerOf(
  flags: OptimFlags,
  base: OptimizerConfig | undefined,
): OptimizerOptions | undefined {
  const { optimizer, learningRate, beta1, beta2, alpha, momentum, nesterov, eps, weightDecay } = flags
  const { decayNormsAndBiases, clipNorm, clipValue } = flags
  const own = { learningRate, beta1, beta2, alpha, momentum, nesterov, eps }
  const ofAll = { weightDecay, decayNormsAndBiases, clipNorm, clipValue }
  return over(base, { type: optimizer, ...own, ...ofAll }) as OptimizerOptions | undefined
}

/** What was given of the schedule; of a preset's own schedule over its numbers. */
export function scheduleOf(flags: OptimFlags, base: ScheduleConfig | undefined): ScheduleOptions | undefined {
  const { schedule, stepSize, gamma, milestones, minimumLearningRate } = flags
  const { riseFraction, divFactor, finalDivFactor } = flags
  const warmup = over(base?.warmup ?? undefined, {
    epochs: flags.warmupEpochs,
    startFactor: flags.warmupStartFactor,
    every: flags.warmupEvery,
  })
  const numbers = {
    stepSize,
    gamma,
    milestones,
    minimumLearningRate,
    riseFraction,
    divFactor,
    finalDivFactor,
  }
  return over(base, { type: schedule, ...numbers, warmup }) as ScheduleOptions | undefined
}

/** The given values over `base`, if that is of the same type; undefined when none is given. */
function over(base: object | undefined, values: Record<string, unknown>): object | undefined {
  const given = Object.entries(values).filter(([, value]) => value !== undefined)
  if (given.length === 0) return undefined
  const { type } = (base ?? {}) as { type?: unknown }
  const alike = values.type === undefined || values.type === type
  return { ...(alike ? base : {}), ...Object.fromEntries(given) }
}

/**
 * What an option is in each of an optimizer's or a schedule's types that has it, for the help; before these what it is in presets
 * that have another than their type by itself. The core is asked once for all options.
 */
function defaultsOfTypes<T extends { type: string }>(
  ofTypes: () => T[],
  ofPreset: (train: TrainConfig) => T,
): (key: string) => string {
  let known: { own: [string, ByName][]; ofPresets: [string, ByName][] } | undefined
  return (key) =>
    defaultText(() => {
      known ??= {
        own: ofTypes().map((config) => [config.type, { ...config }]),
        ofPresets: Object.entries(presets()).map(([name, { train }]) => [name, { ...ofPreset(train) }]),
      }
      const usual = new Map(known.own.map(([type, config]) => [type, config[key]]))
      const others = known.ofPresets.filter(([, config]) => config[key] !== usual.get(`${config.type}`))
      return [...others, ...known.own].map(([name, config]) => [name, config[key]])
    })
}

/** An optimizer's or a schedule's options by their names. */
type ByName = Record<string, unknown>

function warmupDefault(key: 'startFactor' | 'every'): string {
  const schedule: ScheduleOptions = { type: 'step', warmup: { epochs: 1 } }
  return defaultText(() => [['warmup', resolveRecipe({ schedule }).schedule.warmup?.[key]]])
}
