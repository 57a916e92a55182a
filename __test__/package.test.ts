import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const json = (...path: string[]) => JSON.parse(readFileSync(join(root, ...path), 'utf8'))
const main = json('package.json')
const platforms = readdirSync(join(root, 'npm'))

/** What npm would publish from a folder. */
function packed(folder: string): string[] {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: folder,
    encoding: 'utf8',
  })
  return JSON.parse(output)[0].files.map((file: { path: string }) => file.path)
}

describe('the package', () => {
  const files = packed(root)

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
  })

  it('runs nothing when it is installed', () => {
    const scripts = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']
    expect(scripts.filter((name) => name in main.scripts)).toEqual([])
  })
})

describe.each(platforms)('the package of %s', (platform) => {
  const manifest = json('npm', platform, 'package.json')

  it('goes with the main package', () => {
    const { name, version, license, engines } = main
    expect(manifest).toMatchObject({ name: `${name}-${platform}`, version, license, engines })
    expect(manifest.main).toBe(`${main.napi.binaryName}.${platform}.node`)
    expect(manifest.files).toEqual([manifest.main])
    expect(manifest.scripts).toBeUndefined()
    expect([...manifest.os, ...manifest.cpu]).toEqual(platform.split('-').slice(0, 2))
  })
})

it('the lock file names no registry', () => {
  const { packages } = json('package-lock.json')
  const resolved = Object.entries<{ resolved?: string }>(packages).filter(([, { resolved }]) => resolved)
  expect(resolved).toEqual([])
})
