import type {
  EmaOptions,
  OptimizerOptions as NativeOptimizerOptions,
  ScheduleOptions as NativeScheduleOptions,
  WarmupOptions,
} from '../native/binding.js'
import type { Keys } from './keys.js'

type OfEveryOptimizer = 'learningRate' | 'weightDecay' | 'decayNormsAndBiases' | 'clipNorm' | 'clipValue'

/** How parameters move. What is absent takes its default. */
export type OptimizerOptions =
  | ({ type?: 'adam' | 'adamw' | null } & Pick<
      NativeOptimizerOptions,
      OfEveryOptimizer | 'beta1' | 'beta2' | 'eps'
    >)
  | ({ type: 'sgd' } & Pick<NativeOptimizerOptions, OfEveryOptimizer | 'momentum' | 'nesterov'>)
  | ({ type: 'rmsprop' | 'rmsprop-tf' } & Pick<
      NativeOptimizerOptions,
      OfEveryOptimizer | 'alpha' | 'momentum' | 'eps'
    >)

/** How the learning rate moves. What is absent takes its default. */
export type ScheduleOptions =
  | ({ type: 'constant' } & Pick<NativeScheduleOptions, 'warmup'>)
  | ({ type?: 'step' | null } & Pick<NativeScheduleOptions, 'stepSize' | 'gamma' | 'warmup'>)
  | ({ type: 'multi-step'; milestones?: readonly number[] | null } & Pick<
      NativeScheduleOptions,
      'gamma' | 'warmup'
    >)
  | ({ type: 'cosine' } & Pick<NativeScheduleOptions, 'minimumLearningRate' | 'warmup'>)
  | ({ type: 'one-cycle'; warmup?: null } & Pick<
      NativeScheduleOptions,
      'riseFraction' | 'divFactor' | 'finalDivFactor'
    >)
  | ({ type: 'exponential' } & Pick<NativeScheduleOptions, 'gamma' | 'warmup'>)

/** An optimizer with every default filled in. */
export type OptimizerConfig = {
  learningRate: number
  weightDecay: number
  decayNormsAndBiases: boolean
  clipNorm: number | null
  clipValue: number | null
} & (
  | { type: 'adam' | 'adamw'; beta1: number; beta2: number; eps: number }
  | { type: 'sgd'; momentum: number; nesterov: boolean }
  | { type: 'rmsprop' | 'rmsprop-tf'; alpha: number; momentum: number; eps: number }
)

/** A schedule with every default filled in. */
export type ScheduleConfig =
  | { type: 'one-cycle'; riseFraction: number; divFactor: number; finalDivFactor: number; warmup: null }
  | ({ warmup: { epochs: number; startFactor: number; every: 'step' | 'epoch' } | null } & (
      | { type: 'constant' }
      | { type: 'step'; stepSize: number; gamma: number }
      | { type: 'multi-step'; milestones: number[]; gamma: number }
      | { type: 'cosine'; minimumLearningRate: number }
      | { type: 'exponential'; gamma: number }
    ))

/** Every option of an optimizer. */
export const optimizerKeys: Keys<NativeOptimizerOptions> = {
  type: true,
  learningRate: true,
  beta1: true,
  beta2: true,
  alpha: true,
  momentum: true,
  nesterov: true,
  eps: true,
  weightDecay: true,
  decayNormsAndBiases: true,
  clipNorm: true,
  clipValue: true,
}

/** Every option of a schedule. */
export const scheduleKeys: Keys<NativeScheduleOptions> = {
  type: true,
  stepSize: true,
  gamma: true,
  milestones: true,
  minimumLearningRate: true,
  riseFraction: true,
  divFactor: true,
  finalDivFactor: true,
  warmup: true,
}

/** Every option of a warm-up. */
export const warmupKeys: Keys<WarmupOptions> = { epochs: true, startFactor: true, every: true }

/** Every option of an average of the weights. */
export const emaKeys: Keys<EmaOptions> = { decay: true, warmup: true }
