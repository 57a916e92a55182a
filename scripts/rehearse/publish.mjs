// Publishes what a release would publish, from a copy of the package.
import { execFileSync } from 'node:child_process'
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
import { join } from 'node:path'

const require = createRequire(import.meta.url)

/** The native library to publish: the one that was built to be released, or else the one that the tests built. */
export function builtLibrary(root, platform) {
  const release = join(root, 'src', 'ts', 'native', `mobilenet-native.${platform}.node`)
  if (existsSync(release)) return { path: release, release: true }
  const test = join(root, 'target', 'test', 'mobilenet-native.node')
  if (existsSync(test)) return { path: test, release: false }
  throw new Error('there is no native library: npm run build, or npm run build:test, goes first')
}

/**
 * Makes the packages of a release in a folder. This platform's holds the library; the others', which can't be built
 * here, hold a text instead, so that npm has something to choose from.
 */
export function stage({ root, folder, platform, library }) {
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
      if (!library.release) execFileSync('strip', ['-S', file])
    } else writeFileSync(file, `the native library for ${name} belongs here\n`)
  }
  execFileSync(join(root, 'scripts', 'release', 'prepare'), {
    cwd: folder,
    env: { ...process.env, REPOSITORY: 'nobody/nothing' },
    // If it fails, the error has what it said.
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}

/** This platform's package in another version: the same library, with that version in it. */
export function makeOther(folder, target, version) {
  cpSync(folder, target, { recursive: true })
  const manifest = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'))
  const file = join(target, manifest.main)
  const bytes = readFileSync(file)
  const [from, to] = [Buffer.from(manifest.version), Buffer.from(version)]
  if (from.length !== to.length) throw new Error(`${version} is not as long as ${manifest.version}`)
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at)) to.copy(bytes, at)
  writeFileSync(file, bytes)
  writeFileSync(join(target, 'package.json'), JSON.stringify({ ...manifest, version }))
  const said = require(file).version()
  if (said !== version) throw new Error(`the library says that it is ${said}`)
}
