import { MobileNetError } from '../errors.js'
import { isAbortSignal, isObject, mustBe } from './types.js'

/**
 * Every option of `T`: the compiler finds one that is missing. TypeScript also finds a misspelt option of a caller; from
 * plain JavaScript it would be ignored without these lists.
 */
export type Keys<T> = Record<keyof Required<T>, true>

/** Rejects what is not an object, keys that `known` does not have, and signals and listeners that are none. */
export function checkKeys(where: string, options: object, known: Record<string, true>): void {
  checkObject(where, options)
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(known, key)) {
      const names = Object.keys(known).join(', ')
      throw new MobileNetError('INVALID_OPTION', `${where} has no option ${key}; there are ${names}`)
    }
    if (value !== undefined && value !== null) checkValue(key, value)
  }
}

/** Rejects what is not an object. */
export function checkObject(where: string, options: object): void {
  mustBe(isObject(options), `${where} takes an object of options`, options)
}

/** Only JavaScript looks at these; a wrong one would be found when the work is done, and nobody listens any more. */
function checkValue(key: string, value: unknown): void {
  if (key === 'signal' || key === 'stop') {
    mustBe(isAbortSignal(value), `${key} must be an AbortSignal (the .signal of an AbortController)`, value)
  }
  if (/^on[A-Z]/.test(key)) mustBe(typeof value === 'function', `${key} must be a function`, value)
}

/** Options as the border takes them: null, which stands for the default, is left out there. */
export function withoutNulls<T extends object>(options: T): T {
  const inner = (value: unknown) =>
    typeof value === 'object' && value !== null ? withoutNulls(value) : value
  if (Array.isArray(options)) return options.map(inner) as T
  const entries = Object.entries(options).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(entries.map(([key, value]) => [key, inner(value)])) as T
}
