import type { ErrorCode } from '../../../../index.js'

/** One thing that was looked at. */
export interface Check {
  name: string
  /** `broken`: it can't work like this. */
  status: 'ok' | 'note' | 'broken'
  detail: string
  /** What to do about it. */
  fix: string | null
  /** What the library says where it meets this. */
  code?: ErrorCode
}

export function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, fix: null }
}

export function note(name: string, detail: string, fix: string | null): Check {
  return { name, status: 'note', detail, fix }
}
