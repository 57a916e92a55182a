import { join } from 'node:path'
import { native } from '../errors.js'
import { binding, bindingPath, platform } from './load.js'

/** Which native library runs. */
export interface NativeLibrary {
  /** The file that was loaded. */
  path: string
  /** Its version. */
  version: string
  /** As napi-rs names platforms, for example `linux-x64-gnu`. */
  platform: string
}

/** Which native library was loaded; throws `NATIVE_NOT_FOUND` when none could be. */
export function nativeLibrary(): NativeLibrary {
  return native(() => ({ path: bindingPath(), version: binding().version(), platform: platform() }))
}

/** Version of this package. */
export const version: string = (
  require(join(__dirname, '..', '..', '..', '..', 'package.json')) as { version: string }
).version
