import { InvalidArgumentError } from 'commander'
import type { Augmentation, AugmentationOptions } from '../../../index.js'
import { list, number } from './options.js'
import { augmentationSteps as steps } from './render/recipe.js'

/** How each step is written. */
export const augmentationHelp = Object.entries(steps)
  .map(([type, values]) => type + values.map((value) => `[:${value.toUpperCase()}]`).join(''))
  .join(', ')

/** Reads steps: a name and its values with colons between, commas between the steps. */
export function augmentation(text: string): AugmentationOptions[] {
  return list(text).map((part) => {
    const [type = '', ...given] = part.split(':')
    const values = Object.hasOwn(steps, type) ? steps[type as Augmentation['type']] : undefined
    if (values === undefined) {
      throw new InvalidArgumentError(`"${type}" is no step; they are ${Object.keys(steps).join(', ')}.`)
    }
    if (given.length > values.length) {
      throw new InvalidArgumentError(`${type} takes ${values.join(' and ') || 'no value'}, not "${part}".`)
    }
    return {
      type,
      ...Object.fromEntries(given.map((value, i) => [values[i], number(value)])),
    } as AugmentationOptions
  })
}
