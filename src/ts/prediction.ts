import { MobileNetError } from './errors.js'
import { mustBe } from './options/types.js'

/** `[classes]`: what the network says before softmax. */
export type Logits = Float32Array

/** One class for a picture. */
export interface Prediction {
  /** The class's name, or its number when the network knows no names. */
  label: string
  /** Its number, from 0. */
  index: number
  /** From 0 to 1; over all classes they add up to 1. */
  probability: number
}

/** Also called before the first picture is read. */
export function checkTop(top: number): void {
  mustBe(Number.isInteger(top) && top >= 1, 'top must be a whole number from 1', top)
}

/** Softmax, names, and the order from the most probable on. */
export function rank(
  logits: Logits,
  classes: string[],
  top: number | undefined = logits.length,
): Prediction[] {
  checkTop(top)
  // Of another network they would get this one's names, and nobody would see that the answer is nonsense.
  if (logits.length !== classes.length) {
    throw new MobileNetError(
      'INVALID_OPTION',
      `logits must have a value for each of the ${classes.length} classes, not ${logits.length}`,
    )
  }
  // Plain loops: with a thousand classes, iterators and callbacks take as long as decoding half a picture.
  let largest = Number.NEGATIVE_INFINITY
  for (let index = 0; index < logits.length; index++) largest = Math.max(largest, logits[index] as number)
  const weights = new Float64Array(logits.length)
  let sum = 0
  for (let index = 0; index < weights.length; index++) {
    // The largest is taken off first: exp of a large logit would be infinite.
    const weight = Math.exp((logits[index] as number) - largest)
    weights[index] = weight
    sum += weight
  }
  // Objects are made of those alone that are wanted.
  const least = top < weights.length ? (weights.toSorted().at(-top) as number) : 0
  const best: Prediction[] = []
  for (let index = 0; index < weights.length; index++) {
    const weight = weights[index] as number
    if (weight < least) continue
    best.push({ label: classes[index] ?? String(index), index, probability: weight / sum })
  }
  return best.sort((a, b) => b.probability - a.probability).slice(0, top)
}
