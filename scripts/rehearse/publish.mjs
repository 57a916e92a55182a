// Publishes what a release would publish, from a copy of the package.
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { must } from './run.mjs'

const require = createRequire(import.meta.url)

/**
 * The native library to publish: the one that `MOBILENET_NATIVE_LIBRARY_PATH` names, the one that was built to be released, or
 * else the one that the tests built.
 */
export function builtLibrary(root, platform) {
  const release = join(root, 'src', 'ts', 'native', `mobilenet-native.${platform}.node`)
  const named = process.env.MOBILENET_NATIVE_LIBRARY_PATH
  if (named) return { path: resolve(named), release: resolve(named) === release }
  if (existsSync(release)) return { path: release, release: true }
  const test = join(root, 'target', 'test', 'mobilenet-native.node')
  if (existsSync(test)) return { path: test, release: false }
  throw new Error('there is no native library: npm run build, or npm run build:test, goes first')
}

/**
 * Makes the packages of a release in a folder. This platform's holds the library; the others', which can't be built
 * here, hold a text instead, so that npm has something to choose from.
 */
export async function stage({ root, folder, platform, library }) {
  mkdirSync(folder, { recursive: true })
  const own = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'bin', 'dist', 'npm']
  for (const name of own) cpSync(join(root, name), join(folder, name), { recursive: true })
  for (const name of readdirSync(join(folder, 'npm'))) {
    const artifacts = join(folder, 'artifacts', name)
    mkdirSync(artifacts, { recursive: true })
    const file = join(artifacts, `mobilenet-native.${name}.node`)
    if (name === platform) {
      copyFileSync(library.path, file)
      // Six sevenths of what the tests built are lines of the source.
      if (!library.release) await must(['strip', '-S', file])
      await sign(file)
    } else writeFileSync(file, `the native library for ${name} belongs here\n`)
  }
  await must([join(root, 'scripts', 'release', 'prepare')], {
    cwd: folder,
    env: { ...process.env, REPOSITORY: 'nobody/nothing' },
  })
}

/** This platform's package in another version: the same library, with that version in it. */
export async function makeOther(folder, target, version) {
  cpSync(folder, target, { recursive: true })
  const manifest = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'))
  const file = join(target, manifest.main)
  const bytes = readFileSync(file)
  const [from, to] = [Buffer.from(manifest.version), Buffer.from(version)]
  if (from.length !== to.length) throw new Error(`${version} is not as long as ${manifest.version}`)
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at)) to.copy(bytes, at)
  writeFileSync(file, bytes)
  await sign(file)
  writeFileSync(join(target, 'package.json'), JSON.stringify({ ...manifest, version }))
  const said = require(file).version()
  if (said !== version) throw new Error(`the library says that it is ${said}`)
}

/** macOS loads no library that was changed after it was signed. */
async function sign(file) {
  if (process.platform === 'darwin') await must(['codesign', '--force', '--sign', '-', file])
}
