import { familySync, versionSync } from 'detect-libc'
import { type LibrarySource, MobileNetError, nativeLibrary, version } from '../../../../index.js'
import { type Check, ok } from './check.js'

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
  const least = engines.node.replace('>=', '')
  const newEnough = process.versions.node.localeCompare(least, 'en', { numeric: true }) >= 0
  const detail = `${process.version} (needs ${engines.node})`
  if (newEnough) return ok('Node', detail)
  return { name: 'Node', status: 'broken', detail, fix: `install Node ${least} or newer`, code: 'INTERNAL' }
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
