// Bundles the files that use large libraries with what they use of them, so that people who install the package don't
// install those: one file instead of dozens of packages. Their licences go with them. And makes one file of the command
// line's own: half the bytes to install, and one file to read at its start instead of thirty. Of what is left, comments go: those
// for who uses the package are in the types.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, posix, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'
import { minifySync } from 'rolldown/utils'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** linkedom's parser of style sheets, half of it all: nothing here asks what a style sheet holds. */
const withoutStyleSheets = {
  name: 'without-style-sheets',
  resolveId: (id) => (id === 'cssomnom/parse' ? '\0style-sheets' : null),
  load: (id) =>
    id === '\0style-sheets' ? "export const parse = () => { throw new Error('left out') }" : null,
}

/** Puts a module and what it imports into one file of dist, without its ending `.js`. */
async function bundle(name) {
  const { output } = await build({
    // From the source, because what `tsc` makes of the imports hides which parts of the libraries are used.
    input: join(root, `${name}.ts`),
    platform: 'node',
    // linkedom draws on a canvas if there is one; nothing here asks for that.
    external: ['canvas'],
    plugins: [withoutStyleSheets],
    treeshake: { moduleSideEffects: false },
    output: { file: join(root, 'dist', `${name}.js`), format: 'cjs', minify: true },
  })
  const modules = output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []))
  const packages = [...new Set(modules.map(packageOf))].filter((path) => path !== undefined).sort()
  writeFileSync(join(root, 'dist', `${name}.licenses.txt`), licences(packages))
}

const lazily = '\0lazily '

/**
 * Puts a module and what it takes from its folder into one file of dist; what lies elsewhere stays there, and is read when
 * something of it is used: all in one file, a command would otherwise wait for what only the others need.
 */
async function bundleFolder(folder, name) {
  const inside = join(root, folder)
  const outside = {
    name: 'outside',
    resolveId(id, importer, { kind }) {
      if (importer === undefined) return null
      if (importer.startsWith(lazily) || kind === 'dynamic-import' || id.startsWith('node:'))
        return { id, external: true }
      if (!id.startsWith('.')) return `${lazily}${id}`
      const path = relative(inside, resolve(dirname(importer), id)).replaceAll(sep, '/')
      const bundled = libraries.includes(posix.join(folder, path).replace(/\.js$/, ''))
      return bundled || path.startsWith('..') ? `${lazily}./${path}` : null
    },
    load(id) {
      if (!id.startsWith(lazily)) return null
      const place = id.slice(lazily.length)
      const module = createRequire(join(made, `${name}.js`))(place)
      const getters = Object.keys(module).map((key) => `get ${key}() { return require('${place}').${key} }`)
      const code = typeof module === 'object' ? `{ ${getters.join(', ')} }` : `require('${place}')`
      return { code: `module.exports = ${code}`, moduleType: 'js' }
    },
  }
  // What tsc made of the folder isn't needed then, nor are types of what isn't public.
  const made = join(root, 'dist', folder)
  const stays = libraries.flatMap((name) =>
    [`${name}.js`, `${name}.licenses.txt`].map((file) => join(root, 'dist', file)),
  )
  for (const file of readdirSync(made, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name)
    if (file.isFile() && !stays.includes(path)) rmSync(path)
  }
  await build({
    input: join(inside, `${name}.ts`),
    platform: 'node',
    plugins: [outside],
    output: { file: join(made, `${name}.js`), format: 'cjs', minify: true },
  })
}

/** Takes the comments out of dist's modules, but for those that are minified. */
function withoutComments(minified) {
  const folder = join(root, 'dist', 'src')
  const paths = readdirSync(folder, { recursive: true }).map((name) => join(folder, name))
  for (const path of paths.filter((path) => path.endsWith('.js') && !minified.includes(path))) {
    const options = { compress: false, mangle: false, codegen: { removeWhitespace: false } }
    const { code, errors } = minifySync(path, readFileSync(path, 'utf8'), options)
    if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`)
    writeFileSync(path, code)
  }
}

/** The folder of the package that a module belongs to. */
function packageOf(module) {
  const match = /^.*[\\/]node_modules[\\/](@[^\\/]+[\\/])?[^\\/]+/.exec(module)
  return match?.[0]
}

/** The licences of packages, each text once, below the names of those that have it. */
function licences(packages) {
  const holders = new Map()
  for (const path of packages) {
    const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
    const file = readdirSync(path).find((name) => /^licen[cs]e/i.test(name))
    if (!file) throw new Error(`${name} has no licence file`)
    const text = readFileSync(join(path, file), 'utf8').trim()
    holders.set(text, [...(holders.get(text) ?? []), `${name} ${version} (${license})`])
  }
  const parts = [...holders].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`)
  return parts.join(`\n${'-'.repeat(80)}\n\n`)
}

/** What is made of large libraries. */
const libraries = ['src/ts/page/plot', 'src/ts/record/tensorboard', 'src/ts/cli/live/libraries']
for (const name of libraries) await bundle(name)
await bundleFolder('src/ts/cli', 'main')
withoutComments([...libraries, 'src/ts/cli/main'].map((name) => join(root, 'dist', `${name}.js`)))
