import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { globSync } from 'tinyglobby'
import { afterAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'
import { npm } from './npm.js'

const root = join(import.meta.dirname, '..')
const json = (...path: string[]) => JSON.parse(readFileSync(join(root, ...path), 'utf8'))
const main = json('package.json')
const platforms = readdirSync(join(root, 'npm')).sort()

/** The files below a folder that git would take, in order: a built library may lie beside them. */
function filesIn(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  const paths = files.map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
  return paths.filter((path) => !path.endsWith('.node')).sort()
}

/** What npm would publish from a folder. */
function packed(folder: string): { unpackedSize: number; files: string[] } {
  const output = npm(['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: folder })
  const [{ unpackedSize, files }] = JSON.parse(output)
  return { unpackedSize, files: files.map((file: { path: string }) => file.path) }
}

describe('the package', () => {
  const { files, unpackedSize } = packed(root)

  it('holds what its manifest points at', () => {
    const { import: esm, require: cjs } = main.exports['.']
    const named = [
      main.main,
      main.types,
      esm.types,
      esm.default,
      cjs.types,
      cjs.default,
      ...Object.values(main.bin),
    ]
    expect(files).toEqual(expect.arrayContaining(named.map((path: string) => path.replace(/^\.\//, ''))))
    expect(files).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']))
    expect(files).toContain('dist/src/ts/native/binding.d.ts')
  })

  it('holds nothing else: no source, no test, no native library', () => {
    expect(files.filter((path) => !/^(bin|dist)\/|^[^/]+$/.test(path))).toEqual([])
    expect(files.filter((path) => /\.(node|map|rs)$|__test__|(?<!\.d)\.ts$/.test(path))).toEqual([])
    // The command line has no types that anyone could use.
    expect(files.filter((path) => /^dist\/src\/ts\/cli\/.*\.d\.ts$/.test(path))).toEqual([])
  })

  it('takes less than a megabyte when it is installed', () => {
    expect(unpackedSize).toBeLessThan(1_000_000)
  })

  it('runs nothing when it is installed', () => {
    const scripts = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']
    expect(scripts.filter((name) => name in main.scripts)).toEqual([])
  })
})

describe('the packages of the platforms', () => {
  const scratch = new Scratch()
  afterAll(() => scratch.remove())

  it('are those that napi makes of the main package', () => {
    writeFileSync(scratch.at('package.json'), JSON.stringify(main))
    mkdirSync(scratch.at('npm'))
    const napi = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
    execFileSync(process.execPath, [napi, 'create-npm-dirs'], { cwd: scratch.path })
    const made = (folder: string) =>
      filesIn(folder).map((path) => [path, readFileSync(join(folder, path), 'utf8')])
    expect(made(join(root, 'npm'))).toEqual(made(scratch.at('npm')))
  })

  it('are those that the loader knows', async () => {
    const { platforms: known } = await import(join(root, 'dist', 'src', 'ts', 'native', 'platform.js'))
    expect([...known]).toEqual(platforms)
  })

  it.each(platforms)('%s is installed only where it runs', (platform) => {
    const [os, cpu, abi] = platform.split('-')
    const { os: oses, cpu: cpus, libc, scripts } = json('npm', platform, 'package.json')
    expect([oses, cpus, scripts]).toEqual([[os], [cpu], undefined])
    const libcs: Record<string, string[]> = { gnu: ['glibc'], musl: ['musl'] }
    expect(libc).toEqual(libcs[abi ?? ''])
  })
})

const locks = globSync('**/package-lock.json', { cwd: root, ignore: ['**/node_modules', 'target'] }).sort()

it('there are lock files of the package, the site, the benchmarks and the rehearsal', () => {
  expect(locks.map((path) => dirname(path))).toEqual(['bench', 'docs', '.', 'scripts/rehearse'])
})

it.each(locks)('%s names no registry, and npm adds none', (path) => {
  const entries = Object.entries<{ resolved?: string }>(json(path).packages)
  expect(entries.filter(([, { resolved }]) => resolved)).toEqual([])
  const settings = readFileSync(join(root, dirname(path), '.npmrc'), 'utf8')
  expect(settings).toContain('omit-lockfile-registry-resolved=true\n')
})
