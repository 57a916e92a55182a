import { MobileNetError } from '../errors.js'

/**
 * Rejects a value of a type that TypeScript would have found: a program in JavaScript gets the library's own error for it,
 * and not one from somewhere inside.
 *
 * @param rule What the value must be, as a sentence: the error is this, and what the value is instead.
 */
export function mustBe(right: boolean, rule: string, value: unknown): asserts right {
  if (!right) throw new MobileNetError('INVALID_OPTION', `${rule}, not ${described(value)}`)
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Of anything but characters. */
export function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

/** Numbers in a row, of whatever array. */
export function isNumbers(value: unknown): value is ArrayLike<number> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
}

/** By what it can do, because a test's environment may have a class of its own. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  const methods = ['addEventListener', 'removeEventListener', 'throwIfAborted'] as const
  const signal = value as AbortSignal
  return isObject(value) && 'aborted' in value && methods.every((name) => typeof signal[name] === 'function')
}

/** A value in a few characters. */
function described(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 50 ? `${value.slice(0, 50)}...` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  return `an object of ${value.constructor?.name || 'no class'}`
}
