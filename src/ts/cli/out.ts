import { realpathSync } from 'node:fs'
import { extname } from 'node:path'
import { MobileNetError } from '../../../index.js'

/** Rejects a file to write whose name ends with none of `endings`, or that is the file to read. */
export function checkOut(out: string, input: string, endings: string[]): void {
  if (!endings.includes(extname(out).toLowerCase())) {
    throw new MobileNetError('INVALID_OPTION', `out must end with ${endings.join(' or ')}, not ${out}`)
  }
  if (isSame(out, input)) {
    const message = `out is the file that is read, and would be overwritten: choose another name than ${out}`
    throw new MobileNetError('INVALID_OPTION', message)
  }
}

/** Whether two paths lead to one file that is there. */
function isSame(a: string, b: string): boolean {
  try {
    // The system also knows names that differ in case only, where these lead to one file.
    return realpathSync.native(a) === realpathSync.native(b)
  } catch {
    return false
  }
}
