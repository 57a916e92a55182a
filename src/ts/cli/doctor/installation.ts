import { familySync, versionSync } from 'detect-libc'
import { type LibrarySource, MobileNetError, nativeLibrary, version } from '../../../../index.js'
import { type Check, ok } from './check.js'
import { isSupported, newestLine } from './node-version.js'

const { engines } = require('../../../../../package.json') as { engines: { node: string } }

const reasons: Record<LibrarySource, string> = {
  environment: 'named by MOBILENET_NATIVE_LIBRARY_PATH',
  package: 'from the package for this platform',
  build: 'built in this clone, as no package for this platform is installed',
}

export function packageCheck(): Check {
  return ok('package', `mobilenet-native ${version}`)
}

/** System, processor and, on Linux, which C library this Node was linked with: libraries are built for one. */
export function platformCheck(): Check {
  const libc = familySync()
  const text = libc === null ? '' : `, ${libc} ${versionSync() ?? 'of unknown version'}`
  return ok('platform', `${process.platform} ${process.arch}${text}`)
}

export function nodeCheck(): Check {
  const detail = `${process.version} (needs ${engines.node})`
  if (isSupported(process.versions.node, engines.node)) return ok('Node', detail)
  const fix = `install Node ${newestLine(engines.node)} or newer`
  return { name: 'Node', status: 'broken', detail, fix, code: 'INTERNAL' }
}

/** Which native library was loaded and why, or why none could be. */
export function libraryCheck(): Check {
  const name = 'native library'
  try {
    const { path, source, version: built, platform } = nativeLibrary()
    return ok(name, `${path}\n${built} for ${platform}, ${reasons[source]}`)
  } catch (error) {
    if (!(error instanceof MobileNetError)) throw error
    const { message, code, fix = null } = error
    const detail = fix === null ? message : message.slice(0, -fix.length).trimEnd()
    return { name, status: 'broken', detail, fix, code }
  }
}
