import { expect } from 'vitest'

// How fast something is, no test can say.

/** Of what was measured. */
export const positive = expect.toSatisfy((value) => Number.isFinite(value) && value > 0, 'a number above 0')

/** Of the machine's peak, which its own measuring may miss. */
export const share = expect.toSatisfy((value) => value > 0 && value < 1.5, 'a share')
