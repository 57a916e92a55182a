import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { nativeLibrary } from 'mobilenet-native'
import type { Json } from './cli.js'

const root = join(import.meta.dirname, '..')
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** A folder with this package in its `node_modules` as npm would put it there: what is published, and nothing else. */
export class Installation {
  readonly modules: string

  /** @param version of the package, if it isn't to be its own. */
  constructor(folder: string, version?: string) {
    this.modules = join(folder, 'node_modules')
    const own = join(this.modules, 'mobilenet-native')
    mkdirSync(own, { recursive: true })
    for (const name of ['package.json', 'bin', 'dist']) {
      cpSync(join(root, name), join(own, name), { recursive: true, filter: (path) => !path.endsWith('.map') })
    }
    for (const name of Object.keys(dependencies)) {
      symlinkSync(join(root, 'node_modules', name), join(this.modules, name), 'junction')
    }
    if (version === undefined) return
    const manifest = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8'))
    writeFileSync(join(own, 'package.json'), JSON.stringify({ ...manifest, version }))
  }

  /** Adds the package of a platform; what its file holds is said, or it is this machine's native library. */
  add(platform: string, content?: string | Uint8Array): this {
    const folder = join(this.modules, `mobilenet-native-${platform}`)
    cpSync(join(root, 'npm', platform), folder, { recursive: true })
    const file = join(folder, `mobilenet-native.${platform}.node`)
    if (content === undefined) symlinkSync(nativeLibrary().path, file)
    else writeFileSync(file, content)
    return this
  }

  /** Adds the package of a platform as it is where its file was lost. */
  addEmpty(platform: string): this {
    cpSync(join(root, 'npm', platform), join(this.modules, `mobilenet-native-${platform}`), {
      recursive: true,
    })
    return this
  }

  /**
   * Which library a program in that folder gets, or which error.
   *
   * @param machine what `process` says of the machine, if it isn't to be this one.
   */
  async library(
    machine: { platform?: string; arch?: string } = {},
    env: NodeJS.ProcessEnv = {},
  ): Promise<Json> {
    const program = `
      for (const [name, value] of Object.entries(${JSON.stringify(machine)})) Object.defineProperty(process, name, { value })
      const { nativeLibrary } = require('mobilenet-native')
      let found
      try { found = nativeLibrary() } catch ({ name, code, message, fix }) { found = { name, code, message, fix } }
      console.log(JSON.stringify(found))`
    const { MOBILENET_NATIVE_LIBRARY_PATH: _, ...rest } = process.env
    const { stdout } = await promisify(execFile)(process.execPath, ['--eval', program], {
      cwd: join(this.modules, '..'),
      env: { ...rest, ...env },
    })
    return JSON.parse(stdout)
  }
}
