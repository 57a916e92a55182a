import { expect, it } from 'vitest'

it('a pattern is no text, and a test that compares them as if it were fails', () => {
  const told = '/x/ is compared with no text; write expect.stringMatching(/x/)'
  expect(() => expect({ message: 'y' }).toMatchObject({ message: /x/ })).toThrow(told)
  expect(() => expect({ deep: [{ message: 'x' }] }).toMatchObject({ deep: [{ message: /x/ }] })).toThrow(told)
  expect(() => expect({ message: 'x' }).toEqual({ message: /x/ })).toThrow(told)
  expect({ message: 'x', pattern: /x/ }).toEqual({ message: expect.stringMatching(/x/), pattern: /x/ })
})
