import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const docs = join(import.meta.dirname, '..', 'docs')

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
