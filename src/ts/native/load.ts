import { join } from 'node:path'
import { MobileNetError } from '../errors.js'
import type * as Binding from './binding.js'

/** An explicit path in this variable wins over everything else, and nothing else is tried then. */
const variable = 'MOBILENET_NATIVE_LIBRARY_PATH'
/** From `dist/src/ts/native`, where this file runs. */
const root = join(__dirname, '..', '..', '..', '..')

type Loaded = { library: typeof Binding; path: string }
let loaded: Loaded | undefined

/** The native library; loaded at the first call, so that importing the package can't fail. */
export function binding(): typeof Binding {
  return find().library
}

/** Which file was loaded. */
export function bindingPath(): string {
  return find().path
}

function find(): Loaded {
  loaded ??= load(candidates())
  return loaded
}

/** Where the native library can be, in the order in which it is looked for. */
export function candidates(env: NodeJS.ProcessEnv = process.env): string[] {
  const explicit = env[variable]
  if (explicit) return [explicit]
  const target = platform()
  // The package of this platform, for those who installed from npm; a build from source, for those who cloned.
  return [`mobilenet-native-${target}`, join(root, 'src', 'ts', 'native', `mobilenet-native.${target}.node`)]
}

/** Loads the first candidate that works; says why each failed when none does. */
export function load(paths: string[]): Loaded {
  const failures: string[] = []
  for (const path of paths) {
    try {
      return { library: require(path) as typeof Binding, path: require.resolve(path) }
    } catch (error) {
      // Node's own text of a missing module goes on with a stack of requiring files.
      failures.push(`  ${path}: ${(error as Error).message.split('\n')[0]}`)
    }
  }
  throw new MobileNetError(
    'NATIVE_NOT_FOUND',
    `no native library for ${platform()} (Node ${process.version}) could be loaded; tried:\n${failures.join('\n')}\n` +
      `Reinstall the package without --no-optional, build it with "npm run build:native", or set ${variable}.`,
  )
}

/** As napi-rs names platforms: `linux-x64-gnu`, `linux-x64-musl`, `darwin-arm64`, `win32-x64-msvc`, … */
export function platform(): string {
  const base = `${process.platform}-${process.arch}`
  if (process.platform === 'linux') return `${base}-${libc()}`
  return process.platform === 'win32' ? `${base}-msvc` : base
}

/** `gnu` when this Node was linked with glibc, else `musl`. */
export function libc(): 'gnu' | 'musl' {
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean }
  // The report's network part asks the system about every interface, which takes long and isn't needed.
  report.excludeNetwork = true
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime ? 'gnu' : 'musl'
}
