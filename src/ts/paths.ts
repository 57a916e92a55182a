import { fileURLToPath } from 'node:url'
import { MobileNetError } from './errors.js'
import { mustBe } from './options/types.js'

/**
 * A path, also of a `file:` URL.
 *
 * @param what Of what it is the path, for the error.
 * @throws {MobileNetError} `INVALID_OPTION` for what is no path, and for a URL that is no file's.
 */
export function toPath(path: string | URL, what = 'the path of a file'): string {
  if (path instanceof URL) {
    try {
      return fileURLToPath(path)
    } catch (error) {
      throw new MobileNetError('INVALID_OPTION', `${path} is no URL of a file here`, { cause: error })
    }
  }
  mustBe(typeof path === 'string', `${what} must be a string or a file: URL`, path)
  // What a shell makes of a variable that isn't set; some systems take it for the working directory.
  if (path === '') throw new MobileNetError('INVALID_OPTION', `${what} must not be empty`)
  return path
}
