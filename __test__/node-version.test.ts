import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { isSupported, newestLine } from '../src/ts/cli/doctor/node-version.js'

const root = join(import.meta.dirname, '..')
const json = (...path: string[]) => JSON.parse(readFileSync(join(root, ...path), 'utf8'))
const { engines } = json('package.json')

it.each([
  ['18.20.8', false],
  ['20.9.0', false],
  ['20.18.3', false],
  ['20.19.0', true],
  ['20.20.2', true],
  ['21.7.3', false],
  ['22.0.0', false],
  ['22.8.0', false],
  ['22.9.0', true],
  ['22.21.1', true],
  ['24.0.0', true],
  ['100.0.0', true],
])('Node %s is supported: %s', (version, supported) => {
  expect(isSupported(version, engines.node)).toBe(supported)
})

it('names a Node to install that is supported', () => {
  expect(newestLine(engines.node)).toBe('22.9.0')
})

it('is supported by every package that npm installs with ours', () => {
  const packages = Object.entries<{ dev?: boolean; engines?: { node?: string } }>(
    json('package-lock.json').packages,
  )
  const theirs = packages.filter(([path, { dev, engines }]) => path !== '' && !dev && engines?.node)
  expect(theirs.length).toBeGreaterThan(5)
  for (const [path, { engines }] of theirs) {
    for (const version of ['20.19.0', '22.9.0', '23.0.0', '24.0.0'])
      expect(`${path}: ${isSupported(version, engines?.node ?? '')}`).toBe(`${path}: true`)
  }
})
