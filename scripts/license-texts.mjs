// The texts of the licences of what is linked into the native library, to go with it: the crates' and those of Rust's
// standard library.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseHTML } from 'linkedom'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Crates that carry no text, each with its repository's, which is kept in `licenses`. */
const kept = { napi: 'napi-rs.txt', 'napi-sys': 'napi-rs.txt', 'pulp-wasm-simd-flag': 'pulp.txt' }

const isText = /^(licen[cs]e|copying|copyright|notice|unlicense)([-_.](?!rs$|[ch]$).*)?$/i
/** Folders of a crate that nothing is linked from. */
const notLinked = ['benches', 'examples', 'tests']

/**
 * Each text once, below the names of all that have it.
 *
 * @param crates with `name`, `version`, `license` and `folder`.
 * @throws when a crate has no text: to name its licence isn't to hand it on.
 */
export function licenseTexts(crates) {
  const parts = [...standardLibrary(), ...crates.map(textsOf)]
  const without = parts.filter(({ texts }) => texts.length === 0).map(({ title }) => title)
  if (without.length > 0) {
    throw new Error(`no text of the licence: ${without.join(', ')}; keep their repositories' in licenses/`)
  }
  const needed = crates.filter(({ folder }) => filesIn(folder).length === 0).map(({ name }) => name)
  const needless = Object.keys(kept).filter((name) => !needed.includes(name))
  if (needless.length > 0) throw new Error(`kept for nothing: ${needless.join(', ')}`)
  const users = new Map()
  for (const { title, texts } of parts) {
    for (const text of texts) {
      // Many differ in where their lines break, and in nothing else.
      const words = text.replaceAll(/\s+/g, ' ').trim()
      const user = users.get(words) ?? { text: text.replace(/^\s*\n/, '').trimEnd(), titles: new Set() }
      users.set(words, { ...user, titles: user.titles.add(title) })
    }
  }
  const blocks = [...users.values()].map(({ text, titles }) => `${[...titles].join('\n')}\n\n${text}\n`)
  return blocks.join(`\n${'-'.repeat(80)}\n\n`)
}

function textsOf({ name, version, license, folder }) {
  const files = filesIn(folder)
  if (files.length === 0 && name in kept) files.push(join(root, 'licenses', kept[name]))
  return { title: `${name} ${version} (${license})`, texts: files.map((file) => readFileSync(file, 'utf8')) }
}

/** A crate's files with licences, wherever in it they are: C code that it brings along has its own. */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && isText.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !notLinked.includes(relative(folder, file).split(sep)[0]))
    .sort()
}

/** Rust's standard library, and the crates that it is made of, as the page says that comes with the compiler. */
function standardLibrary() {
  const own = readFileSync(join(root, 'licenses', 'rust.txt'), 'utf8')
  const title = "Rust's standard library (MIT OR Apache-2.0)"
  const sysroot = execFileSync('rustc', ['--print', 'sysroot'], { cwd: root, encoding: 'utf8' }).trim()
  const page = join(sysroot, 'share', 'doc', 'rust', 'COPYRIGHT-library.html')
  // Some distributions leave it out.
  if (!existsSync(page)) return [{ title, texts: [own] }]
  const { document } = parseHTML(readFileSync(page, 'utf8'))
  const [about, parts] = [[], []]
  for (const element of document.querySelectorAll('h1, h3, p, pre')) {
    const text = element.textContent
    const license = /^\s*License:\s*(.*\S)/.exec(text)?.[1]
    if (element.tagName === 'H3')
      parts.push({ title: text.replace(/^\W+/, '').replace(/-(?=\d)/, ' '), texts: [] })
    else if (parts.length === 0) about.push(text.replaceAll(/\s+/g, ' ').trim())
    else if (element.tagName === 'PRE') parts.at(-1).texts.push(text)
    else if (license) parts.at(-1).title += ` (${license})`
  }
  // Those without a text are for systems that there is no package for.
  const crates = parts.filter(({ texts }) => texts.length > 0)
  return [
    { title, texts: [own, about.join('\n')] },
    ...crates.map((crate) => ({ ...crate, title: `${crate.title}, in Rust's standard library` })),
  ]
}
