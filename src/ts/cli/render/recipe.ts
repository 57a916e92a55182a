import type { Augmentation, OptimizerConfig, ScheduleConfig, TrainConfig } from '../../../../index.js'

const optimizers: Record<OptimizerConfig['type'], string> = {
  adam: 'Adam',
  adamw: 'AdamW',
  sgd: 'SGD',
  rmsprop: 'RMSprop',
  'rmsprop-tf': "TensorFlow's RMSprop",
}

/** All of a recipe but its pictures, in a few words. */
export function recipeText(recipe: TrainConfig): string {
  const {
    epochs,
    batchSize,
    optimizer,
    schedule,
    seed,
    augment,
    labelSmoothing,
    classWeights,
    freeze,
    freezeEpochs,
    backboneRate,
    shuffle,
    precision,
    ema,
    patience,
  } = recipe
  const words = [
    `${epochs} epoch${epochs === 1 ? '' : 's'}`,
    `batch ${batchSize}`,
    optimizerText(optimizer),
    scheduleText(schedule),
    `seed ${seed}`,
  ]
  words.push(augment.length > 0 ? `augment ${augmentationText(augment)}` : 'no augmentation')
  if (labelSmoothing > 0) words.push(`label smoothing ${labelSmoothing}`)
  if (classWeights !== null) words.push(`class weights ${[classWeights].flat().join(',')}`)
  if (freeze !== null)
    words.push(`backbone frozen${freezeEpochs === null ? '' : ` for ${freezeEpochs} epochs`}`)
  if (backboneRate !== 1) words.push(`backbone x ${backboneRate}`)
  if (!shuffle) words.push('no shuffling')
  if (precision !== 'float32') words.push(precision)
  if (ema !== null) words.push(`weights averaged with decay ${ema.decay}`)
  if (patience !== null) words.push(`patience of ${patience} epoch${patience === 1 ? '' : 's'}`)
  return words.join(', ')
}

/** An optimizer in a few words. */
function optimizerText(optimizer: OptimizerConfig): string {
  const { type, learningRate, weightDecay, decayNormsAndBiases } = optimizer
  const words = [`${optimizers[type]} at ${learningRate}`]
  if ('momentum' in optimizer && optimizer.momentum > 0) {
    const nesterov = type === 'sgd' && optimizer.nesterov
    words.push(`${nesterov ? "Nesterov's momentum" : 'momentum'} ${optimizer.momentum}`)
  }
  if (optimizer.clipNorm !== null) words.push(`gradients of norm ${optimizer.clipNorm} at most`)
  if (optimizer.clipValue !== null) words.push(`gradients of ${optimizer.clipValue} at most`)
  if (weightDecay > 0) words.push(`weight decay ${weightDecay}${decayNormsAndBiases ? ' of everything' : ''}`)
  return words.join(', ')
}

/** A schedule in a few words. */
function scheduleText(schedule: ScheduleConfig): string {
  const text = curveText(schedule)
  if (schedule.warmup === null) return text
  const { epochs } = schedule.warmup
  return `${text} after a warm-up of ${epochs} epoch${epochs === 1 ? '' : 's'}`
}

function curveText(schedule: ScheduleConfig): string {
  switch (schedule.type) {
    case 'step':
      return `step ${schedule.stepSize} x ${schedule.gamma}`
    case 'multi-step':
      return `multi-step ${schedule.milestones.join(' ')} x ${schedule.gamma}`
    case 'exponential':
      return `exponential x ${schedule.gamma}`
    case 'cosine':
      return schedule.minimumLearningRate > 0 ? `cosine to ${schedule.minimumLearningRate}` : 'cosine'
    default:
      return schedule.type
  }
}

/** The steps, and the values that may follow a step's name, in their order. */
export const augmentationSteps: Record<Augmentation['type'], string[]> = {
  resizedcrop: ['area', 'ratio'],
  crop: ['padding'],
  flip: [],
  randaugment: ['operations', 'magnitude'],
  trivialaugment: [],
  colorjitter: ['brightness', 'contrast', 'saturation', 'hue'],
  cutout: ['size'],
  mixup: ['alpha', 'probability'],
  cutmix: ['alpha', 'probability'],
}

/** Steps of augmentation as `--augment` takes them. */
export function augmentationText(all: Augmentation[]): string {
  const written = (value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value)
  return all
    .map((step) => {
      const values = augmentationSteps[step.type].map((value) => written(step[value as keyof Augmentation]))
      return [step.type, ...values].join(':')
    })
    .join(',')
}
