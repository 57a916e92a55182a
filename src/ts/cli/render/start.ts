import type { ModelConfig, RunConfig } from '../../../../index.js'
import { recipeText } from './recipe.js'
import { epochs, grouped, labelled, printable, wrapped } from './text.js'
import type { RunFacts } from './view.js'

/** What a run is about to do, with every default filled in. */
export function renderStart(stdout: NodeJS.WriteStream, config: RunConfig, facts: RunFacts): string {
  const { total, train, validation, test } = config.pictures
  const rows: [string, string][] = [
    ['network', `${networkText(config.model)}, ${grouped(facts.parameters)} parameters`],
    ['data', printable(config.data)],
    [
      '',
      `${grouped(train)} of ${grouped(total)} to train, ${grouped(validation)} to validate, ${grouped(test)} to test`,
    ],
  ]
  if (facts.note !== null) rows.push(['', printable(facts.note)])
  rows.push(['recipe', recipeText(config.train)])
  rows.push([
    'device',
    `${config.device}, ${config.simd}, ${config.threads} thread${config.threads === 1 ? '' : 's'}`,
  ])
  if (config.out !== null) rows.push(['folder', printable(config.out)])
  if (config.resumedEpochs !== null)
    rows.push(['resumed', `after ${epochs(config.resumedEpochs, 'complete ')}`])
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
