import type { EvaluationProgress } from '../native/binding.js'
import { checkKeys, type Keys } from './keys.js'
import { mustBe } from './types.js'

/**
 * Over which views of a picture the logits are averaged: `none` (default), the picture as it is; `mirror`, it and its
 * mirror image; `mirror-shift`, these two, and with half the weight both moved by a 32nd of the side towards two opposite
 * corners. Takes as many times as long as there are views: 2 and 6.
 */
export type TestTimeAugmentation = 'none' | 'mirror' | 'mirror-shift'

/** How a network is evaluated. */
export interface EvaluateOptions {
  /** Test-time augmentation; default `none`. */
  tta?: TestTimeAugmentation | null
  /** Hears after each batch how many pictures are done; what it throws ends the evaluation. */
  onProgress?: ((progress: EvaluationProgress) => void) | undefined
  /** When it aborts, the call rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

const evaluateKeys: Keys<EvaluateOptions> = { tta: true, signal: true, onProgress: true }

/** Rejects options that don't exist. */
export function checkEvaluateOptions(options: EvaluateOptions): void {
  checkKeys('evaluate', options, evaluateKeys)
  checkViews(options)
}

/** Rejects what is no name; which names there are, the core knows. */
export function checkViews({ tta }: Pick<EvaluateOptions, 'tta'>): void {
  mustBe(tta == null || typeof tta === 'string', 'tta must be none, mirror or mirror-shift', tta)
}
