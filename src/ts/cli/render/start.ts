import type { ModelConfig, RunConfig, TrainConfig } from '../../../../index.js'
import { augmentationText, optimizerText, scheduleText } from './recipe.js'
import { grouped, labelled, wrapped } from './text.js'
import type { RunFacts } from './view.js'

/** What a run is about to do, with every default filled in. */
export function renderStart(stdout: NodeJS.WriteStream, config: RunConfig, facts: RunFacts): string {
  const { total, train, validation, test } = config.pictures
  const rows: [string, string][] = [
    ['network', `${networkText(config.model)}, ${grouped(facts.parameters)} parameters`],
    ['data', config.data],
    [
      '',
      `${grouped(train)} of ${grouped(total)} to train, ${grouped(validation)} to validate, ${grouped(test)} to test`,
    ],
  ]
  if (facts.note !== null) rows.push(['', facts.note])
  rows.push(['recipe', recipeText(config.train)])
  rows.push([
    'device',
    `${config.device}, ${config.simd}, ${config.threads} thread${config.threads === 1 ? '' : 's'}`,
  ])
  if (config.out !== null) rows.push(['folder', config.out])
  if (config.resumedEpochs !== null) rows.push(['resumed', `after ${config.resumedEpochs} complete epochs`])
  return `${labelled(stdout, wrapped(stdout.columns, rows))}\n`
}

/** A network in a few words. */
export function networkText({
  variant,
  layout,
  activation,
  width,
  resolution,
  classes,
  dropout,
}: ModelConfig): string {
  const words = [
    `MobileNet ${variant} ${layout}`,
    `width ${width}`,
    `${resolution}x${resolution}`,
    `${classes} classes`,
    activation,
  ]
  if (dropout > 0) words.push(`dropout ${dropout}`)
  return words.join(', ')
}

function recipeText(recipe: TrainConfig): string {
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
