import { MobileNetError } from './errors.js'
import { isNumbers, mustBe } from './options/types.js'

/** How many pictures there are in normalised values `[N, 3, resolution, resolution]`. */
export function countOf(input: Float32Array, resolution: number): number {
  const size = 3 * resolution * resolution
  if (input instanceof Float32Array && input.length > 0 && input.length % size === 0)
    return input.length / size
  throw new MobileNetError(
    'INVALID_OPTION',
    `input must be a Float32Array of whole pictures of 3 * ${resolution} * ${resolution} values`,
  )
}

/** The labels of `count` pictures as the border takes them. */
export function labelsOf(labels: ArrayLike<number>, count: number, classes: number): Uint32Array {
  mustBe(isNumbers(labels), 'labels must be an array of numbers', labels)
  if (labels.length !== count) {
    throw new MobileNetError('INVALID_OPTION', `${count} pictures need ${count} labels, not ${labels.length}`)
  }
  // A typed array would make something of whatever it is given.
  return Uint32Array.from(labels, (label: unknown) => {
    const right = Number.isInteger(label) && Number(label) >= 0 && Number(label) < classes
    mustBe(right, `a label must be a whole number from 0 to ${classes - 1}`, label)
    return Number(label)
  })
}
