import type { EpochEvent, EvaluatingEvent, RunConfig, StepEvent } from '../index.js'

/** The course's recipe, complete. */
export const courseRecipe: RunConfig['train'] = {
  epochs: 50,
  batchSize: 64,
  optimizer: {
    type: 'adam',
    learningRate: 0.01,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 0,
    decayNormsAndBiases: false,
    clipNorm: null,
    clipValue: null,
  },
  schedule: { type: 'step', stepSize: 10, gamma: 0.5, warmup: null },
  validationFraction: 0.1,
  seed: 1,
  augment: [{ type: 'crop', padding: 4 }, { type: 'flip' }],
  labelSmoothing: 0,
  classWeights: null,
  freeze: null,
  freezeEpochs: null,
  backboneRate: 1,
  shuffle: true,
  limit: null,
  logEvery: 1,
  precision: 'float32',
  ema: null,
  patience: null,
  saveEvery: null,
  keep: null,
}

/** A run's configuration: the course's, but for what is said. */
export function runConfig(train: Partial<RunConfig['train']> = {}): RunConfig {
  return {
    model: {
      variant: 'v1',
      layout: 'unpadded',
      activation: 'relu',
      width: 1,
      resolution: 32,
      classes: 10,
      dropout: 0,
    },
    train: { ...courseRecipe, ...train },
    normalization: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
    data: '/data',
    folder: null,
    official: true,
    pictures: { total: 50_000, train: 45_000, validation: 5_000, test: 10_000 },
    skipped: 0,
    classWeights: null,
    device: 'cpu',
    simd: 'avx2',
    threads: 2,
    out: 'runs/x',
    resumedEpochs: null,
  }
}

export function stepEvent(values: Partial<StepEvent>): StepEvent {
  const usual = { epoch: 1, step: 1, steps: 704, loss: 1.2345, accuracy: 0.5, learningRate: 0.01 }
  return { type: 'step', ...usual, imagesPerSecond: 1234.5, ...values }
}

export function evaluatingEvent(values: Partial<EvaluatingEvent>): EvaluatingEvent {
  return { type: 'evaluating', epoch: 1, split: 'validation', done: 64, count: 5000, ...values }
}

const metrics = { loss: 1.234567, accuracy: 0.5, correct: 50, count: 100 }

export function epochEvent(values: Partial<EpochEvent>): EpochEvent {
  return {
    type: 'epoch',
    epoch: 1,
    train: metrics,
    validation: metrics,
    test: metrics,
    seconds: 61,
    ...values,
  }
}
