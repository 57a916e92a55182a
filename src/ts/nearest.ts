import type { Features } from './answers.js'
import { MobileNetError } from './errors.js'
import { checkKeys } from './options/keys.js'
import { isIterable, isNumbers, mustBe } from './options/types.js'

/** How alike something is. */
export interface Neighbour<T> {
  item: T
  /** The cosine of the angle between its features and those asked for: 1 for the same, 0 for nothing in common. */
  similarity: number
}

/**
 * Those of `candidates` whose features are most like `features`, the most alike first.
 *
 * @param candidates Things with their features, all from the same network.
 * @param options `top`: how many; default all.
 */
export function nearest<T>(
  features: Features,
  candidates: Iterable<readonly [item: T, features: Features]>,
  options: { top?: number | undefined } = {},
): Neighbour<T>[] {
  checkKeys('nearest', options, { top: true })
  mustBe(isIterable(candidates), 'candidates must be an iterable of pairs [item, features]', candidates)
  const { top = Number.POSITIVE_INFINITY } = options
  if (!(top >= 1) || (Number.isFinite(top) && !Number.isInteger(top))) {
    throw new MobileNetError('INVALID_OPTION', `top must be a whole number from 1, not ${top}`)
  }
  const all = [...candidates].map((candidate) => {
    mustBe(isIterable(candidate), 'a candidate must be a pair [item, features]', candidate)
    const [item, other] = candidate
    return { item, similarity: cosine(features, other) }
  })
  return all.sort((a, b) => b.similarity - a.similarity).slice(0, top)
}

function cosine(a: Features, b: Features): number {
  for (const features of [a, b]) {
    mustBe(isNumbers(features), 'features must be a Float32Array, as embed gives it', features)
  }
  if (a.length !== b.length) {
    throw new MobileNetError(
      'INVALID_OPTION',
      `features of the same network have the same length, not ${a.length} and ${b.length}`,
    )
  }
  const product = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  // All features are 0: like nothing.
  return Number.isNaN(product) ? 0 : product
}

function dot(a: Features, b: Features): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
}
