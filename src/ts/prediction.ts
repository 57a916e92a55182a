import { MobileNetError } from './errors.js'

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

/** Softmax, names, and the order from the most probable on. */
export function rank(
  logits: Logits,
  classes: string[],
  top: number | undefined = logits.length,
): Prediction[] {
  if (!Number.isInteger(top) || top < 1) {
    throw new MobileNetError('INVALID_OPTION', `top must be a whole number from 1, not ${top}`)
  }
  // The largest is taken off first: exp of a large logit would be infinite.
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const weights = Array.from(logits, (logit) => Math.exp(logit - largest))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights
    .map((weight, index) => ({ label: classes[index] ?? String(index), index, probability: weight / sum }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top)
}
