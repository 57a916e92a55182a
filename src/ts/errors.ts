/** What kind of failure it was; stable from version to version. */
export type ErrorCode =
  | 'INVALID_OPTION'
  | 'DATASET_NOT_FOUND'
  | 'DATASET_CORRUPT'
  | 'CHECKPOINT_CORRUPT'
  | 'CHECKPOINT_MISMATCH'
  | 'IMAGE_UNREADABLE'
  | 'DEVICE_UNAVAILABLE'
  | 'OUT_OF_MEMORY'
  | 'NATIVE_NOT_FOUND'
  | 'IO'
  | 'INTERNAL'

// `satisfies` keeps this list and the type above the same.
const codes = {
  INVALID_OPTION: true,
  DATASET_NOT_FOUND: true,
  DATASET_CORRUPT: true,
  CHECKPOINT_CORRUPT: true,
  CHECKPOINT_MISMATCH: true,
  IMAGE_UNREADABLE: true,
  DEVICE_UNAVAILABLE: true,
  OUT_OF_MEMORY: true,
  NATIVE_NOT_FOUND: true,
  IO: true,
  INTERNAL: true,
} satisfies Record<ErrorCode, true>

/** Every failure of this library. `code` says what kind it was, `message` what was wrong and what to do. */
export class MobileNetError extends Error {
  override readonly name = 'MobileNetError'
  readonly code: ErrorCode
  /** What to do about it, where that is known: the end of `message`. */
  readonly fix: string | undefined

  constructor(code: ErrorCode, message: string, options?: ErrorOptions & { fix?: string }) {
    super(message, options)
    this.code = code
    this.fix = options?.fix
  }
}

/** Codes that napi-rs itself gives when a value of the wrong type reaches the native side. */
const wrongType = /(Expected|InvalidArg)$/

/** What napi-rs calls types, for who writes JavaScript. */
const types: Record<string, string> = { f64: 'a number', String: 'a string', bool: 'true or false' }

/** napi-rs's message about a value of the wrong type, in JavaScript's words: `... on ScheduleOptions.gamma on ...`. */
function plain(message: string): string {
  const list = /^Failed to get Array length on \w+\.(\w+)/.exec(message)
  if (list) return `${list[1]} must be an array`
  const missing = /^Missing field `(\w+)`$/.exec(message)
  if (missing) return `${missing[1]} is missing`
  const found =
    /^Failed to convert (?:napi|JavaScript) value `?(\w+)?.*into rust type `(\w+)`(?: on \w+\.(\w+))?/s.exec(
      message,
    )
  const [, given, type = '', name = 'a value'] = found ?? []
  const expected = types[type]
  if (expected === undefined) return message
  return `${name} must be ${expected}${given === undefined ? '' : `, not of type ${given.toLowerCase()}`}`
}

/** Makes of whatever the native side threw the error that callers know. The only place that knows how they differ. */
export function fromNative(thrown: unknown): unknown {
  if (thrown instanceof MobileNetError || !(thrown instanceof Error)) return thrown
  const code = (thrown as NodeJS.ErrnoException).code ?? 'INTERNAL'
  if (code in codes) return new MobileNetError(code as ErrorCode, thrown.message, { cause: thrown })
  if (wrongType.test(code))
    return new MobileNetError('INVALID_OPTION', plain(thrown.message), { cause: thrown })
  return new MobileNetError('INTERNAL', thrown.message, { cause: thrown })
}

/** Calls into the native side; what it throws or rejects with comes out as `MobileNetError`. */
export function native<T>(call: () => T): T {
  try {
    const result = call()
    if (!(result instanceof Promise)) return result
    return result.catch((error: unknown) => {
      throw fromNative(error)
    }) as T
  } catch (error) {
    throw fromNative(error)
  }
}

/** A file or folder that can't be read, and why. */
export function cannotRead(path: string, error: unknown): MobileNetError {
  return new MobileNetError('IO', `can't read ${path}: ${(error as Error).message}`, { cause: error })
}
