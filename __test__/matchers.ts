import { expect } from 'vitest'

// A RegExp has no keys of its own, so `toMatchObject({ message: /x/ })` takes any text. Here it fails, and says how to write it.
expect.addEqualityTesters([
  (received, expected) => {
    if (expected instanceof RegExp && !(received instanceof RegExp)) {
      throw new Error(`${expected} is compared with no text; write expect.stringMatching(${expected})`)
    }
    return undefined
  },
])
