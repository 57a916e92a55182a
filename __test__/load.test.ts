import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import * as esm from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'
import { Installation } from './installation.js'

const scratch = new Scratch()
const variable = 'MOBILENET_NATIVE_LIBRARY_PATH'
const root = join(import.meta.dirname, '..')
const here = esm.nativeLibrary().platform
/** A platform that this machine can't be. */
const other = here === 'win32-arm64-msvc' ? 'darwin-x64' : 'win32-arm64-msvc'
/** What the systems' loaders say of a file that is no library: glibc's, musl's, macOS's and Windows'. */
const notLibrary = /(invalid ELF|too short|Exec format|mach-o|slice|Win32)/

/** A project that has this package installed. */
const project = scratch.at('project')
beforeAll(() => {
  mkdirSync(join(project, 'node_modules'), { recursive: true })
  symlinkSync(root, join(project, 'node_modules', 'mobilenet-native'), 'junction')
})
afterAll(() => scratch.remove())

/** What a program in that project prints, as JSON. */
async function program(type: 'module' | 'commonjs', code: string, env: NodeJS.ProcessEnv = {}) {
  const args = [`--input-type=${type}`, '--eval', code]
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: project,
    env: { ...process.env, ...env },
  })
  return JSON.parse(stdout)
}

describe('the package', () => {
  const use = `
    const { parameters } = await MobileNet.create({ layout: 'cifar', width: 0.25 })
    console.log(JSON.stringify({ parameters, names: Object.keys(all).sort() }))`
  // What `import` gives must be what `require` gives: the entry for `import` repeats the names.
  const exported = Object.keys(createRequire(import.meta.url)('mobilenet-native')).sort()

  it('can be imported', async () => {
    const code = `import * as all from 'mobilenet-native'\nimport { MobileNet } from 'mobilenet-native'${use}`
    expect(await program('module', code)).toMatchObject({ parameters: expect.any(Number), names: exported })
  })

  it('can be required', async () => {
    const code = `const all = require('mobilenet-native'); const { MobileNet } = all\n;(async () => {${use}})()`
    expect(await program('commonjs', code)).toMatchObject({ parameters: expect.any(Number), names: exported })
  })

  it('has one set of classes, however it is loaded', () => {
    const cjs = createRequire(import.meta.url)('mobilenet-native') as typeof esm
    expect(cjs.MobileNet).toBe(esm.MobileNet)
    expect(cjs.MobileNetError).toBe(esm.MobileNetError)
  })

  it('does not touch the native library before the first call', async () => {
    const code = `import { version } from 'mobilenet-native'; console.log(JSON.stringify(version))`
    expect(await program('module', code, { [variable]: scratch.at('nothing.node') })).toBe(esm.version)
  })
})

describe('the native library', () => {
  it('is the one that the environment names', async () => {
    const code = `import { nativeLibrary } from 'mobilenet-native'; console.log(JSON.stringify(nativeLibrary()))`
    const used = esm.nativeLibrary()
    const named = resolve(process.env[variable] ?? '')
    expect(used).toMatchObject({ path: named, source: 'environment', version: esm.version })
    // By another path, so that it can't have been found in any other way.
    const other = scratch.at('other.node')
    symlinkSync(used.path, other)
    const flags = { NODE_OPTIONS: '--preserve-symlinks' }
    expect(await program('module', code, { ...flags, [variable]: other })).toEqual({ ...used, path: other })
  })

  it('can be named by a path from the working directory', async () => {
    const near = new Installation(scratch.at('near'))
    const { path } = esm.nativeLibrary()
    symlinkSync(path, scratch.at('near', 'library.node'))
    const found = await near.library({}, { [variable]: 'library.node' })
    expect(found).toMatchObject({ path, source: 'environment' })
  })

  it('that is missing is an error that says what was tried', async () => {
    const path = scratch.at('nothing.node')
    const { name, code, message, fix } = await new Installation(scratch.at('missing')).library(
      {},
      { [variable]: path },
    )
    expect({ name, code }).toEqual({ name: 'MobileNetError', code: 'NATIVE_NOT_FOUND' })
    expect(message).toMatch(/no native library for \S+ \(Node v\d/)
    expect(message).toContain(`  ${path} (from ${variable}): Cannot find module`)
    expect(fix).toBe(
      `Set ${variable} to a native library of version ${esm.version} for ${here}, or unset it.`,
    )
    expect(message.endsWith(`\n${fix}`)).toBe(true)
  })

  it('that is something else is an error with the reason', async () => {
    const path = scratch.at('text.node')
    writeFileSync(path, 'not a library')
    const error = await new Installation(scratch.at('text')).library({}, { [variable]: path })
    expect(error.code).toBe('NATIVE_NOT_FOUND')
    const why = error.message.split(`(from ${variable}): `)[1]
    expect(why?.split('\n')[0]).toMatch(notLibrary)
  })
})

describe('the package of the platform', () => {
  const install = `npm install mobilenet-native@${esm.version}`

  /** An installation of a project of its own, or one that belongs to no project. */
  function installation({
    name,
    project = true,
    version,
  }: {
    name: string
    project?: boolean
    version?: string
  }) {
    mkdirSync(scratch.at(name), { recursive: true })
    if (project) writeFileSync(scratch.at(name, 'package.json'), '{}')
    return new Installation(scratch.at(name), version)
  }

  it('is used', async () => {
    const found = await installation({ name: 'whole' }).add(here).library()
    expect(found).toEqual({ ...esm.nativeLibrary(), source: 'package' })
  })

  it('gives way to a path in the environment', async () => {
    const damaged = installation({ name: 'explicit' }).add(here, 'not a library')
    const { path } = esm.nativeLibrary()
    expect(await damaged.library({}, { [variable]: path })).toMatchObject({ path, source: 'environment' })
  })

  it('that was left out is an error that says how to get it', async () => {
    const { code, message, fix } = await installation({ name: 'omitted' }).library()
    expect(code).toBe('NATIVE_NOT_FOUND')
    expect(message).toContain(`\n  package mobilenet-native-${here}: not installed\n`)
    expect(fix).toContain('--omit=optional')
    expect(fix).toContain(`Type: npm install --include=optional mobilenet-native@${esm.version}`)
  })

  it('of another platform is an error that says so', async () => {
    const { message, fix } = await installation({ name: 'other' })
      .add(other, 'a library of another platform')
      .library()
    expect(message).toContain(`mobilenet-native-${here}: not installed; installed is that for ${other}\n`)
    expect(fix).toMatch(/Remove it and type here: npm install$/)
  })

  it('of another version is an error with both', async () => {
    const { message, fix } = await installation({ name: 'version', version: '99.0.0' }).add(here).library()
    expect(message).toContain(
      `mobilenet-native-${here}: its version is ${esm.version}, and it must be 99.0.0\n`,
    )
    expect(fix).toMatch(/npm uninstall mobilenet-native && npm install mobilenet-native@99\.0\.0$/)
  })

  it('that is damaged is an error with the reason', async () => {
    const { message, fix } = await installation({ name: 'damaged' }).add(here, 'not a library').library()
    expect(message).toMatch(new RegExp(`mobilenet-native-${here}: .*${notLibrary.source}`))
    expect(fix).toContain(`npm uninstall mobilenet-native && ${install}`)
  })

  it.runIf(process.platform === 'linux')('that was cut off is an error, and does not end Node', async () => {
    const whole = readFileSync(esm.nativeLibrary().path)
    const half = whole.subarray(0, whole.length / 2)
    const { message, fix } = await installation({ name: 'cut' }).add(here, half).library()
    expect(message).toContain(`mobilenet-native-${here}: the file is shorter than it must be\n`)
    expect(fix).toContain(`npm uninstall mobilenet-native && ${install}`)
  })

  it('without its file is damaged', async () => {
    const { message, fix } = await installation({ name: 'empty' }).addEmpty(here).library()
    expect(message).toContain(`mobilenet-native-${here}: Cannot find module`)
    expect(fix).toContain(`npm uninstall mobilenet-native && ${install}`)
  })

  it('does not exist for every platform', async () => {
    const { message, fix } = await installation({ name: 'exotic' }).add(here).library({ arch: 'ia32' })
    expect(message).toMatch(/mobilenet-native-\S+-ia32\S*: there is no package for this platform/)
    expect(fix).toContain('There are packages for darwin-arm64, darwin-x64, linux-arm64-gnu')
    expect(fix).toContain('build from source')
  })

  it('is named as the system needs it', async () => {
    const mac = installation({ name: 'mac' }).add('darwin-arm64', 'a library of another platform')
    const { message } = await mac.library({ platform: 'darwin', arch: 'arm64' })
    expect(message).toMatch(
      /^no native library for darwin-arm64 .*\n {2}package mobilenet-native-darwin-arm64: /,
    )
  })

  it('is repaired globally where it was installed globally', async () => {
    const { fix } = await installation({ name: 'global', project: false }).library()
    expect(fix).toContain(`npm install --global --include=optional mobilenet-native@${esm.version}`)
  })

  it('is repaired in the folder of npx where npx installed it', async () => {
    const folder = join('_npx', '0123456789abcdef')
    const { fix } = await installation({ name: folder }).add(here, 'not a library').library()
    expect(fix).toBe(`Remove the folder ${realpathSync(scratch.at(folder))} and call npx again.`)
  })
})
