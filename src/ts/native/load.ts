import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type * as Binding from './binding.js'
import { isCutOff } from './elf.js'
import { type Failure, notFound } from './not-found.js'
import { packageOf, platform, platforms } from './platform.js'
import { version } from './version.js'

/** An explicit path in this variable wins over everything else, and nothing else is tried then. */
export const variable = 'MOBILENET_NATIVE_LIBRARY_PATH'

/**
 * Where a native library comes from: the path in `MOBILENET_NATIVE_LIBRARY_PATH`, the package of the platform, a local
 * build.
 */
export type LibrarySource = 'environment' | 'package' | 'build'

/** A place where the native library can be. */
export interface Candidate {
  source: LibrarySource
  /** What `require` is given. */
  path: string
}

/** The native library that this process uses. */
export interface Loaded {
  library: typeof Binding
  source: LibrarySource
  /** The file. */
  path: string
}

// From `dist/src/ts/native`, where this file runs. In a bundle it runs elsewhere, and a bundle that is an ES module doesn't
// know where; then nothing was built beside it.
const root = join(typeof __dirname === 'string' ? __dirname : process.cwd(), '..', '..', '..', '..')
let loaded: Loaded | undefined

/** The native library; loaded at the first call, so that importing the package can't fail. */
export function binding(): typeof Binding {
  return loadedLibrary().library
}

/** The native library and where it comes from; throws `NATIVE_NOT_FOUND` when none can be loaded. */
export function loadedLibrary(): Loaded {
  loaded ??= load(candidates())
  return loaded
}

/** Where the native library can be, in the order in which it is looked for. */
function candidates(): Candidate[] {
  const explicit = process.env[variable]
  // In full: `require` would look for a relative path beside this file.
  if (explicit) return [{ source: 'environment', path: resolve(explicit) }]
  const found: Candidate[] = [{ source: 'package', path: packageOf(platform()) }]
  // Only a clone can have been built; who installed from npm need not read of it.
  if (existsSync(join(root, 'Cargo.toml'))) {
    const file = `mobilenet-native.${platform()}.node`
    found.push({ source: 'build', path: join(root, 'src', 'ts', 'native', file) })
  }
  return found
}

/** Loads the first candidate that works. */
function load(all: Candidate[]): Loaded {
  const failures: Failure[] = []
  for (const candidate of all) {
    const found = attempt(candidate)
    if ('library' in found) return found
    failures.push(found)
  }
  const [platform_, others] = [platform(), platforms.filter((name) => resolves(packageOf(name)))]
  throw notFound({ failures, platform: platform_, others, version, root })
}

function attempt(candidate: Candidate): Loaded | Failure {
  const { source, path } = candidate
  let file: string
  try {
    file = require.resolve(path)
  } catch (error) {
    // A package can be there without the file that it is about.
    const incomplete = source === 'package' && resolves(`${path}/package.json`)
    return { ...candidate, kind: incomplete ? 'unloadable' : 'missing', why: firstLine(error) }
  }
  try {
    if (process.platform === 'linux' && isCutOff(file)) {
      return { ...candidate, kind: 'unloadable', why: 'the file is shorter than it must be' }
    }
    const library = require(file) as typeof Binding
    const built = library.version?.() ?? 'unknown'
    if (built === version) return { library, source, path: file }
    return { ...candidate, kind: 'version', why: `its version is ${built}, and it must be ${version}` }
  } catch (error) {
    return { ...candidate, kind: 'unloadable', why: firstLine(error) }
  }
}

function resolves(path: string): boolean {
  try {
    require.resolve(path)
    return true
  } catch {
    return false
  }
}

/** Node's own text of a missing module goes on with a stack of requiring files. */
function firstLine(error: unknown): string {
  return (error as Error).message.split('\n')[0] ?? ''
}
