// A machine with nothing but Node: a search path without a compiler, an npm without a cache, a home without settings.
import { accessSync, constants, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { must, run } from './run.mjs'

/** All that there is in the search path; npm runs what it runs by `sh`. */
const programs = ['node', 'npm', 'npx', 'sh']

export class Machine {
  /** @param folder a new folder, where this machine's files are. */
  constructor(folder, { address }) {
    this.folder = folder
    const [bin, home] = [join(folder, 'bin'), join(folder, 'home')]
    mkdirSync(bin, { recursive: true })
    mkdirSync(home)
    // npm installs into the next folder above that has such a file; it must not look outside of this machine.
    writeFileSync(join(folder, 'package.json'), '{}')
    for (const name of programs) symlinkSync(inPath(name), join(bin, name))
    this.env = {
      PATH: bin,
      HOME: home,
      NO_COLOR: '1',
      npm_config_registry: address,
      npm_config_fund: 'false',
      npm_config_audit: 'false',
      npm_config_update_notifier: 'false',
    }
  }

  /** An empty folder. */
  emptyFolder(name) {
    const folder = join(this.folder, name)
    mkdirSync(folder, { recursive: true })
    return folder
  }

  /** A project in which nothing is installed yet. */
  project(name, files = {}) {
    const folder = this.emptyFolder(name)
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content)
    return folder
  }

  /** Runs a program here; see `run`. */
  run(cwd, command, { env = {}, ...options } = {}) {
    return run(command, { cwd, env: { ...this.env, ...env }, ...options })
  }

  /** Runs a program that must succeed; what it printed. */
  must(cwd, command, { env = {}, ...options } = {}) {
    return must(command, { cwd, env: { ...this.env, ...env }, ...options })
  }
}

function inPath(name) {
  for (const folder of process.env.PATH.split(delimiter)) {
    try {
      const path = join(folder, name)
      accessSync(path, constants.X_OK)
      return realpathSync(path)
    } catch {}
  }
  throw new Error(`there is no ${name} in the search path`)
}
