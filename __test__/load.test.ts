import { execFile } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as esm from 'mobilenet-native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'

const scratch = new Scratch()
const variable = 'MOBILENET_NATIVE_LIBRARY_PATH'
const root = join(import.meta.dirname, '..')

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
    expect(used).toMatchObject({ path: process.env[variable], version: esm.version })
    // By another path, so that it can't have been found in any other way.
    const other = scratch.at('other.node')
    symlinkSync(used.path, other)
    const flags = { NODE_OPTIONS: '--preserve-symlinks' }
    expect(await program('module', code, { ...flags, [variable]: other })).toEqual({ ...used, path: other })
  })

  const fails = (env: NodeJS.ProcessEnv) =>
    program(
      'module',
      `import { MobileNet } from 'mobilenet-native'
       const { name, code, message } = await MobileNet.create().catch((error) => error)
       console.log(JSON.stringify({ name, code, message }))`,
      env,
    )

  it('that is missing is an error that says what was tried', async () => {
    const path = scratch.at('nothing.node')
    const error = await fails({ [variable]: path })
    expect(error).toMatchObject({ name: 'MobileNetError', code: 'NATIVE_NOT_FOUND' })
    expect(error.message).toMatch(/no native library for \S+ \(Node v\d/)
    expect(error.message).toContain(`  ${path}: Cannot find module`)
    expect(error.message).toContain('npm run build:native')
  })

  it('that is something else is an error with the reason', async () => {
    const path = scratch.at('text.node')
    writeFileSync(path, 'not a library')
    const error = await fails({ [variable]: path })
    expect(error.code).toBe('NATIVE_NOT_FOUND')
    const why = error.message.split(`  ${path}: `)[1]
    expect(why).toMatch(/^.*(invalid ELF|too short|slice|Win32)/)
  })
})
