import { native } from '../errors.js'
import { binding, type LibrarySource, loadedLibrary } from './load.js'
import { platform } from './platform.js'

/** Which native library runs. */
export interface NativeLibrary {
  /** The file that was loaded. */
  path: string
  /**
   * Why it was this one: the path in `MOBILENET_NATIVE_LIBRARY_PATH`; the package for this platform; a build in this
   * clone. They are tried in this order.
   */
  source: LibrarySource
  /** Its version; always that of this package. */
  version: string
  /** As napi-rs names platforms, for example `linux-x64-gnu`. */
  platform: string
}

/** Which native library was loaded; throws `NATIVE_NOT_FOUND` when none could be. */
export function nativeLibrary(): NativeLibrary {
  return native(() => {
    const { path, source } = loadedLibrary()
    return { path, source, version: binding().version(), platform: platform() }
  })
}

export { version } from './version.js'
