import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Scratch } from './cli.js'

const scratch = new Scratch()
afterAll(() => scratch.remove())

describe.skipIf(process.platform === 'win32')('the notes of a release', () => {
  const changelog = scratch.at('CHANGELOG.md')
  writeFileSync(
    changelog,
    `# Changelog

## [Unreleased]

## 0.2.0-beta.1 - 2026-01-01

- a beta

## [0.2.0] - 2026-02-02

### Added

- a release

## 0.1.1

## 0.1.0

- the first
`,
  )
  const script = join(import.meta.dirname, '..', 'scripts', 'release', 'notes')
  const notes = (version: string) =>
    execFileSync('bash', [script, version, changelog], { encoding: 'utf8', stdio: 'pipe' }).trim()

  it.each([
    ['0.2.0', '### Added\n\n- a release'],
    ['0.2.0-beta.1', '- a beta'],
    ['0.1.0', '- the first'],
  ])('of %s are what the changelog says under its heading', (version, text) => {
    expect(notes(version)).toBe(text)
  })

  it.each(['0.1.1', '0.2', '0.2.0-beta', '0.2.0-beta.10', '1.0.0', '0x1.0'])(
    'of %s, of which it says nothing, are a failure',
    (version) => {
      expect(() => notes(version)).toThrow()
    },
  )
})
