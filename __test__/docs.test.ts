import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { cli, Scratch } from './cli.js'

const docs = join(import.meta.dirname, '..', 'docs')
const scratch = new Scratch()
afterAll(() => scratch.remove())

it('docs/models.md names only what is in the code', () => {
  const text = readFileSync(join(docs, 'models.md'), 'utf8')
  const places = [...text.matchAll(/\[`(\w+)`\]\((\.\.\/[^)]+)\)/g)].map(([, name, path]) => [name, path])
  expect(places.length).toBeGreaterThan(20)
  for (const [name = '', path = ''] of places) {
    const file = join(docs, path)
    expect(existsSync(file), path).toBe(true)
    // Where it is made, not where it is used: a function, type or constant, a field, or a case of an enum.
    const made = new RegExp(`\\b(fn|struct|enum|const) ${name}\\b|^ +(pub )?${name}(: |,$)`, 'm')
    expect(readFileSync(file, 'utf8'), `${name} in ${path}`).toMatch(made)
  }
})

it('docs/json.md has every type of line that the command line writes', () => {
  const text = readFileSync(join(docs, 'json.md'), 'utf8')
  const folder = join(docs, '..', 'src', 'ts', 'cli')
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  const types = sources.flatMap((name) => {
    const source = readFileSync(join(folder, name), 'utf8')
    return [...source.matchAll(/(?:writeJson\([^{]*|stringify\()\{ type: '(\w+)'/g)].map(([, type]) => type)
  })
  const events = ['start', 'step', 'epoch', 'learningRate', 'checkpoint', 'warning', 'done']
  expect(new Set(types).size).toBeGreaterThan(10)
  for (const type of [...types, ...events]) expect(text).toContain(`\`${type}\``)
})

it('docs/accuracy.md has only commands that can be called', async () => {
  const text = readFileSync(join(docs, 'accuracy.md'), 'utf8')
  const commands = [...text.matchAll(/^npx mobilenet-native (.+)$/gm)].map(([, words]) => words ?? '')
  expect(commands.length).toBeGreaterThan(10)
  for (const words of commands) {
    // A wrong call is told before anything is read, and here there is nothing to be read.
    const args = [...words.split(' '), '--data', scratch.at('nothing')]
    const { status, stderr } = await cli(args, { cwd: scratch.path })
    // bfloat16 needs a processor that has it.
    expect(stderr, words).toMatch(/^error (DATASET_NOT_FOUND|DEVICE_UNAVAILABLE) /)
    expect(status, words).toBe(1)
  }
})
