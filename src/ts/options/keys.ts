import { MobileNetError } from '../errors.js'

/**
 * Every option of `T`: the compiler finds one that is missing. TypeScript also finds a misspelt option of a caller; from
 * plain JavaScript it would be ignored without these lists.
 */
export type Keys<T> = Record<keyof Required<T>, true>

/** Rejects what is not an object, and keys that `known` does not have. */
export function checkKeys(where: string, options: object, known: Record<string, true>): void {
  if (typeof options !== 'object' || options === null) {
    throw new MobileNetError('INVALID_OPTION', `${where} takes an object of options, not ${String(options)}`)
  }
  for (const key of Object.keys(options)) {
    if (key in known) continue
    const names = Object.keys(known).join(', ')
    throw new MobileNetError('INVALID_OPTION', `${where} has no option ${key}; there are ${names}`)
  }
}

/** Options as the border takes them: null, which stands for the default, is left out there. */
export function withoutNulls<T extends object>(options: T): T {
  const inner = (value: unknown) =>
    typeof value === 'object' && value !== null ? withoutNulls(value) : value
  if (Array.isArray(options)) return options.map(inner) as T
  const entries = Object.entries(options).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(entries.map(([key, value]) => [key, inner(value)])) as T
}
