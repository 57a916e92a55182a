import { statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Cifar10, devices, type ErrorCode, MobileNetError, nativeLibrary, version } from '../../../index.js'
import type { Deps } from './deps.js'
import { grouped, shell } from './render/text.js'

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

const { engines } = require(join(__dirname, '..', '..', '..', '..', 'package.json')) as {
  engines: { node: string }
}

/** The data set with the archive that it comes from, and a few runs. */
const bytesNeeded = 1e9

/** Everything that an installation can be ill with. */
export async function checks(deps: Deps): Promise<Check[]> {
  const library = libraryCheck(deps.env)
  const works = library.status !== 'broken'
  return [
    ok('package', `mobilenet-native ${version}`),
    ok('platform', `${process.platform} ${process.arch}${libcText()}`),
    nodeCheck(),
    library,
    works ? devicesCheck() : note('devices', 'not known without the native library', null),
    works
      ? await dataCheck(deps)
      : note('data', `not read without the native library: ${Cifar10.defaultDirectory}`, null),
    await spaceCheck('space for data', Cifar10.defaultDirectory),
    await spaceCheck('space for runs', process.cwd()),
  ]
}

/** Which C library this Node was linked with: binaries are built for one or the other. */
function libcText(): string {
  if (process.platform !== 'linux') return ''
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime ? `, glibc ${header.glibcVersionRuntime}` : ', musl'
}

function nodeCheck(): Check {
  const least = engines.node.replace('>=', '')
  const newEnough = process.versions.node.localeCompare(least, 'en', { numeric: true }) >= 0
  const detail = `${process.version} (needs ${engines.node})`
  if (newEnough) return ok('Node', detail)
  return { name: 'Node', status: 'broken', detail, fix: `install Node ${least} or newer`, code: 'INTERNAL' }
}

function libraryCheck(env: NodeJS.ProcessEnv): Check {
  const name = 'native library'
  try {
    const { path, version: built, platform } = nativeLibrary()
    const detail = `${path}\n${built} for ${platform}, ${reason(path, env)}`
    if (built === version) return ok(name, detail)
    return note(
      name,
      detail,
      'reinstall the package, or run "npm run build:native" again: the versions differ',
    )
  } catch (error) {
    const [detail = '', ...rest] = (error as Error).message.split(/\n(?=Reinstall)/)
    const fix = rest.join('\n') || 'reinstall the package, or run "npm run build:native"'
    return { name, status: 'broken', detail, fix, code: 'NATIVE_NOT_FOUND' }
  }
}

/** Why it is this file that was loaded. */
function reason(path: string, env: NodeJS.ProcessEnv): string {
  if (env.MOBILENET_NATIVE_LIBRARY_PATH) return 'named by MOBILENET_NATIVE_LIBRARY_PATH'
  if (path.includes('node_modules')) return 'from the package for this platform'
  return 'built from source, as no package for this platform is installed'
}

function devicesCheck(): Check {
  const rows = devices().map(({ name, description, threads, simd }) => {
    return `${name}: ${description}, ${simd}, ${threads} thread${threads === 1 ? '' : 's'}`
  })
  return ok('devices', rows.join('\n'))
}

async function dataCheck({ command, interrupt }: Deps): Promise<Check> {
  const download = shell([...command, 'download'])
  try {
    const { source, official, note: words, counts } = await Cifar10.open({ signal: interrupt })
    const detail = `${source}: ${grouped(counts.train)} + ${grouped(counts.test)} pictures`
    return official
      ? ok('data', `${detail}, each file as published`)
      : note('data', `${detail}\n${words ?? ''}`, null)
  } catch (error) {
    if (!(error instanceof MobileNetError)) throw error
    const folder = Cifar10.defaultDirectory
    if (error.code === 'DATASET_NOT_FOUND') {
      return note('data', `CIFAR-10 is not in ${folder} yet`, `${download}, or let train do it`)
    }
    const fix = `remove what is damaged in ${folder}, then ${download}`
    return { name: 'data', status: 'broken', detail: error.message, fix, code: error.code }
  }
}

async function spaceCheck(name: string, folder: string): Promise<Check> {
  try {
    const { bavail, bsize } = await statfs(folder)
    const free = bavail * bsize
    const detail = `${(free / 1e9).toFixed(1)} GB free in ${folder}`
    return free >= bytesNeeded
      ? ok(name, detail)
      : note(name, detail, `make room: ${bytesNeeded / 1e9} GB may be needed`)
  } catch (error) {
    const parent = dirname(resolve(folder))
    // The cache is made when it is first needed: until then, the space is that of the folder it will be in.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && parent !== folder)
      return spaceCheck(name, parent)
    return note(name, `unknown: ${(error as Error).message}`, `see that ${folder} can be read`)
  }
}

function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, fix: null }
}

function note(name: string, detail: string, fix: string | null): Check {
  return { name, status: 'note', detail, fix }
}
