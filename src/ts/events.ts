import type { Metrics } from './native/binding.js'
import type { ModelConfig } from './options/network.js'
import type { TrainConfig } from './options/train.js'

/** Per-channel mean and standard deviation of values from 0 to 1, in the order red, green, blue. */
export interface Normalization {
  mean: [red: number, green: number, blue: number]
  std: [red: number, green: number, blue: number]
}

/** How a folder's pictures were made ready and divided: with this the same folder gives the same pictures again. */
export interface FolderSplit {
  /** What the shorter side of a picture was resized to, in pixels. */
  resize: number
  /** Share of every class's pictures that was for testing; null where the folder has parts. */
  testFraction: number | null
  /** Decided which pictures these were, and which are for validation. */
  seed: number
}

/** How the pictures were divided that a network was trained on. */
export interface TrainedOn {
  /** The share of the training pictures that was kept for validation. */
  validationFraction: number
  /** How they were taken from a folder; null for CIFAR-10. */
  folder: FolderSplit | null
}

/** Everything that decides a run, with every default filled in. */
export interface RunConfig {
  model: ModelConfig
  train: TrainConfig
  normalization: Normalization
  /** Where the pictures came from. */
  data: string
  /** How they were taken from a folder; null for CIFAR-10. */
  folder: FolderSplit | null
  /** They are exactly the published CIFAR-10. */
  official: boolean
  /** How many pictures the run uses; `total` are all training pictures of the data set, before split and limit. */
  pictures: { total: number; train: number; validation: number; test: number }
  /** Files of the data set that could not be read as pictures, and are left out. */
  skipped: number
  /** What each class counts in the training loss; null when all count alike. */
  classWeights: number[] | null
  /** `cpu`, or `cuda:N`. */
  device: string
  /** Instruction set chosen at run time. */
  simd: 'avx512' | 'avx2' | 'neon' | 'plain'
  /** Threads that compute. */
  threads: number
  /** The run's folder, if it has one. */
  out: string | null
  /** Epochs done before, when an earlier run goes on. */
  resumedEpochs: number | null
}

/** The end of a run. */
export interface Report {
  /** Epochs completed, those before a resume included. */
  epochs: number
  /** Steps done, those before a resume included. */
  steps: number
  /** Of the last complete epoch, mean over its batches as they were trained on. */
  train: Metrics | null
  /** After the last complete epoch; null when no share is kept for validation. */
  validation: Metrics | null
  /** After the last complete epoch; null when the data set has no test pictures. */
  test: Metrics | null
  /** The epoch (from 1) with the best validation accuracy (test accuracy where there is no validation). */
  bestEpoch: number | null
  /** That epoch's accuracy, from 0 to 1. */
  bestAccuracy: number | null
  /** The run was stopped before its last epoch, by a person or a program. */
  stopped: boolean
  /** What ended it: its last epoch, a person or a program, or its own `patience`. */
  endedBy: 'epochs' | 'stop' | 'patience'
  /** Wall-clock time of this run. */
  seconds: number
  /** The newest checkpoint, if the run has a folder. */
  checkpoint: string | null
  /** The best checkpoint, if the run has a folder and completed an epoch. */
  best: string | null
}

/** The first event. */
export interface StartEvent {
  type: 'start'
  config: RunConfig
}

/**
 * Every `logEvery` steps, and the last step of an epoch. Who iterates more slowly than the network trains misses some: a
 * step that nobody has read gives way to the next of its epoch. The log in the run's folder has them all.
 */
export interface StepEvent {
  type: 'step'
  /** From 1. */
  epoch: number
  /** From 1, within the epoch. */
  step: number
  /** Steps an epoch. */
  steps: number
  /** This batch's mean cross-entropy. */
  loss: number
  /** This batch's share of right answers, from 0 to 1. */
  accuracy: number
  /** In force for this step. */
  learningRate: number
  /** Since the last `step` event. */
  imagesPerSecond: number
}

/**
 * After each batch of the evaluations at the end of an epoch, in a run with `evaluationEvents`; as with steps, who is slow
 * misses some.
 */
export interface EvaluatingEvent {
  type: 'evaluating'
  /** From 1. */
  epoch: number
  /** Which pictures. */
  split: 'validation' | 'test'
  /** Pictures evaluated so far, of this split. */
  done: number
  /** Pictures of this split. */
  count: number
}

/** The end of each epoch. */
export interface EpochEvent {
  type: 'epoch'
  /** From 1. */
  epoch: number
  /** Mean over the epoch's batches, as they were trained on. */
  train: Metrics
  /** Null when no share is kept for validation. */
  validation: Metrics | null
  /** Null when the data set has no test pictures. */
  test: Metrics | null
  /** Wall-clock time, validation and test included. */
  seconds: number
}

/** The learning rate was set by `setLearningRate`. */
export interface LearningRateEvent {
  type: 'learningRate'
  /** Of the first step that has it; from 1. */
  epoch: number
  /** That step; from 1, within the epoch. */
  step: number
  /** What was asked for. */
  learningRate: number
  /** What the schedule had there: later rates are in that proportion to it. */
  scheduled: number
}

/** A checkpoint is in place. */
export interface CheckpointEvent {
  type: 'checkpoint'
  path: string
}

/** Something that does not end the run, but that a person should know. */
export interface WarningEvent {
  type: 'warning'
  message: string
}

/** The last event. */
export interface DoneEvent {
  type: 'done'
  report: Report
}

/** One event of a training run; `type` tells which. */
export type TrainEvent =
  | StartEvent
  | StepEvent
  | EvaluatingEvent
  | EpochEvent
  | LearningRateEvent
  | CheckpointEvent
  | WarningEvent
  | DoneEvent

/** What comes through the native queue: events, and last how the run ended. */
export type NativeMessage = TrainEvent | { type: 'error'; code: string; message: string }
